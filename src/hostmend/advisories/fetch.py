"""A source as a file on this machine: a path, or what an http, https or file URL names, within limits of size and time."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit, urlunsplit

from hostmend import __version__
from hostmend.core.errors import AdvisoryError

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
TOTAL_SECONDS = 900.0
RETRIES = 2
MOST_BYTES = 2 * 1024**3
_PIECE = 1024 * 1024


@dataclass(frozen=True)
class Local:
    """A source that is a file here."""

    path: Path
    origin: str  # for people, and without a password or a token
    modified: datetime  # when its publisher, or who copied it, last changed it
    fetched: bool  # over a network just now


def shown(source: str) -> str:
    """Return a source as it may be shown and kept: without credentials, query and fragment."""
    if "://" not in source:
        return str(Path(source).expanduser().absolute())
    try:
        parts = urlsplit(source)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return source.split("?")[0].rpartition("@")[2]


@contextlib.contextmanager
def local(source: str) -> Iterator[Local]:
    """Yield a source as a file here.

    :raises AdvisoryError: with one line that names the source.
    """
    scheme = source.partition("://")[0].lower() if "://" in source else ""
    if scheme in ("http", "https"):
        with tempfile.TemporaryFile(prefix="hostmend-advisories-") as handle:
            modified = _download(source, handle)
            # Read by its descriptor: a name in a directory that others may write to is never opened.
            yield Local(Path(f"/dev/fd/{handle.fileno()}"), shown(source), modified, True)
        return
    if scheme not in ("", "file"):
        raise AdvisoryError(f"{shown(source)}: only files and http, https and file URLs are read")
    path = _of_file_url(source) if scheme else Path(source).expanduser()
    try:
        if path.is_dir():
            raise AdvisoryError(f"{path}: is a directory, not a file")
        state = path.stat()
        if not path.is_file():
            raise AdvisoryError(f"{path}: is no regular file")
        if state.st_size > MOST_BYTES:
            raise AdvisoryError(f"{path}: is larger than {MOST_BYTES // 1024**2} MiB")
        with path.open("rb"):
            pass
    except OSError as error:
        raise AdvisoryError(f"{path}: cannot be read: {error.strerror}") from error
    yield Local(path, str(path.absolute()), datetime.fromtimestamp(state.st_mtime, UTC), False)


def _of_file_url(source: str) -> Path:
    parts = urlsplit(source)
    if parts.netloc not in ("", "localhost"):
        raise AdvisoryError(f"{source}: a file URL of another machine is not read")
    return Path(unquote(parts.path))


def _download(source: str, handle: BinaryIO) -> datetime:
    """Write what a URL answers into a file; return when it was last modified."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry

    name = shown(source)
    ends = time.monotonic() + TOTAL_SECONDS
    with requests.Session() as session:
        retry = Retry(
            total=RETRIES,
            backoff_factor=0.5,
            status_forcelist=(502, 503, 504),
            allowed_methods=("GET",),
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        session.adapters.clear()  # a redirect to anything else finds no adapter
        for prefix in ("http://", "https://"):
            session.mount(prefix, HTTPAdapter(max_retries=retry))
        session.headers["User-Agent"] = f"hostmend/{__version__}"
        session.max_redirects = 5
        try:
            with session.get(source, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as answer:
                if answer.status_code != 200:
                    raise AdvisoryError(f"{name}: the server answered {answer.status_code} {answer.reason}".rstrip())
                if is_downgrade(source, (*(one.url for one in answer.history), answer.url)):
                    raise AdvisoryError(f"{name}: the server leads from https to http, where anybody on the way may change it")
                told = answer.headers.get("Content-Length", "")
                if told.isdigit() and int(told) > MOST_BYTES:
                    raise AdvisoryError(f"{name}: is larger than {MOST_BYTES // 1024**2} MiB")
                got = 0
                for piece in answer.iter_content(_PIECE):
                    got += len(piece)
                    if got > MOST_BYTES:
                        raise AdvisoryError(f"{name}: is larger than {MOST_BYTES // 1024**2} MiB")
                    if time.monotonic() > ends:
                        raise AdvisoryError(f"{name}: was not fetched within {TOTAL_SECONDS:g} s")
                    handle.write(piece)
                handle.flush()
                return _last_modified(answer.headers.get("Last-Modified", ""))
        except (requests.RequestException, ValueError) as error:
            told = "the server did not answer in time" if _is_timeout(error) else f"cannot be fetched: {_cause(error)}"
            raise AdvisoryError(f"{name}: {told}") from error


def is_downgrade(source: str, urls: Iterable[str]) -> bool:
    """True where a source that was asked for by https came, by redirects, over anything else."""
    return source.lower().startswith("https:") and any(not url.lower().startswith("https:") for url in urls)


def _layers(error: BaseException) -> Iterator[BaseException]:
    """Yield an HTTP client's error and what lies under it."""
    seen: BaseException | None = error
    for _depth in range(20):
        if seen is None:
            return
        yield seen
        reason = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        seen = reason if isinstance(reason, BaseException) else seen.__cause__ or seen.__context__


def _is_timeout(error: BaseException) -> bool:
    import requests
    from urllib3.exceptions import NewConnectionError
    from urllib3.exceptions import TimeoutError as PoolTimeoutError

    found = [one for one in _layers(error) if isinstance(one, (requests.Timeout, PoolTimeoutError, TimeoutError))]
    # urllib3's "could not connect" is a kind of its time-outs
    return any(not isinstance(one, NewConnectionError) for one in found)


def _cause(error: BaseException) -> str:
    """Return why, in a few words and without the URL."""
    told = (one.strerror for one in _layers(error) if isinstance(one, OSError) and one.strerror)
    return next(told, type(error).__name__)


def _last_modified(told: str) -> datetime:
    try:
        return email.utils.parsedate_to_datetime(told).astimezone(UTC)
    except (TypeError, ValueError):
        return datetime.now(UTC)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as handle:
        if str(path).startswith("/dev/fd/"):
            os.lseek(handle.fileno(), 0, os.SEEK_SET)
        return hashlib.file_digest(handle, "sha256").hexdigest()
