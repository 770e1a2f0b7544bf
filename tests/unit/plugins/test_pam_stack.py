"""Stacks of PAM, walked as libpam walks them: which of them lock an account, and which only look like it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils import pam_stack
from hypothesis import given, settings
from hypothesis import strategies as st

TEXTS = Path(__file__).parent / "fixtures" / "fail2ban"
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
    return pam_stack.lockout(pam_stack.load(read(files), "sshd", "auth"), pam_stack.load(read(files), "sshd", "account"))


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


def test_includes_and_substacks():
    files = {"sshd": "auth substack password-auth\naccount include password-auth\n", "password-auth": RHEL + ACCOUNT}
    auth = pam_stack.load(read(files), "sshd", "auth")
    assert pam_stack.lockout(auth, pam_stack.load(read(files), "sshd", "account")) == []
    assert pam_stack.load(read({"other": STOCK}), "nosuch", "auth")[0].module == "pam_unix.so"


@pytest.mark.parametrize(
    "files",
    [{}, {"sshd": "@include nosuch\n"}, {"sshd": "@include sshd\n"}, {"sshd": "auth nonsense pam_unix.so\n"},
     {"sshd": "what is this\n"}, {"sshd": "auth required pam_unix.so\n" * 2000}],
)
def test_what_cannot_be_followed_is_an_error(files):
    with pytest.raises(pam_stack.StackError):
        pam_stack.load(read(files), "sshd", "auth")


def test_settings_of_the_lines_outweigh_the_file():
    files = {"sshd": "auth required pam_faillock.so preauth deny=7 even_deny_root\n"}
    told = pam_stack.settings(pam_stack.load(read(files), "sshd", "auth"), "deny = 4 # few\nunlock_time=60\n")
    assert (told["deny"], told["unlock_time"], "even_deny_root" in told) == ("7", "60", True)
    assert pam_stack.settings([], None)["deny"] == "3"


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
