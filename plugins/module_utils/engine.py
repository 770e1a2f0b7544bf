# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the detectors side by side, each within its budget, and see that no check goes unsaid."""

from __future__ import annotations

import difflib
import os
import threading
import time
import traceback

from ansible_collections.hostmend.hardening.plugins.module_utils.finding import STATUSES
from ansible_collections.hostmend.hardening.plugins.module_utils.finding import unknown

COMMON = {
    "classes": ["all"],
    "management_networks": [],
    "private_networks": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10"],
    "controller_addresses": [],
    "timeout": 45,
    "class_timeout": 20,
    "max_risk": "disruptive",
    "fail_on": "low",
}
NOTHING_SAID = "the detector said nothing about this check"


class PolicyError(ValueError):
    """What was asked for does not exist; the text is one line for the operator."""


def near(name, known):
    """Return the words that name what may have been meant, or nothing."""
    match = difflib.get_close_matches(str(name), known, n=1)
    return " (did you mean %s?)" % match[0] if match else ""


def select(subset, known):
    """Return the class names that ``subset`` (``all``, names, ``!name``) asks for, in the order of ``known``."""
    wanted, unwanted = set(), set()
    for entry in subset:
        name = str(entry).strip()
        bare = name.lstrip("!")
        if bare not in known and bare != "all":
            raise PolicyError("no such class: %s%s; there are %s" % (bare, near(bare, known), ", ".join(sorted(known))))
        (unwanted if name.startswith("!") else wanted).update(known if bare == "all" else [bare])
    if unwanted and not wanted:
        wanted.update(known)
    return [name for name in known if name in wanted - unwanted]


def merge(given, detectors):
    """Return {class: policy} with the defaults of each detector under what was given."""
    given = given or {}
    for name, options in given.items():
        known = COMMON if name == "common" else getattr(detectors.get(name), "POLICY", None)
        if known is None:
            raise PolicyError("policy for a class that does not exist: %s%s"
                              % (name, near(name, list(detectors) + ["common"])))
        if not isinstance(options, dict):
            raise PolicyError("the policy of %s must be a dictionary, not %s" % (name, type(options).__name__))
        for option in options:
            # Options of the controller that all classes share travel too; a detector takes what it knows.
            if option not in known and name != "common":
                raise PolicyError("%s has no policy option %s%s" % (name, option, near(option, list(known))))
    common = dict(COMMON, **given.get("common", {}))
    return dict((name, dict(detector.POLICY, common=common, **given.get(name, {})))
                for name, detector in detectors.items())


def text_of(value):
    """Return text that is valid UTF-8 without control characters: others are written as ``\\xNN``."""
    if value.isprintable():
        return value
    return "".join(sign if sign.isprintable() or sign in "\n\t"
                   else "\\x%02x" % (ord(sign) - 0xdc00 if 0xdc80 <= ord(sign) <= 0xdcff else ord(sign))
                   for sign in value)


def plain(value, depth=0):
    """Return ``value`` as JSON can carry it, every text of it printable."""
    if depth > 20:
        return "..."
    if isinstance(value, str):
        return text_of(value)
    if isinstance(value, dict):
        return dict((text_of(str(key)), plain(part, depth + 1)) for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return [plain(part, depth + 1) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(part, depth + 1) for part in value), key=str)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return text_of(str(value))


class _Work:
    """One detector at work on its own thread."""

    def __init__(self, name, detector, host, policy):
        self.name, self.detector = name, detector
        self.host, self.policy = host, policy
        self.facts, self.findings, self.failure = {}, None, ""
        self.began = time.monotonic()
        self.seconds = None
        self.done = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self):
        try:
            self.facts = self.detector.collect(self.host, self.policy)
            self.findings = self.detector.check(self.facts, self.policy)
        except Exception as error:  # a detector that fails must not take the others with it
            self.failure = where(error)
        self.seconds = time.monotonic() - self.began
        self.done.set()


def where(error):
    """Return type and place of an exception; its text might quote what the host holds, a secret included."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return "%s at %s line %s" % (type(error).__name__, os.path.basename(frame.filename), frame.lineno)


def run(host, detectors, policies, timeout, class_timeout):
    """Run the detectors and return (facts by class, findings, what became of each class)."""
    began = time.monotonic()
    works = [_Work(name, detector, host, policies[name]) for name, detector in detectors.items()]
    facts, findings, classes = {}, [], {}
    for work in works:
        left = min(class_timeout, timeout) - (time.monotonic() - began)
        if not work.done.wait(max(0.0, left)):
            status = "timeout"
            reason = "not done within %g s" % min(class_timeout, timeout)
            said = []
        elif work.failure:
            status, reason, said = "failed", "the detector failed: %s" % work.failure, []
        else:
            status, reason, said = "ok", "", work.findings
            facts[work.name] = work.facts
        checked, complaint = complete(work.name, work.detector.CHECKS, said, reason)
        if complaint:
            status, reason = "failed", complaint
        findings.extend(checked)
        classes[work.name] = {"status": status, "reason": reason,
                              "seconds": round(work.seconds or time.monotonic() - began, 3)}
    return facts, findings, classes


def complete(name, checks, said, reason):
    """Return the findings with an ``unknown`` for each check that none is about, and what is wrong with them."""
    kept, complaint = [], ""
    for one in said:
        if one.get("check") in checks and one.get("status") in STATUSES:
            kept.append(one)
        else:
            complaint = "the detector spoke of %s, which is no check of %s" % (one.get("check"), name)
    heard = set(one["check"] for one in kept)
    kept.extend(unknown(check, "", reason or NOTHING_SAID) for check in checks if check not in heard)
    return kept, complaint


def failed_units(host):
    """Return the units that have failed: what an operator compares before and after a change."""
    if not host.live or host.system().init != "systemd":
        return []
    return sorted(unit.name for unit in host.units().items if unit.active == "failed")
