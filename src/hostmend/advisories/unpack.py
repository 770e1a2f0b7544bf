"""What is in a file, compressed or not, read in pieces and never more of it than its limits allow."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from hostmend.core.errors import AdvisoryError

#: Bytes of one document, once unpacked: the Debian tracker's has some 70 MiB.
MOST_BYTES = 1024**3
#: Bytes of one record, which is held in memory as a whole.
MOST_RECORD = 32 * 1024**2
#: Bytes of all records of a zip.
MOST_IN_ZIP = 16 * 1024**3
MOST_MEMBERS = 3_000_000
#: More than this many times its packed size, beyond ``FREE_BYTES``, and it is a bomb: JSON and CSV give 5 to 40.
MOST_RATIO = 200
FREE_BYTES = 32 * 1024**2

_MAGIC = (
    (b"\x1f\x8b", "gz"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bz2"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x28\xb5\x2f\xfd", "zst"),
)
#: What readers of compressed files raise where the file is damaged.
DAMAGED = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)


class Bounded(io.RawIOBase):
    """A stream that raises AdvisoryError once it has given more than it may."""

    def __init__(self, stream: IO[bytes], packed: int, most: int) -> None:
        self._stream, self._packed, self._most, self._given = stream, packed, most, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        self._given += len(piece)
        if self._given > self._most:
            raise AdvisoryError(f"holds more than {self._most // 1024**2} MiB once unpacked")
        if self._packed and self._given > FREE_BYTES and self._given > self._packed * MOST_RATIO:
            raise AdvisoryError(f"unpacks to more than {MOST_RATIO} times its size: that is no advisory file")
        return len(piece)


def packing(path: Path) -> str:
    """Return how a file is packed: gz, xz, bz2, zip, zst, or nothing."""
    with path.open("rb") as handle:
        handle.seek(0)
        head = handle.read(8)
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


@contextlib.contextmanager
def document(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file's one document, unpacked; a zip must hold one alone."""
    kind = packing(path)
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        raw.seek(0)
        size = raw.seek(0, io.SEEK_END)
        raw.seek(0)
        stream: IO[bytes]
        if kind == "gz":
            stream = cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=raw)))
        elif kind == "xz":
            stream = stack.enter_context(lzma.LZMAFile(raw, format=lzma.FORMAT_XZ))
        elif kind == "bz2":
            stream = stack.enter_context(bz2.BZ2File(raw))
        elif kind == "zst":
            stream = stack.enter_context(_zstd(raw))
        elif kind == "zip":
            archive = stack.enter_context(zipfile.ZipFile(raw))
            (member,) = members(archive)
            stream = stack.enter_context(archive.open(member))
        else:
            stream, size = raw, 0
        yield stack.enter_context(io.BufferedReader(Bounded(stream, size, MOST_BYTES), 256 * 1024))


def _zstd(raw: IO[bytes]) -> IO[bytes]:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise AdvisoryError("is packed by zstd, which Python reads from 3.14 on: unpack it with unzstd first") from None
    made: IO[bytes] = zstd.ZstdFile(raw)
    return made


def members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files of a zip that may be advisories."""
    found = [one for one in archive.infolist() if not one.is_dir()]
    if len(found) > MOST_MEMBERS:
        raise AdvisoryError(f"holds more than {MOST_MEMBERS} files")
    return [one for one in found if len(found) == 1 or one.filename.lower().endswith(".json")]


def records(path: Path) -> Iterator[bytes]:
    """Yield each JSON file of a zip."""
    given = 0
    with path.open("rb") as raw, zipfile.ZipFile(raw) as archive:
        for one in members(archive):
            if one.file_size > MOST_RECORD:
                raise AdvisoryError(f"holds {one.filename[:80]}, which is larger than {MOST_RECORD // 1024**2} MiB")
            with archive.open(one) as handle:
                text = handle.read(MOST_RECORD + 1)
            given += len(text)
            if len(text) > MOST_RECORD or given > MOST_IN_ZIP:
                raise AdvisoryError(f"holds more than {MOST_IN_ZIP // 1024**2} MiB once unpacked")
            if given > FREE_BYTES and len(text) > max(one.compress_size, 1) * MOST_RATIO * 5:
                raise AdvisoryError("unpacks to far more than its size: that is no advisory file")
            yield text


def entries(stream: IO[bytes], deepest: int = 16) -> Iterator[tuple[str, Any]]:
    """Yield the members of a JSON object, one at a time: no more than one of them is in memory.

    By ijson's events, for its own ``kvitems`` takes time by the square of how deeply a document is nested.
    """
    import ijson  # type: ignore[import-untyped]
    from ijson.common import ObjectBuilder  # type: ignore[import-untyped]

    depth, name, builder = 0, "", ObjectBuilder()
    for event, value in ijson.basic_parse(stream, use_float=True):
        if depth == 1 and event == "map_key":
            name, builder = value, ObjectBuilder()
            continue
        if event in ("end_map", "end_array"):
            depth -= 1
        if depth:
            builder.event(event, value)
        if event in ("start_map", "start_array"):
            depth += 1
            if depth > deepest:
                raise AdvisoryError("is nested too deeply")
        elif depth == 1:
            yield name, builder.value


def text(value: Any, limit: int) -> str:
    """Return text in one line that can be kept, whatever was given."""
    if not isinstance(value, str):
        return ""
    return " ".join(value[: 4 * limit].split())[:limit].encode("utf-8", "replace").decode("utf-8")


def lines(stream: IO[bytes], longest: int = 1024 * 1024) -> Iterator[str]:
    """Yield the lines of a text; one that is longer than any of an advisory file is an error."""
    while line := stream.readline(longest):
        if len(line) >= longest:
            raise AdvisoryError("has a line longer than 1 MiB")
        yield line.decode("utf-8-sig")
