# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host is held to: the classes that are looked at, and the options of each over the defaults of its detector."""

from typing import Any, Dict, Iterable, List, Mapping, Set

from ansible_collections.hostmend.hardening.plugins.module_utils.printable import suggestion

COMMON: Dict[str, Any] = {
    "classes": ["all"],
    "management_networks": [],
    "private_networks": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10"],
    "controller_addresses": [],
    "timeout": 45,
    "class_timeout": 20,
    "max_risk": "disruptive",
    "fail_on": "low",
}


class PolicyError(ValueError):
    """What was asked for does not exist; the text is one line for the operator."""


def select(subset: Iterable[Any], known: List[str]) -> List[str]:
    """Return the class names that ``subset`` (``all``, names, ``!name``) asks for, in the order of ``known``."""
    wanted: Set[str] = set()
    unwanted: Set[str] = set()
    for entry in subset:
        name = str(entry).strip()
        bare = name.lstrip("!")
        if bare not in known and bare != "all":
            raise PolicyError("no such class: %s%s; there are %s" % (bare, suggestion(bare, known), ", ".join(sorted(known))))
        (unwanted if name.startswith("!") else wanted).update(known if bare == "all" else [bare])
    if unwanted and not wanted:
        wanted.update(known)
    return [name for name in known if name in wanted - unwanted]


def merge(given: Any, detectors: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """Return {class: policy} with the defaults of each detector under what was given."""
    given = given or {}
    for name, options in given.items():
        known = COMMON if name == "common" else getattr(detectors.get(name), "POLICY", None)
        if known is None:
            raise PolicyError("policy for a class that does not exist: %s%s"
                              % (name, suggestion(name, list(detectors) + ["common"])))
        if not isinstance(options, dict):
            raise PolicyError("the policy of %s must be a dictionary, not %s" % (name, type(options).__name__))
        for option in options:
            # Options of the controller that all classes share travel too; a detector takes what it knows.
            if option not in known and name != "common":
                raise PolicyError("%s has no policy option %s%s" % (name, option, suggestion(option, list(known))))
    common = dict(COMMON, **given.get("common", {}))
    return dict((name, dict(detector.POLICY, common=common, **given.get(name, {})))
                for name, detector in detectors.items())
