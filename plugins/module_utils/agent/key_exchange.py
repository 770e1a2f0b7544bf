# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell the controller a host's key so that nothing that is written down on the way holds it.

Ansible logs what modules answer: connections do from -vvv on, debugging does whatever ``no_log`` says. So the key is told
under a secret that two numbers agree on which are drawn for this one answer (Diffie-Hellman over ffdhe2048 of RFC 7919):
who reads a log has only what both sides said. Who is on the way is told by the connection, which authenticates both.
"""

import hashlib
import hmac
import re
import secrets
from typing import Any, Dict, Tuple

# The prime is 2^2048 - 2^1984 + (floor(2^1918 * e) + 560316) * 2^64 - 1; half of it, less a half, is prime too.
PRIME = int(
    "FFFFFFFFFFFFFFFFADF85458A2BB4A9AAFDC5620273D3CF1D8B9C583CE2D3695A9E13641146433FBCC939DCE249B3EF97D2FE363630C75D8"
    "F681B202AEC4617AD3DF1ED5D5FD65612433F51F5F066ED0856365553DED1AF3B557135E7F57C935984F0C70E0E68B77E2A689DAF3EFE872"
    "1DF158A136ADE73530ACCA4F483A797ABC0AB182B324FB61D108A94BB2C8E3FBB96ADAB760D7F4681D4F42A3DE394DF4AE56EDE76372BB19"
    "0B07A7C8EE0A6D709E02FCE1CDF7E2ECC03404CD28342F619172FE9CE98583FF8E4F1232EEF28183C3FE3B1B4C6FAD733BB5FCBC2EC22005"
    "C58EF1837D1683B2C6F34A26C1B2EFFA886B423861285C97FFFFFFFFFFFFFFFF", 16)
BASE = 2
SECRET_BITS = 256
_NUMBER = re.compile(r"[0-9a-f]{1,512}\Z")
_HEX = re.compile(r"[0-9a-f]{64}\Z")


def draw() -> Tuple[int, str]:
    """Return a number to keep, and what is told of it."""
    own = secrets.randbits(SECRET_BITS) | 1 << (SECRET_BITS - 1)
    return own, "%x" % pow(BASE, own, PRIME)


def seal(key: str, public: Any) -> Dict[str, str]:
    """Return a key of 64 hexadecimal digits for whoever drew ``public``; ValueError where that is no number for it."""
    own, told = draw()
    mask, proof = _agreed(own, public, public, told)
    sealed = bytes(one ^ other for one, other in zip(bytes.fromhex(key), mask))
    return {"public": told, "sealed": sealed.hex(), "proof": _proof(proof, sealed)}


def unseal(own: int, public: str, told: Any) -> str:
    """Return the key that was sealed for what :func:`draw` gave; ValueError where it is none."""
    if not isinstance(told, dict) or not all(_HEX.match(str(told.get(name))) for name in ("sealed", "proof")):
        raise ValueError("it is no key")
    mask, proof = _agreed(own, told.get("public"), public, told.get("public"))
    sealed = bytes.fromhex(told["sealed"])
    if not hmac.compare_digest(_proof(proof, sealed), told["proof"]):
        raise ValueError("it was sealed for somebody else")
    return bytes(one ^ other for one, other in zip(sealed, mask)).hex()


def _agreed(own: int, other: Any, asked: Any, answered: Any) -> Tuple[bytes, bytes]:
    """Return the two secrets of this one answer."""
    number = int(other, 16) if isinstance(other, str) and _NUMBER.match(other) else 0
    if not 1 < number < PRIME - 1:
        raise ValueError("it is no number to agree by")
    shared = pow(number, own, PRIME).to_bytes(256, "big")
    salt = ("hostmend-agent-key %s %s" % (asked, answered)).encode("ascii")
    mask, proof = (hmac.new(shared, use + salt, hashlib.sha256).digest() for use in (b"mask ", b"proof "))
    return mask, proof


def _proof(secret: bytes, sealed: bytes) -> str:
    return hmac.new(secret, sealed, hashlib.sha256).hexdigest()
