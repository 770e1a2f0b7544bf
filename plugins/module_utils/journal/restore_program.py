# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The restore program: this package as one file that a host runs by itself, without a controller.

    python3 restore.pyz expire RUN DIRECTORY            restore unless the run was confirmed
    python3 restore.pyz wait RUN DIRECTORY SECONDS      the same after so many seconds
    python3 restore.pyz boot RUN DIRECTORY              the same early at boot: files and units only
"""

import ast
import io
import os
import sys
import time
import zipfile
from typing import Any, List

from ansible_collections.hostmend.hardening.plugins.module_utils.journal import commit_confirm
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import files
from ansible_collections.hostmend.hardening.plugins.module_utils.journal import store

TREE = __name__.rsplit(".", 2)[0] + "."
START = """import sys
from %s import main
sys.exit(main(sys.argv[1:]))
"""


def source(module: Any) -> str:
    """Return the text of a module, also of one that was imported from a zip."""
    loader: Any = getattr(module, "__loader__", None)
    text = loader.get_source(module.__name__) if hasattr(loader, "get_source") else None
    if text is None:
        with open(module.__file__) as handle:
            text = handle.read()
    return str(text)


def modules() -> List[Any]:
    """Return this module and, with what these import in turn, all that it imports of this collection."""
    found, pending = {}, [__name__]
    while pending:
        name = pending.pop()
        if name in found or name not in sys.modules or hasattr(sys.modules[name], "__path__"):
            continue
        module = sys.modules[name]
        found[name] = module
        for node in ast.walk(ast.parse(source(module))):
            if isinstance(node, ast.ImportFrom) and node.module and (node.module + ".").startswith(TREE):
                pending.extend([node.module] + ["%s.%s" % (node.module, part.name) for part in node.names])
    return [found[name] for name in sorted(found)]


def build(path: str) -> None:
    """Write the restore program."""
    parts = modules()
    names = [part.__name__.split(".") for part in parts]
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for parent in sorted({"/".join(name[:depth]) for name in names for depth in range(1, len(name))}):
            archive.writestr(parent + "/__init__.py", "")
        for part in parts:
            archive.writestr(part.__name__.replace(".", "/") + ".py", source(part))
        archive.writestr("__main__.py", START % __name__)
    files.write_bytes(path, held.getvalue())


def main(argv: List[str]) -> int:
    """Restore a run unless it was confirmed; returns the exit status."""
    how, name, directory = argv[:3]
    journal = store.Journal(directory)
    if how == "wait":
        _detach()
        due = store.boot()[1] + float(argv[3])
        while store.boot()[1] < due:
            if not commit_confirm.armed(journal.run(name)):
                return 0
            time.sleep(min(1.0, max(0.05, due - store.boot()[1])))
    os.chdir("/")
    healed = commit_confirm.expire(journal, name, at_boot=how == "boot")
    return 1 if healed and healed["errors"] else 0


def _detach() -> None:
    """Become a process that outlives the login that began it."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, 256)
