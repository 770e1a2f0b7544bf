"""What an image carries of its making: the report, the list of its packages, and how it was sealed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hostmend import __version__
from hostmend.image import filesystem, sbom

if TYPE_CHECKING:
    from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Package

CARRIED = "usr/share/hostmend/image"
LARGEST = 64 * 1024 * 1024


def about(root: Path, way: filesystem.Inside | None) -> dict[str, Any]:
    """Return what os-release says, and the packages; ``way`` is asked for those of rpm."""
    host = filesystem.part("module_utils.host").Host(str(root), running=False)
    system = host.system()
    packages: Sequence[Package] = host.packages().items
    manager = "dpkg"
    if not packages and way is not None:
        rpm = filesystem.part("module_utils.host.packages")
        told = way.run("rpm", "-qa", "--qf", rpm.QUERY)
        if told.returncode == 0:
            packages, manager = tuple(rpm.parse_rpm_query(told.stdout.decode("utf-8", "replace"))), "rpm"
    return {
        "id": system.id,
        "version_id": system.version_id,
        "pretty_name": system.pretty_name,
        "manager": manager,
        "packages": packages,
    }


def files(
    report: dict[str, Any],
    system: Mapping[str, Any],
    way: filesystem.Inside,
    name: str,
    epoch: int,
    variables: Mapping[str, Any],
) -> dict[str, str]:
    """Return {name: text} of what the image carries."""
    from hostmend.report import html
    from hostmend.report.language import localized

    now = about(way.root, way)  # the roles may have installed more
    told = {key: str(system[key]) for key in ("id", "version_id", "pretty_name", "manager")}
    made = {
        "name": name,
        "hostmend": __version__,
        "built": epoch,
        "run": report["run"]["id"],
        "keep": variables.get("hostmend_image_keep", []),
        "keep_authorized_keys": variables.get("hostmend_image_keep_authorized_keys", []),
    }
    return {
        "report.json": json.dumps(report, indent=1, allow_nan=False) + "\n",
        "report.html": html.render(localized(report)),
        "sbom.cdx.json": sbom.render(now["packages"], told, name, epoch),
        "image.json": json.dumps(made, indent=1, allow_nan=False) + "\n",
    }


def carried(root: Path) -> dict[str, Any]:
    """Return what an image carries: ``report`` and ``image``, each {} where it is not there or makes no sense."""
    made = {}
    for key in ("report", "image"):
        path = filesystem.inside(root, f"{CARRIED}/{key}.json")
        try:
            with path.open("rb") as handle:
                told = json.loads(handle.read(LARGEST))
        except (OSError, ValueError, RecursionError):
            told = {}
        made[key] = told if isinstance(told, dict) else {}
    return made


def _findings(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the findings of a report, whoever wrote it."""
    hosts = report.get("hosts")
    told = [host.get("findings") for host in hosts.values() if isinstance(host, dict)] if isinstance(hosts, dict) else []
    return [one for some in told if isinstance(some, list) for one in some if isinstance(one, dict)]


def _named(report: Mapping[str, Any], status: str) -> set[tuple[str, str]]:
    """Return (check, resource) of what has a status in a report."""
    return {(str(one.get("check")), str(one.get("resource"))) for one in _findings(report) if one.get("status") == status}


def _reached(report: Mapping[str, Any]) -> set[str]:
    """Return the ports that others would reach after a boot, but for a firewall."""
    made: set[str] = set()
    for one in _findings(report):
        evidence = one.get("evidence") if one.get("check") == "ports.firewall_off" else None
        part = evidence.get("persistent") if isinstance(evidence, dict) else None
        ports = part.get("reached") if isinstance(part, dict) else None
        made.update(str(port) for port in (ports if isinstance(ports, list) else ()))
    return made


def drift(report: Mapping[str, Any], own: Mapping[str, Any], ran: bool = True) -> list[str]:
    """Return what is open or listens now, or is no longer known, and was not so in the report that the image carries.

    :param ran: whether its programs were run, as when it was built; where they were not, more is unknown for that alone.
    """
    before = own["report"]
    if not before:
        return ["it carries no report of its own making"]
    fresh = [f"open, and not in the report that it carries: {check} {resource}"
             for check, resource in sorted(_named(report, "open") - _named(before, "open"))]  # fmt: skip
    if any(one.get("check") == "ports.firewall_off" for one in _findings(before)):
        listening = sorted(_reached(report) - _reached(before))
        fresh += [f"will listen, and not by the report that it carries: {port}" for port in listening]
    if ran:
        fresh += [f"unknown, and not in the report that it carries: {check} {resource}"
                  for check, resource in sorted(_named(report, "unknown") - _named(before, "unknown"))]  # fmt: skip
    return fresh


def unsealed(root: Path, own: Mapping[str, Any]) -> list[str]:
    """Return what hosts of this image would share, but for what was kept on purpose when it was built."""
    kept = own["image"]

    def listed(name: str) -> list[str]:
        value = kept.get(name)
        return [str(one) for one in value] if isinstance(value, list) else []

    seal = filesystem.part("modules.image_seal").Seal(str(root), listed("keep"), listed("keep_authorized_keys"))
    seal.plan()
    return [str(name) for name, _action in seal.steps]
