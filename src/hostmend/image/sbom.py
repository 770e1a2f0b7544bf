"""The packages of an image as a CycloneDX bill of materials."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hostmend import __version__

if TYPE_CHECKING:
    from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import Package


def purl(package: Package, system: Mapping[str, str]) -> Any:
    """Return the package URL of a package of a distribution."""
    from packageurl import PackageURL

    kind = "rpm" if system.get("manager") == "rpm" else "deb"
    distro = "-".join(part for part in (system.get("id", ""), system.get("version_id", "")) if part)
    return PackageURL(
        kind,
        system.get("id") or "linux",
        package.name,
        package.version,
        {key: value for key, value in (("arch", package.arch), ("distro", distro)) if value},
    )


def render(packages: Iterable[Package], system: Mapping[str, str], name: str, epoch: int) -> str:
    """Return the bill of materials as JSON; the same packages and time yield the same text.

    :param system: ``id``, ``version_id`` and ``pretty_name`` of os-release, and ``manager``: ``dpkg`` or ``rpm``.
    :param epoch: the time of the build, in seconds since 1970.
    """
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion

    components = []
    for one in sorted(packages, key=lambda each: (each.name, each.arch, each.version)):
        url = purl(one, system)
        components.append(
            Component(
                type=ComponentType.LIBRARY,
                name=one.name,
                version=one.version,
                purl=url,
                bom_ref=url.to_string(),
                description=f"of the source package {one.source} {one.source_version}" if one.source else None,
            )
        )
    image = Component(
        type=ComponentType.OPERATING_SYSTEM,
        name=system.get("id") or "linux",
        version=system.get("version_id") or None,
        description=system.get("pretty_name") or None,
        bom_ref="image",
    )
    tool = Component(type=ComponentType.APPLICATION, name="hostmend", version=__version__, bom_ref="hostmend")
    listed = "\n".join(one.purl.to_string() for one in components if one.purl)
    made = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"hostmend:{quote(name)}:{epoch}:{listed}"),
        metadata=BomMetaData(component=image, timestamp=datetime.fromtimestamp(epoch, UTC)),
        components=components,
    )
    made.metadata.tools.components.add(tool)
    made.register_dependency(image, components)
    text = make_outputter(made, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    return str(text) + "\n"
