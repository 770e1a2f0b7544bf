"""What a document is, told from its content: names and endings of files say nothing."""

from __future__ import annotations

import io
import re
from typing import IO

from hostmend.core.errors import AdvisoryError

DEBIAN, OSV, KEV, KEV_CSV, EPSS = "debian", "osv", "kev", "kev-csv", "epss"
HEAD = 256 * 1024
DEEPEST = 32
_OSV_KEYS = {"schema_version", "id", "modified", "affected", "aliases", "upstream", "withdrawn", "vulns"}
_CVE = re.compile(r"(CVE|TEMP)-\d+-[0-9A-F]+\Z")


def kind(stream: IO[bytes]) -> str:
    """Return what the document is; AdvisoryError where it is nothing that is known."""
    head = stream.read(HEAD)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise AdvisoryError("is empty")
    if start[:1] in (b"{", b"["):
        return _json(start)
    if start[:1] == b"<":
        raise AdvisoryError("is a web page or XML, not an advisory file: was it a login or an error page?")
    line = start.split(b"\n", 1)[0].lower()
    if line.startswith((b"#model_version", b"cve,epss")):
        return EPSS
    if line.replace(b'"', b"").startswith(b"cveid,"):
        return KEV_CSV
    raise AdvisoryError("is no advisory file that is known: neither JSON, nor the CSV of CISA or of EPSS")


def _json(head: bytes) -> str:
    import ijson  # type: ignore[import-untyped]

    found: set[str] = set()
    depth, top = 0, ""
    try:
        for event, value in ijson.basic_parse(io.BytesIO(head)):
            if event in ("start_map", "start_array"):
                if depth == 0 and event == "start_array":
                    return OSV
                depth += 1
                if depth > DEEPEST:
                    raise AdvisoryError("is nested too deeply")
            elif event in ("end_map", "end_array"):
                depth -= 1
            elif event == "map_key" and depth == 1:
                found.add(value)
                top = value
                if found & {"catalogVersion", "dateReleased"}:
                    return KEV
                if "vulns" in found or len(found & _OSV_KEYS) > 1:
                    return OSV
            elif event == "map_key" and depth == 2 and _CVE.match(value):
                return DEBIAN
            elif event == "map_key" and value == "cveID" and top == "vulnerabilities":
                return KEV
    except ijson.JSONError as error:
        # Of a larger document this is the head alone: that it ends is no fault.
        if not _ends_early(error):
            raise AdvisoryError(f"is not JSON: {_first_line(error)}") from error
        if len(head) < HEAD - 64:
            raise AdvisoryError("is damaged or not whole: the JSON ends in the middle") from error
    raise AdvisoryError("is JSON, but neither of the Debian security tracker, nor OSV, nor CISA's list")


def _first_line(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return text.split("\n", 1)[0][:120]


def _ends_early(error: Exception) -> bool:
    return any(words in _first_line(error).lower() for words in ("premature eof", "incomplete json"))
