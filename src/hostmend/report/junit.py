"""The report as JUnit XML: a suite for each host, a case for each finding.

Open is a failure. What could not be checked is an error, for it is not a pass; what is waived, not applicable or
for a person to assess is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from hostmend.core.finding import grade
from hostmend.report import coverage
from hostmend.report.text import visible

_TAGS = {
    "open": "failure",
    "unknown": "error",
    "waived": "skipped",
    "not_applicable": "skipped",
    "not_assessed": "skipped",
}


def render(report: Mapping[str, Any]) -> str:
    """Return the report as JUnit XML."""
    run = report["run"]
    root = ElementTree.Element("testsuites", name=visible(f"hostmend {run['mode'] or ''}".strip()))
    looked = coverage.sentence(report)
    for name, host in report["hosts"].items():
        suite = ElementTree.SubElement(root, "testsuite", name=visible(name))
        if run["started"]:
            suite.set("timestamp", visible(run["started"]).removesuffix("Z"))
        if looked:
            properties = ElementTree.SubElement(suite, "properties")
            ElementTree.SubElement(properties, "property", name="coverage", value=looked)
        for finding in host["findings"]:
            _case(suite, name, finding)
        if host["status"] != "ok":
            case = ElementTree.SubElement(suite, "testcase", classname=f"{visible(name)}.host", name="audited")
            reason = visible(host.get("reason") or host["status"])
            ElementTree.SubElement(case, "error", type=visible(host["status"]), message=reason).text = reason
        _count(suite)
    for key in ("tests", "failures", "errors"):  # Jenkins' schema has no count of what is skipped here
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, host: str, finding: Mapping[str, Any]) -> None:
    name = f"{finding['check']} {finding['resource']}".strip()
    case = ElementTree.SubElement(
        suite, "testcase", classname=visible(f"{host}.{finding['class']}"), name=visible(name), time="0"
    )
    status = finding["status"]
    tag = _TAGS.get(status)
    if tag is None:
        return
    message = f"{grade(finding)}: {finding['title']}" if status == "open" else f"{status}: {finding['reason']}"
    made = ElementTree.SubElement(case, tag, message=visible(message))
    if tag != "skipped":
        made.set("type", grade(finding) if status == "open" else status)
        made.text = "\n".join(
            visible(line) for line in (finding.get("why"), finding.get("change"), finding["reason"]) if line
        )


def _count(suite: ElementTree.Element) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(key, str(len(suite.findall(f"testcase/{tag}"))))
