"""Hands one message to apprise, in a process of its own: it can be ended, and what a service answers stays within.

``python -m hostmend.notify.deliver`` reads ``{"url", "title", "body", "type"}`` as JSON from its input and writes
``{"status", "reason"}``. The URL is in no argument, variable, log or file.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

#: Seconds that one channel may take altogether.
SECONDS = 25.0


def send(message: Mapping[str, str], seconds: float = SECONDS) -> str:
    """Send one message; return '' where the service took it, else in one line why not, free of secrets."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "hostmend.notify.deliver"],
            input=json.dumps(message),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        answer = json.loads(done.stdout.splitlines()[-1])
        return str(answer["reason"])
    except subprocess.TimeoutExpired:
        return f"it took longer than {seconds:g} s"
    except (OSError, ValueError, LookupError, TypeError):
        return "apprise ended without an answer"


class _Heard(logging.Handler):
    """Keeps what apprise logs, within this process."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage()[:2000] + "\n"


def reason(heard: str) -> str:
    """Return why it failed: only words of our own and numbers, for what apprise says may hold a token."""
    status = re.search(r"\berror=(\d{3})\b", heard)
    if status:
        return f"the service answered {status[1]}"
    for pattern, words in (
        (r"Name or service not known|name resolution|getaddrinfo", "its name cannot be resolved"),
        (r"Connection refused", "the connection was refused"),
        (r"[Tt]imed? ?out", "it did not answer in time"),
        (r"CERTIFICATE_VERIFY|SSLError|SSLCert", "its certificate cannot be trusted"),
        (r"[Aa]uthentication", "it refused the login"),
        (r"No route to host|unreachable", "there is no route to it"),
        (r"Connection error|ConnectionError|Socket Exception", "it could not be reached"),
    ):
        if re.search(pattern, heard):
            return words
    return "the service did not take it"


def deliver(message: Mapping[str, str]) -> str:
    """Send one message with apprise; return '' or why it failed."""
    import apprise

    heard = _Heard()
    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [heard], False
    logger.setLevel(logging.DEBUG)
    asset = apprise.AppriseAsset(app_id="hostmend", app_desc="hostmend", app_url="", storage_mode="memory", plugin_paths=[])
    channel = apprise.Apprise.instantiate(message["url"], asset=asset)
    if channel is None:
        return "apprise does not know such a URL"
    channel.overflow_mode = apprise.OverflowMode.TRUNCATE  # one message, never twelve
    all_of_them = apprise.Apprise(asset=asset)
    all_of_them.add(channel)
    taken = all_of_them.notify(
        body=message["body"],
        title=message["title"],
        notify_type=apprise.NotifyType(message.get("type", "info")),
        body_format=apprise.NotifyFormat.TEXT,
    )
    return "" if taken else reason(heard.text)


def main() -> int:
    """Read one message, send it, and say what came of it."""
    message: dict[str, Any] = json.load(sys.stdin)
    try:
        why = deliver(message)
    except Exception as error:  # whatever a plugin raises: its words may hold the URL
        why = f"apprise failed: {type(error).__name__}"
    print(json.dumps({"reason": why}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
