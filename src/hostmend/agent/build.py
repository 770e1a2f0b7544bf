"""Make the agent: one zip of the detectors and the catalogue that any Python from 3.6 on runs.

The same sources make the same bytes, whoever builds them, where and when (with the same zlib).
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hostmend import __version__, ansible_run, catalog
from hostmend.core.errors import HostmendError

#: What the agent begins with; whatever these import of ours goes along.
ROOTS = ("hostmend.agent.host", "{utils}.engine", "{utils}.detectors", "{utils}.host")
COLLECTION = "ansible_collections.hostmend.hardening"
UTILS = f"{COLLECTION}.plugins.module_utils"
SHEBANG = b"#!/usr/bin/env python3\n"
MAIN = """\
import sys

if sys.version_info < (3, 6):
    sys.exit("hostmend-agent: Python 3.6 or newer is needed, this is %d.%d" % sys.version_info[:2])
from hostmend.agent.host import main

sys.exit(main())
"""
BUILT = "hostmend/agent/built.json"
#: The largest that an agent may be, in bytes.
LIMIT = 1000 * 1000
NAME = "hostmend-agent.pyz"


def build(policy: Mapping[str, Any] | None = None, host: str = "") -> bytes:
    """Return the agent.

    :param policy: what the host is held to, by class and option; the detectors' own defaults where None.
    :param host: the name that the controller knows the host by; the host's own name where empty.
    """
    made = {"__main__.py": MAIN.encode("utf-8"), BUILT: _built(policy or {}, host)}
    for name, path in modules().items():
        made[_place(name, path)] = path.read_bytes() if path is not None else b""
    text = io.BytesIO()
    text.write(SHEBANG)
    with zipfile.ZipFile(text, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for place in sorted(made):
            about = zipfile.ZipInfo(place, (1980, 1, 1, 0, 0, 0))
            about.compress_type = zipfile.ZIP_DEFLATED
            about.create_system = 3
            about.external_attr = 0o100644 << 16
            archive.writestr(about, made[place])
    data = text.getvalue()
    if len(data) >= LIMIT:
        raise HostmendError(f"the agent would have {len(data)} bytes, and is to stay below {LIMIT}")
    return data


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(path: Path, data: bytes, mode: int = 0o755) -> None:
    """Write the agent to a file, whole or not at all."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            Path(name).chmod(mode)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise HostmendError(f"the agent cannot be written to {path}: {error.strerror}") from error


def modules() -> dict[str, Path | None]:
    """Return the modules that the agent needs of ours, each with its source; None for a package that has no code."""
    found: dict[str, Path | None] = {}
    pending = [name.format(utils=UTILS) for name in ROOTS]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        path = _source(name)
        if path is None and not _is_package(name):
            raise HostmendError(f"the agent needs {name}, which is not there")
        # A package's own code is needed only where somebody imports it by its name: hostmend.report is none of it.
        found[name] = path
        if "." in name:
            pending.append(name.rpartition(".")[0])
        if path is not None:
            pending += _imports(path)
    return dict(sorted(found.items()))


def _imports(path: Path) -> Iterator[str]:
    """Yield the modules of ours that a source imports."""
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
        for name in names:
            if name.partition(".")[0] in ("hostmend", "ansible_collections") and (_source(name) or _is_package(name)):
                yield name


def _folder(name: str) -> Path:
    """Return where the module of a name would lie, without its ending."""
    if name == COLLECTION or name.startswith(COLLECTION + "."):
        return ansible_run.collection().joinpath(*name.split(".")[3:])
    if name.partition(".")[0] == "hostmend":
        return Path(__file__).resolve().parents[1].joinpath(*name.split(".")[1:])
    return Path("/nonexistent")


def _source(name: str) -> Path | None:
    folder = _folder(name)
    for path in (folder / "__init__.py", folder.with_name(f"{folder.name}.py")):
        if path.is_file():
            return path
    return None


def _is_package(name: str) -> bool:
    return _folder(name).is_dir() or COLLECTION.startswith(name + ".") or name == COLLECTION


def _place(name: str, path: Path | None) -> str:
    package = path is None or path.name == "__init__.py"
    return name.replace(".", "/") + ("/__init__.py" if package else ".py")


def _built(policy: Mapping[str, Any], host: str) -> bytes:
    """Return the catalogue as far as the agent needs it, and the policy."""
    checks = {
        check.id: {
            "class": check.class_name,
            "kind": check.kind,
            "grade": check.grade,
            "title": check.title.en,
            "fix": check.fix.as_dict(),
            "references": list(check.references),
        }
        for check in catalog.load().checks.values()
    }
    made = {"version": __version__, "checks": checks, "policy": policy, "host": host}
    return (json.dumps(made, sort_keys=True, indent=1) + "\n").encode("utf-8")
