"""Stacks of PAM, walked as libpam walks them: which of them lock an account, and which only look like it."""

from __future__ import annotations

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.software.pam import profiles
from ansible_collections.hostmend.hardening.plugins.module_utils.software.pam import stack as pam_stack
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.paths import FIXTURES

TEXTS = FIXTURES / "fail2ban"
ACCOUNT = "account required pam_faillock.so\naccount required pam_unix.so\n"
STOCK = "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\n"
RHEL = """auth required pam_env.so
auth required pam_faillock.so preauth silent
auth sufficient pam_unix.so nullok
auth required pam_faillock.so authfail
auth required pam_deny.so
"""


def read(files: dict[str, str]):
    return lambda path: files.get(path.rsplit("/", 1)[-1])


def problems(auth: str, account: str = ACCOUNT) -> list[str]:
    files = {"sshd": "@include common-auth\n@include common-account\n", "common-auth": auth, "common-account": account}
    return pam_stack.judged(read(files), "sshd").wrong


def test_what_pam_auth_update_makes_of_our_profiles():
    assert problems((TEXTS / "common-auth").read_text(), (TEXTS / "common-account").read_text()) == []


@pytest.mark.parametrize("auth", [RHEL, RHEL.replace("required pam_faillock.so pre", "requisite pam_faillock.so pre"),
                                  "auth required pam_tally2.so deny=5\n" + STOCK])
def test_stacks_that_lock(auth):
    assert problems(auth) == []


@pytest.mark.parametrize(
    ("auth", "account", "wanted"),
    [
        (STOCK, ACCOUNT, "no line of pam_faillock"),
        (RHEL.replace("auth required pam_faillock.so authfail\n", ""), ACCOUNT, "authfail is not reached"),
        (RHEL.replace("auth required pam_faillock.so preauth silent\n", ""), ACCOUNT, "no preauth"),
        (RHEL, "account required pam_unix.so\n", "no account line"),
        # Behind the line that denies, authfail is never asked.
        (STOCK.replace("auth required pam_permit", "auth [default=die] pam_faillock.so authfail\nauth required pam_permit"),
         ACCOUNT, "authfail is not reached"),
        # A jump too short lands a right password on authfail.
        ("auth requisite pam_faillock.so preauth\nauth [success=ignore default=ignore] pam_unix.so\n"
         "auth [default=die] pam_faillock.so authfail\nauth required pam_permit.so\n", ACCOUNT,
         "a right password counts as wrong"),
        # preauth after a sufficient password line locks nobody.
        ("auth sufficient pam_unix.so\nauth required pam_faillock.so preauth\n"
         "auth [default=die] pam_faillock.so authfail\nauth required pam_deny.so\n", ACCOUNT, "a locked account still gets in"),
        (RHEL.replace("required pam_faillock.so preauth", "optional pam_faillock.so preauth"), ACCOUNT, "still gets in"),
    ],
)
def test_stacks_that_only_look_like_it(auth, account, wanted):
    assert any(wanted in one for one in problems(auth, account))


SSSD = (TEXTS / "authselect_locking.txt").read_text().split("File /etc/pam.d/system-auth:\n")[1].split("File ")[0]
SSSD, SSSD_ACCOUNT = ("".join(line for line in SSSD.splitlines(True) if line.startswith(kind)) for kind in ("auth", "account"))


@pytest.mark.parametrize(
    "ways",
    ["", "auth sufficient pam_u2f.so cue\n", "auth required pam_u2f.so cue nouserok\n",  # the second beside a password
     "auth [success=done authinfo_unavail=ignore user_unknown=ignore ignore=ignore default=die] pam_sss.so try_cert_auth\n",
     "auth sufficient pam_rootok.so\nauth sufficient pam_succeed_if.so user ingroup nopasswd\n",
     "auth required pam_deny.so # cards alone\n"],
)
def test_other_ways_in_do_not_keep_a_password_from_being_counted(ways):
    """As authselect's features with-fingerprint, with-pam-u2f and with-smartcard have them, before the password."""
    assert "pam_fprintd.so" in SSSD
    assert problems(ways + SSSD, SSSD_ACCOUNT) == []


def test_a_way_that_lets_everybody_in_is_still_seen():
    assert "a wrong password gets in" in problems("auth sufficient pam_permit.so\n" + SSSD, SSSD_ACCOUNT)
    uncounted = "".join(line for line in SSSD.splitlines(True) if "authfail" not in line)
    assert any("authfail is not reached" in one for one in problems(uncounted, SSSD_ACCOUNT))
    # Of su: what is for root alone does not keep others from being set back.
    assert problems(SSSD, "account sufficient pam_succeed_if.so uid = 0 use_uid quiet\n" + SSSD_ACCOUNT) == []


def test_includes_and_substacks():
    files = {"sshd": "auth substack password-auth\naccount include password-auth\n", "password-auth": RHEL + ACCOUNT}
    seen = pam_stack.judged(read({**files, "password-auth": RHEL.replace("authfail", "authfail deny=20") + ACCOUNT}), "sshd")
    assert (seen.wrong, seen.settings["deny"]) == ([], "20")
    assert pam_stack.load(read({"other": STOCK}), "nosuch", "auth")[0].module == "pam_unix.so"


@pytest.mark.parametrize(
    "files",
    [{}, {"sshd": "@include nosuch\n"}, {"sshd": "@include sshd\n"}, {"sshd": "auth nonsense pam_unix.so\n"},
     {"sshd": "what is this\n"}, {"sshd": "auth required pam_unix.so\n" * 2000}],
)
def test_what_cannot_be_followed_is_an_error(files):
    with pytest.raises(pam_stack.StackError) as error:
        pam_stack.load(read(files), "sshd", "auth")
    seen = pam_stack.judged(read(files), "sshd")
    assert seen == pam_stack.Lockout([], {}, str(error.value)) and seen.wrong == [seen.failure]


def test_what_is_judged_is_two_stacks_and_one_file():
    """Of two services, as pam_lockout asks after pam-auth-update, or of one by its path, as after authselect."""
    files = {"common-auth": RHEL, "common-account": ACCOUNT, "faillock.conf": "deny = 4\n"}
    seen = pam_stack.judged(read(files), "common-auth", "common-account")
    assert (seen.wrong, seen.settings["deny"], seen.failure) == ([], "4", "")
    seen = pam_stack.judged(read({**files, "common-auth": STOCK}), "common-auth", "common-account")
    assert (seen.wrong, seen.settings["deny"], seen.failure) == (["no line of pam_faillock"], "4", "")
    # Its stack of accounts is not to be had: nothing is told of the half that is.
    seen = pam_stack.judged(read(files), "common-auth", "nosuch")
    assert (seen.problems, seen.settings, seen.wrong) == ([], {}, ["/etc/pam.d/other cannot be read"])
    assert pam_stack.judged({"/etc/pam.d/system-auth": RHEL + ACCOUNT}.get, "/etc/pam.d/system-auth").wrong == []


def test_settings_of_the_lines_outweigh_the_file():
    files = {"sshd": "auth required pam_faillock.so preauth deny=7 even_deny_root\n"}
    conf = {pam_stack.CONF: "deny = 4 # few\nunlock_time=60\n"}
    told = pam_stack.settings(pam_stack.load(read(files), "sshd", "auth"), conf.get)
    assert (told["deny"], told["unlock_time"], "even_deny_root" in told) == ("7", "60", True)
    assert pam_stack.settings([], {}.get)["deny"] == "3"


WORDS = st.sampled_from(["auth", "account", "required", "[success=1 default=ignore]", "[default=die]",
                         "[success=99 x=reset]",
                         "pam_unix.so", "pam_faillock.so", "authfail", "preauth", "\n", "\\\n", "@include", "sshd", "#", "[",
                         "-auth"])


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.lists(WORDS).map(" ".join)))
def test_no_text_breaks_the_walk(written):
    try:
        stack = pam_stack.load(read({"sshd": written}), "sshd", "auth")
    except pam_stack.StackError:
        return
    assert isinstance(pam_stack.lockout(stack, stack), list)


def test_a_lockout_that_forgets_at_once_is_none():
    files = {"common-auth": RHEL, "common-account": ACCOUNT,
             "faillock.conf": "deny = 4\nfail_interval = 1\nunlock_time = 2\n"}
    wrong = pam_stack.judged(read(files), "common-auth", "common-account").wrong
    assert wrong == ["failures are forgotten after 1 seconds (fail_interval)", "a lock lasts 2 seconds only (unlock_time)"]


def test_a_file_of_its_own_takes_the_place_of_faillock_conf():
    lines = {"/etc/pam.d/sshd": "auth required pam_faillock.so preauth conf=/etc/own.conf\n", "/etc/own.conf": "deny = 6\n",
             pam_stack.CONF: "even_deny_root\ndeny = 2\n"}
    found = pam_stack.settings(pam_stack.load(lines.get, "sshd", "auth"), lines.get)
    assert (found["deny"], "even_deny_root" in found) == ("6", False)


@pytest.mark.parametrize("key", ["even_deny_root", "root_unlock_time = 60"])
def test_what_has_root_locked_is_left_out_of_our_own_file(key):
    made = profiles.texts(5, 600, f"deny = 3\n{key}\naudit\nfail_interval = 5\n")
    assert "audit" in made[profiles.OWN_CONF] and not pam_stack.root_keys(made[profiles.OWN_CONF])
    for name in profiles.PROFILES:
        assert f"conf={profiles.OWN_CONF}" in made[f"{profiles.FOLDER}/{name}"]
    assert profiles.OWN_CONF not in profiles.texts(5, 600, "deny = 3\n")
