"""The packages of a host in the report of its agent: what the controller compares with its advisories.

Standard library only, Python 3.6 or newer: the agent packs, the controller unpacks.
"""

from typing import Any, Dict, List, Mapping

#: Of the facts of the class ``updates``, what advisories are compared with.
NAMED = ("distribution", "gaps")
#: The most that they may take of a report, in characters; 5000 packages take some 300,000.
LIMIT = 2 * 1024 * 1024
MOST_GAPS = 20


def packed(facts: Any, limit: int = LIMIT) -> Dict[str, Any]:
    """Return the facts of ``updates`` as a report holds them: each package in one line, within the limit."""
    if not isinstance(facts, Mapping):
        return {}
    lines: List[str] = []
    gaps = [str(one)[:500] for one in facts.get("gaps") or ()][:MOST_GAPS]
    packages = facts.get("packages") or []
    for entry in packages:
        line = "\t".join(entry)
        limit -= len(line)
        if limit < 0:
            gaps.append(f"only {len(lines)} of {len(packages)} packages are in the report")
            break
        lines.append(line)
    return {"distribution": facts.get("distribution") or {}, "gaps": gaps, "packages": lines}


def unpacked(report: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the facts of ``updates`` that a report holds, as a live audit tells them; none where it holds none.

    They are the host's word. Whoever compares them looks at the form of each entry.
    """
    facts = report.get("facts")
    facts = facts.get("updates") if isinstance(facts, Mapping) else None
    if not isinstance(facts, Mapping):
        return {}
    packages = facts.get("packages")
    made = {name: facts[name] for name in NAMED if name in facts}
    lines = packages if isinstance(packages, list) else []
    made["packages"] = [line.split("\t", 4) if isinstance(line, str) else line for line in lines]
    return made
