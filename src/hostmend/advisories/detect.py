"""What a document is, told from its content: names and endings of files say nothing."""

from __future__ import annotations

import io
import re
from typing import IO

from hostmend.errors import AdvisoryError

DEBIAN, OSV, KEV, KEV_CSV, EPSS = "debian", "osv", "kev", "kev-csv", "epss"
HEAD = 256 * 1024
_OSV_KEYS = {"schema_version", "id", "modified", "affected", "aliases", "upstream", "withdrawn", "vulns"}
_KEV_KEYS = {"catalogVersion", "dateReleased", "vulnerabilities"}
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
    top = ""
    try:
        for prefix, event, value in ijson.parse(io.BytesIO(head)):
            if prefix == "" and event == "start_array":
                return OSV
            if prefix == "" and event == "map_key":
                found.add(value)
                top = value
            elif prefix == top and event == "map_key" and top not in _OSV_KEYS | _KEV_KEYS and _CVE.match(value):
                return DEBIAN
            if found & {"catalogVersion", "dateReleased"} or (prefix, event) == ("vulnerabilities.item", "map_key"):
                return KEV
            if "vulns" in found or len(found & _OSV_KEYS) > 1:
                return OSV
    except ijson.JSONError as error:
        if not isinstance(error, ijson.IncompleteJSONError) or b"premature EOF" not in str(error).encode():
            said = str(error).split("\n", 1)[0]
            raise AdvisoryError(f"is not JSON: {said[:120]}") from error
        if len(head) < HEAD:
            raise AdvisoryError("is not whole: the JSON ends in the middle") from error
    raise AdvisoryError("is JSON, but neither of the Debian security tracker, nor OSV, nor CISA's list")
