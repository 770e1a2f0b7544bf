"""How a report is signed: HMAC-SHA256, with the host's own key, over the report's canonical JSON.

The host and the controller hold the same key. It tells the controller that the report is that host's and whole; whoever
is root on the host can sign what he likes. Standard library only, Python 3.6 or newer: both sides use this module.
"""

import hashlib
import hmac
import json
import re
import secrets
from typing import Any, Dict, Mapping, Optional

ALGORITHM = "hmac-sha256"
KEY_BYTES = 32
_KEY = re.compile(r"[0-9a-f]{64}\Z")


def new_key() -> str:
    """Return a new key as it is kept in files: 64 hexadecimal digits."""
    return secrets.token_hex(KEY_BYTES)


def read_key(text: str) -> Optional[str]:
    """Return the key in a file's text; None where there is none."""
    key = text.strip()
    return key if _KEY.match(key) else None


def key_id(key: str) -> str:
    """Return what names a key without telling it."""
    return hashlib.sha256(b"hostmend-agent-key:" + bytes.fromhex(key)).hexdigest()[:16]


def canonical(report: Mapping[str, Any]) -> bytes:
    """Return the bytes of a report that its signature is made over: all of it but the signature itself."""
    signed = {key: value for key, value in report.items() if key != "signature"}
    return json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def sign(report: Mapping[str, Any], key: str) -> Dict[str, str]:
    """Return the signature of a report."""
    return {"algorithm": ALGORITHM, "key": key_id(key), "value": _value(report, key)}


def holds(report: Mapping[str, Any], key: str) -> bool:
    """True where the report bears a signature that this key made of just this report."""
    told = report.get("signature")
    if not isinstance(told, Mapping) or told.get("algorithm") != ALGORITHM or not isinstance(told.get("value"), str):
        return False
    return hmac.compare_digest(told["value"].encode("utf-8", "replace"), _value(report, key).encode("ascii"))


def _value(report: Mapping[str, Any], key: str) -> str:
    return hmac.new(bytes.fromhex(key), canonical(report), hashlib.sha256).hexdigest()
