# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What authselect makes of PAM, and whether it can be had to lock accounts without taking somebody's work away.

From 1.4 on it overwrites what was changed by hand without a word, and its own check looks at links and modes alone. So
what it would write now is held against what is there.
"""

import re
from typing import Callable, Dict, List, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.software.pam import stack

PROGRAM = "authselect"
SELECTED = "/etc/authselect/authselect.conf"
FEATURE = "with-faillock"
STACKS = ("/etc/pam.d/system-auth", "/etc/pam.d/password-auth")
Run = Callable[[List[str]], Tuple[int, str]]
WORD = re.compile(r"[\w][\w./+-]*\Z")


class AuthselectError(ValueError):
    """Why authselect is not to be used as it is; the message says what a person can do."""


def selected(run: Run, read: stack.Reader) -> List[str]:
    """Return the selected profile with its features; :class:`AuthselectError` where nothing can be added to it.

    :param run: a function that runs a command and returns (exit status, output), None for the status where it cannot.
    :param read: a function that returns the text of a path, None where it cannot be read.
    """
    code, said = run([PROGRAM, "current", "--raw"])
    words = said.split()
    keys = stack.root_keys(read(stack.CONF) or "")
    if keys and FEATURE not in words:
        raise AuthselectError("%s of %s would have root locked too: take it out there, or lock accounts by hand"
                              % (" and ".join(keys), stack.CONF))
    if code != 0 or not words or not all(WORD.match(word) for word in words):
        raise AuthselectError("authselect has no profile selected: select one (authselect list; authselect select PROFILE), or "
                              "add pam_faillock by hand")
    profile = words[0]
    code, said = run([PROGRAM, "check"])
    if code != 0:
        errors = [line.split("] ", 1)[-1] for line in said.splitlines() if line.startswith("[error]")]
        why = re.sub(r"[][!]", "", errors[0]).strip() if errors else ""
        if "oad profile" in why:
            raise AuthselectError("the profile %s, which authselect has selected, cannot be loaded: select another "
                                  "(authselect list)" % profile)
        raise AuthselectError(_by_hand(why or "authselect check finds its files changed", words))
    for path, text in generated(run, words).items():
        if changed(text, read(path) or ""):
            raise AuthselectError(_by_hand("%s is not what the profile %s makes" % (path, profile), words))
    # An unknown feature is taken without a word, and does nothing.
    texts = generated(run, words if FEATURE in words else words + [FEATURE])
    for path in STACKS:
        wrong = stack.judged(lambda name: texts.get(name) or read(name), path).wrong
        if wrong:
            raise AuthselectError("with %s, the profile %s does not lock accounts (%s: %s): add the lines of pam_faillock to its "
                                  "system-auth and password-auth as the profile sssd has them, then authselect apply-changes"
                                  % (FEATURE, profile, path, wrong[0]))
    return words


def _by_hand(what: str, words: Sequence[str]) -> str:
    return "%s, and authselect would overwrite that: make it a profile of your own (authselect create-profile NAME --base-on " \
        "%s) and select it, or drop it (authselect select %s --force, which keeps a backup)" % (
            what, words[0].rpartition("/")[2], " ".join(words))


def generated(run: Run, words: Sequence[str]) -> Dict[str, str]:
    """Return {path: text} that a profile with features makes; :class:`AuthselectError` where it cannot be told."""
    code, said = run([PROGRAM, "test"] + list(words))
    parts = re.split(r"^File (/\S+):(?: Empty)?\n", said, flags=re.M)[1:]
    if code != 0 or not parts:
        raise AuthselectError("what authselect makes of the profile %s cannot be told: %s" % (
            words[0], (said.strip().splitlines() or ["it says nothing"])[0][:200]))
    return dict(zip(parts[::2], parts[1::2]))


def _plain(text: str) -> List[str]:
    """Return the lines that count."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def changed(text: str, there: str) -> bool:
    """Tell whether a text differs from what is there in more than comments and blanks."""
    return _plain(text) != _plain(there)


def conf(before: str, deny: int, unlock_time: int) -> str:
    """Return faillock.conf with a lockout; what is there already stays, unless it locks later than after ``deny``."""
    lines, told = before.splitlines(), {}
    for line in lines:
        name, equals, value = line.split("#", 1)[0].partition("=")
        if equals:
            told[name.strip()] = value.strip()
    wanted = {}
    if not told.get("deny", "").isdecimal() or not 0 < int(told["deny"]) <= deny:
        wanted["deny"] = deny
    if not told.get("unlock_time", "").isdecimal():
        wanted["unlock_time"] = unlock_time
    if not wanted:
        return before
    kept = [line for line in lines if line.split("=")[0].strip() not in wanted]
    return "\n".join(kept + ["%s = %d" % one for one in wanted.items()]) + "\n"
