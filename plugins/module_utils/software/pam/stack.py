# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stacks of PAM, read with what they include and run as libpam runs them, on answers that a caller makes up.

Whether a stack locks an account depends on jumps and on the order of its lines, so it is walked, not searched.
"""

import re
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

SUCCESS, FAILURE, IGNORE, UNAVAILABLE = "success", "auth_err", "ignore", "authinfo_unavail"
FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d")
DEEPEST = 16
MOST_LINES = 1000
# What the words of a control field stand for (pam.conf(5)).
CONTROLS = {
    "required": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "bad"},
    "requisite": {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "die"},
    "sufficient": {"success": "done", "new_authtok_reqd": "done", "default": "ignore"},
    "optional": {"success": "ok", "new_authtok_reqd": "ok", "default": "ignore"},
}
LINE = re.compile(r"\A-?(auth|account|password|session)\s+(\[[^\]]*\]|\S+)\s+(\S+)\s*(.*)\Z", re.IGNORECASE)


class StackError(ValueError):
    """A stack that cannot be followed; the message is one plain sentence."""


Reader = Callable[[str], Optional[str]]


class Entry(NamedTuple):
    """One line of a stack; ``inner`` holds the lines of a substack."""

    control: Dict[str, str]
    module: str
    arguments: Tuple[str, ...] = ()
    file: str = ""
    inner: Optional[Tuple[Any, ...]] = None


def control_of(text: str) -> Dict[str, str]:
    """Return {answer: action} of a control field."""
    if text.startswith("["):
        pairs = (word.partition("=") for word in text[1:-1].lower().split())
        return {name: action for name, equals, action in pairs if equals}
    known = CONTROLS.get(text.lower())
    if known is None:
        raise StackError("%r is no control that PAM knows" % text[:40])
    return known


def logical_lines(text: str) -> List[str]:
    """Return the lines of a file, continued ones joined, without comments."""
    joined = re.sub(r"\\\n", " ", text)
    return [line for line in (line.split("#", 1)[0].strip() for line in joined.split("\n")) if line]


def load(read: Reader, service: str, kind: str) -> List[Entry]:
    """Return the entries of a service's stack of one kind (``auth``, ``account``).

    :param read: a function that returns the text of a path, None where it cannot be read.
    """
    budget = [MOST_LINES]
    return _load(read, service, kind, 0, budget)


def _text(read: Reader, service: str) -> Tuple[str, Optional[str]]:
    """Return the path and the text of a service's file, None where none can be read."""
    path = service
    for folder in FOLDERS:
        path = service if service.startswith("/") else "%s/%s" % (folder, service)
        text = read(path)
        if text is not None:
            return path, text
    return path, None


def _load(read: Reader, service: str, kind: str, depth: int, budget: List[int]) -> List[Entry]:
    if depth > DEEPEST:
        raise StackError("the files of PAM include each other too deeply at %s" % service)
    path, text = _text(read, service)
    if text is None:
        if depth == 0 and service != "other":
            return _load(read, "other", kind, depth + 1, budget)
        raise StackError("%s cannot be read" % (service if service.startswith("/") else FOLDERS[0] + "/" + service))
    made = []  # type: List[Entry]
    for line in logical_lines(text):
        budget[0] -= 1
        if budget[0] < 0:
            raise StackError("the stack has more than %d lines" % MOST_LINES)
        words = line.split()
        if words[0] == "@include" and len(words) == 2:
            made += _load(read, words[1], kind, depth + 1, budget)
            continue
        match = LINE.match(line)
        if match is None:
            raise StackError("a line of %s cannot be understood" % path)
        if match.group(1).lower() != kind:
            continue
        control, module, rest = match.group(2), match.group(3), match.group(4)
        if control.lower() == "include":
            made += _load(read, module, kind, depth + 1, budget)
        elif control.lower() == "substack":
            inner = tuple(_load(read, module, kind, depth + 1, budget))
            made.append(Entry(CONTROLS["required"], module, (), path, inner))
        else:
            arguments = tuple(re.findall(r"\[(?:[^\]\\]|\\.)*\]|\S+", rest))
            made.append(Entry(control_of(control), module.rsplit("/", 1)[-1], arguments, path))
    return made


def run(entries: Sequence[Entry], answer: Callable[[Entry], str]) -> Tuple[bool, List[Entry]]:
    """Return (whether the stack lets in, the entries that were asked).

    :param answer: a function that returns what an entry's module says: ``success``, ``auth_err`` or ``ignore``.
    """
    asked = []  # type: List[Entry]
    impression, status = _walk(entries, answer, asked, None, SUCCESS)[:2]
    return impression == "good" and status == SUCCESS, asked


def _walk(entries: Sequence[Entry], answer: Callable[[Entry], str], asked: List[Entry],
          impression: Optional[str], status: str) -> Tuple[Optional[str], str, bool]:
    """Return (impression, status, whether it is over) after libpam's dispatch."""
    position = 0
    while position < len(entries):
        entry = entries[position]
        position += 1
        if entry.inner is not None:
            # A "die" or "done" ends the substack alone; its outcome counts as that of one module.
            felt, said = _walk(entry.inner, answer, asked, None, SUCCESS)[:2]
            said = IGNORE if felt is None else said
        else:
            asked.append(entry)
            said = answer(entry)
        action = entry.control.get(said, entry.control.get("default", "bad"))
        if action == "ignore":
            continue
        if action.isdecimal():
            # A jump leaves what was felt so far; a success that jumps counts as one in libpam.
            if impression is None and said == SUCCESS:
                impression, status = "good", SUCCESS
            position += int(action)
        elif action in ("ok", "done"):
            if said != IGNORE and (impression is None or (impression == "good" and status == SUCCESS)):
                impression, status = "good", said
            if action == "done" and impression == "good":
                return impression, status, True
        elif action in ("bad", "die"):
            if impression != "bad":
                impression, status = "bad", FAILURE if said == SUCCESS else said
            if action == "die":
                return impression, status, True
        elif action == "reset":
            impression, status = None, SUCCESS
    return impression, status, False


# What lockouts hang on

PASSWORDS = ("pam_unix.so", "pam_sss.so", "pam_ldap.so", "pam_winbind.so", "pam_krb5.so", "pam_userdb.so",
             "pam_pwdb.so", "pam_systemd_home.so", "pam_ecryptfs_password.so")
# Ways in that need no password.
OTHER_WAYS = ("pam_fprintd.so", "pam_u2f.so", "pam_sss_gss.so", "pam_rootok.so", "pam_pkcs11.so", "pam_ssh_agent_auth.so",
              "pam_timestamp.so", "pam_google_authenticator.so", "pam_oath.so", "pam_yubico.so", "pam_duo.so")
CARDS = {"try_cert_auth", "require_cert_auth"}
DENY, FAILLOCK, TALLY = "pam_deny.so", "pam_faillock.so", "pam_tally2.so"
CONF = "/etc/security/faillock.conf"
# Each of them has root locked as well (faillock.conf(5)).
ROOT_KEYS = ("even_deny_root", "root_unlock_time")
SHORTEST = 60


class Lockout(NamedTuple):
    """How the stacks of a service lock accounts; ``failure`` says why that cannot be told, and then nothing else is."""

    problems: List[str] = []
    settings: Dict[str, str] = {}
    failure: str = ""

    @property
    def wrong(self) -> List[str]:
        """What keeps them from being known to lock."""
        return [self.failure] if self.failure else self.problems

    @property
    def root_too(self) -> bool:
        """True where the account root is locked like any other."""
        return any(name in self.settings for name in ROOT_KEYS)


def judged(read: Reader, service: str, account: Optional[str] = None) -> Lockout:
    """Return the :class:`Lockout` of a service's stacks, which is never an error.

    :param read: a function that returns the text of a path, None where it cannot be read.
    :param account: the service with the stack of accounts, where that is another.
    """
    try:
        auth = load(read, service, "auth")
        found = settings(auth, read)
        problems = lockout(auth, load(read, account or service, "account"))
        if not problems and _counts(auth):
            problems = _too_short(found)
        return Lockout(problems, found)
    except StackError as error:
        return Lockout([], {}, str(error))


def conf_settings(text: str) -> Dict[str, str]:
    """Return the settings of a faillock.conf."""
    made = {}  # type: Dict[str, str]
    for line in logical_lines(text):
        name, _equals, value = line.partition("=")
        made[name.strip()] = value.strip()
    return made


def root_keys(text: str) -> List[str]:
    """Return the keys of a faillock.conf that have root locked too."""
    return [name for name in ROOT_KEYS if name in conf_settings(text)]


def settings(entries: Sequence[Entry], read: Reader) -> Dict[str, str]:
    """Return the settings of pam_faillock: its defaults, under its file, under the arguments of its lines."""
    made = {"deny": "3", "unlock_time": "600", "fail_interval": "900"}
    lines = [entry for entry in _flat(entries) if entry.module == FAILLOCK]
    files = [argument[5:] for entry in lines for argument in entry.arguments if argument.startswith("conf=")]
    made.update(conf_settings(read(files[-1] if files else CONF) or ""))
    for entry in lines:
        for argument in entry.arguments:
            name, _equals, value = argument.partition("=")
            made[name] = value
    return made


def _counts(auth: Sequence[Entry]) -> bool:
    return any(entry.module == FAILLOCK for entry in _flat(auth))


def _too_short(found: Dict[str, str]) -> List[str]:
    """Return what of the times makes a lockout none, one phrase each."""
    made = []
    for name, text in (("fail_interval", "failures are forgotten after %s seconds (fail_interval)"),
                       ("unlock_time", "a lock lasts %s seconds only (unlock_time)")):
        value = found.get(name, "")
        if value.isdecimal() and (0 if name == "unlock_time" else -1) < int(value[:9]) < SHORTEST:
            made.append(text % value)
    return made


def _said(wrong: bool, locked: bool) -> Callable[[Entry], str]:
    """Return what the modules say to a local account's password, which is all that its user has to show."""
    def answer(entry: Entry) -> str:
        if entry.module == FAILLOCK:
            if "authfail" in entry.arguments:
                return FAILURE
            if "preauth" in entry.arguments or "authsucc" in entry.arguments:
                return FAILURE if locked else SUCCESS
            return SUCCESS
        if entry.module == TALLY:
            return FAILURE if locked else SUCCESS
        if set(entry.arguments) & CARDS:
            return UNAVAILABLE
        if entry.module in PASSWORDS:
            return FAILURE if wrong else SUCCESS
        if entry.module in OTHER_WAYS or entry.module == "pam_succeed_if.so" and entry.control.get(SUCCESS) == "done":
            # Beside the password a second factor is there; in its place it is not.
            return SUCCESS if entry.control.get(FAILURE, entry.control.get("default")) in ("bad", "die") else FAILURE
        return FAILURE if entry.module == DENY else SUCCESS
    return answer


def _takes_passwords(asked: Sequence[Entry]) -> bool:
    """Tell whether a stack got to a password before it was closed to all."""
    for entry in asked:
        if entry.module in PASSWORDS and not set(entry.arguments) & CARDS:
            return True
        if entry.module == DENY and entry.control.get(FAILURE, entry.control.get("default")) in ("bad", "die"):
            return False
    return True


def lockout(auth: Sequence[Entry], account: Sequence[Entry]) -> List[str]:
    """Return what is wrong with how a stack locks accounts, one phrase each; none where it locks, or takes no password.

    Three logins are tried on it: a wrong password, the right one of a locked account, and the right one.
    """
    flat = list(_flat(auth))
    if not any(entry.module in (FAILLOCK, TALLY) for entry in flat):
        return ["no line of pam_faillock"]
    problems = []
    let_in, asked = run(auth, _said(True, False))
    if not let_in and not _takes_passwords(asked):
        return []
    if not any(entry.module == TALLY or entry.module == FAILLOCK and "authfail" in entry.arguments for entry in asked):
        problems.append("a wrong password is not counted (authfail is not reached)")
    if let_in:
        problems.append("a wrong password gets in")
    let_in, asked = run(auth, _said(False, True))
    if let_in:
        problems.append("a locked account still gets in (no preauth before the password)")
    let_in, asked = run(auth, _said(False, False))
    if not let_in or any(entry.module == FAILLOCK and "authfail" in entry.arguments for entry in asked):
        problems.append("a right password counts as wrong")
    resets = any(entry.module == FAILLOCK and "authsucc" in entry.arguments or entry.module == TALLY for entry in asked)
    if not resets and not any(entry.module == FAILLOCK for entry in run(account, _said(False, False))[1]):
        problems.append("a right password does not set the count back (no account line)")
    return problems


def _flat(entries: Sequence[Entry]) -> Iterator[Entry]:
    for entry in entries:
        if entry.inner is not None:
            yield from _flat(entry.inner)
        else:
            yield entry
