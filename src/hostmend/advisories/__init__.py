"""The advisory bundle: which versions of which packages have which CVEs, kept on the controller, used without a network.

``importer`` reads what others publish (the Debian security tracker, OSV, CISA's list of known exploited vulnerabilities,
EPSS) into one SQLite file, ``bundle`` reads and writes that file, ``match`` compares a host's packages with it, and
``findings`` makes findings of the matches. Nothing here ever asks the network while a host is audited.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hostmend.store import state_directory

#: Days after which what a bundle does not know is no longer taken for harmless.
MAX_AGE_DAYS = 7


def location(given: str | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Return where the bundle is: what is given, else ``HOSTMEND_ADVISORIES``, else the state directory's."""
    environ = os.environ if environ is None else environ
    named = given or environ.get("HOSTMEND_ADVISORIES") or ""
    return Path(named).expanduser().absolute() if named else state_directory(environ) / "advisories.db"
