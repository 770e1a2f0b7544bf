"""What a run comes down to: why a host could not be audited, and the exit status.

Standard library only, Python 3.6 or newer: the agent of hosts that audit themselves carries this module as it is.
"""

import re
from typing import Any, Iterable, Mapping, Tuple

from hostmend.core.finding import GRAVITY, gravity

__all__ = ("CANNOT", "GRAVITY", "OK", "OPEN", "STOPPED", "exit_status", "gravity", "host_reason", "one_line", "open_at")

OK, CANNOT, OPEN, STOPPED = 0, 1, 2, 130

_HINTS: Tuple[Tuple[str, str], ...] = (
    # What Ansible or ssh say in many lines: what it means, and what to do about it.
    (
        r"(?i)missing (sudo|become|privilege escalation) password|a password is required",
        "sudo wants a password: run again with -K (--ask-become-pass)",
    ),
    (
        r"(?i)incorrect (sudo|become|\w+) password|incorrect sudo password|Sorry, try again",
        "the become password is wrong",
    ),
    (r"(?i)is not in the sudoers file|not allowed to (execute|run sudo)", "the user may not use sudo there"),
    (
        r"(?i)sudo: (command )?not found|sudo: No such file",
        "there is no sudo on the host: connect as root (-u root, or ansible_user: root), or choose another --become-method",
    ),
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|authenticity of host",
        "its SSH host key is not known or has changed: check it, then add it to known_hosts (ssh-keyscan)",
    ),
    (
        r"(?i)permission denied \(|permission denied, please try again|invalid/incorrect (username/)?password|"
        r"too many authentication failures",
        "SSH login refused: wrong user, key or password (see -u, --private-key, -k)",
    ),
    (r"(?i)UNPROTECTED PRIVATE KEY|bad permissions", "the private key's file may be read by others: chmod 600 it"),
    (r"(?i)could not resolve hostname|Name or service not known", "its name cannot be resolved"),
    (r"(?i)connection refused", "the connection was refused: nothing listens on its SSH port"),
    (r"Timed out after \d+ second", "the host did not answer in time"),
    (r"(?i)connection timed out|operation timed out|timed out", "the connection timed out"),
    (r"(?i)no route to host|network is unreachable", "there is no route to it"),
    (
        (
            r"(?i)python3?(\.\d+)?['\"]?: (not found|no such file)|no such file or directory.*python|"
            r"interpreter.*not found|failed to discover a usable python|no python interpreters found"
        ),
        "no Python on the host: install python3, or set ansible_python_interpreter",
    ),
    (
        (
            r"(?i)requires? a minimum of Python|Python version.*(too old|not supported|unsupported)|"
            r"SyntaxError: (invalid syntax|future feature)|No module named 'ansible\.module_utils\.basic'.*Python 2"
        ),
        "Python on the host is too old for this Ansible: ansible-core 2.20 and later need 3.9, 2.18 and 2.19 need 3.8, "
        "2.17 needs 3.7, 2.16 needs 3.6 "
        "(ansible_python_interpreter names another one)",
    ),
    (r"(?i)No space left on device", "no space is left on the host"),
    (r"(?i)you must install the sshpass program", "a password for SSH needs the program sshpass on this machine"),
)


def one_line(text: str, limit: int = 300) -> str:
    """Return text as one line of at most ``limit`` characters."""
    made = " ".join(str(text).split())
    return made if len(made) <= limit else made[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def host_reason(result: Mapping[str, Any]) -> str:
    """Return in one line why a task failed on a host or could not reach it."""
    parts = [str(result.get(key) or "") for key in ("msg", "module_stderr", "module_stdout", "exception")]
    text = "\n".join(part for part in parts if part)
    for pattern, meaning in _HINTS:
        if re.search(pattern, text):
            detail = _telling(text, pattern)
            return one_line(f"{meaning} [{detail}]" if detail else meaning, 500)
    said = [line for line in parts[1].splitlines() if line.strip()]
    if said and (not parts[0] or "deserialization failed" in parts[0] or "MODULE FAILURE" in parts[0]):
        return one_line(f"the module ended with: {said[-1]}")
    return one_line(parts[0] or "it failed without a word")


def _telling(text: str, pattern: str) -> str:
    """Return the line that says it in the words of whoever said it, for those who search for them."""
    for line in text.splitlines():
        if re.search(pattern, line):
            return one_line(line, 160)
    return ""


def open_at(report: Mapping[str, Any], fail_on: str) -> int:
    """Return how many findings are open at or above ``fail_on``; none where that is ``never``."""
    if fail_on == "never":
        return 0
    return sum(
        1
        for host in report["hosts"].values()
        for one in host["findings"]
        if one["status"] == "open" and gravity(one) >= GRAVITY[fail_on]
    )


def exit_status(report: Mapping[str, Any], fail_on: str = "low", ignore_unreachable: bool = False) -> int:
    """Return 0 where nothing is open at or above ``fail_on``, 2 where something is, 1 where a host was not done."""
    hosts: Iterable[Mapping[str, Any]] = report["hosts"].values()
    if report["run"].get("status") == "stopped":
        return STOPPED
    if any(wave["status"] != "done" for wave in report["run"].get("waves") or ()):
        return CANNOT
    statuses = [str(host["status"]) for host in hosts]
    if not statuses or any(one not in ("ok", "unreachable") for one in statuses):
        return CANNOT
    if "unreachable" in statuses and (not ignore_unreachable or "ok" not in statuses):
        return CANNOT
    return OPEN if open_at(report, fail_on) else OK
