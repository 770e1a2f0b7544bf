"""What the agent keeps on its host: the last report, the few before it, and the key that it signs with.

Standard library only, Python 3.6 or newer.
"""

import contextlib
import fcntl
import os
import re
import stat
import time
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

from hostmend.agent import signature

DIRECTORY = Path("/var/lib/hostmend/agent")
KEY = Path("/etc/hostmend/agent.key")
REPORT = "report.json"
KEPT = 5
LOCK_SECONDS = 30.0
#: Seconds that numbers may be above the time; controllers believe some more.
FAR_AHEAD = 82800
_NUMBERED = re.compile(r"report-(\d{1,18})\.json\Z")


class AgentStoreError(Exception):
    """Something cannot be kept or read; the message is one line for a person."""


class Reports:
    """The reports in one directory, for root alone: ``report.json`` is the last one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextlib.contextmanager
    def held(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Hold the directory: two audits of one host do not write at once."""
        try:
            handle = self._lock()
        except OSError as error:
            raise self._error(error) from error
        try:
            until = time.monotonic() + seconds
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() > until:
                        raise AgentStoreError(
                            f"another audit of this host has been at work for {seconds:g} s: {self.directory}/lock"
                        ) from None
                    time.sleep(0.2)
            yield
        finally:
            os.close(handle)

    def _lock(self) -> int:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = self.directory.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
            raise AgentStoreError(f"{self.directory} is not a directory of this user's own: no report is kept there")
        if self.directory == DIRECTORY and stat.S_IMODE(state.st_mode) & 0o077:
            self.directory.chmod(0o700)
        return os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def next_number(self, now: float) -> int:
        """Return a number above those of all reports so far.

        It is not below the time, so that it goes on also where the directory was lost.
        """
        try:
            numbers = [number for number, _path in self._numbered()]
        except OSError as error:
            raise self._error(error) from error
        # A number of a clock that was far ahead is no reason to go on from there: controllers do not believe it.
        return max([int(now), *(number + 1 for number in numbers if number < now + FAR_AHEAD)])

    def keep(self, text: str, number: int) -> Path:
        """Keep a report, whole or not at all, and let go of the oldest; return where it is."""
        own = self.directory / f"report-{number}.json"
        last = self.directory / REPORT
        new = self.directory / f".{REPORT}.new"
        try:
            write(own, text.encode("utf-8"))
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
            try:
                os.link(own, new)
            except OSError:  # a filesystem without hard links
                write(new, text.encode("utf-8"))
            new.replace(last)
            self._let_go(number)
        except OSError as error:
            raise self._error(error) from error
        return last

    def _let_go(self, last: int) -> None:
        numbered = self._numbered()
        kept = [path for number, path in numbered if number <= last][-KEPT:]
        for _number, path in numbered:
            if path not in kept:
                path.unlink()

    def _numbered(self) -> List[Tuple[int, Path]]:
        matches = [(_NUMBERED.match(path.name), path) for path in self.directory.iterdir()]
        return sorted((int(match.group(1)), path) for match, path in matches if match)

    def _error(self, error: OSError) -> AgentStoreError:
        return AgentStoreError(f"the report cannot be kept in {self.directory}: {error.strerror}")


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, for its owner's eyes, and have it on the disk."""
    part = path.with_name(f".{path.name}.part")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def read(path: Path, limit: int) -> bytes:
    """Return a regular file of at most ``limit`` bytes.

    :raises OSError: where it cannot be read; ValueError where it is no regular file, or larger.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is no regular file")
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it is larger than {limit} bytes")
    return data


def load_key(path: Path = KEY) -> Optional[str]:
    """Return the host's key; None where there is none yet.

    :raises AgentStoreError: where there is one that cannot be used.
    """
    try:
        state = path.lstat()
        text = read(path, 256).decode("ascii", "replace")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise AgentStoreError(f"the key {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(state.st_mode) or state.st_uid not in (0, os.geteuid()) or state.st_mode & 0o077:
        raise AgentStoreError(f"the key {path} is not root's alone: nothing is signed with it (chown root: and chmod 600 it)")
    key = signature.read_key(text)
    if key is None:
        raise AgentStoreError(f"{path} holds no key: remove it, and a new one is made and has to be enrolled again")
    return key


def make_key(path: Path = KEY) -> str:
    """Make a key where there is none, and return the one that is there then."""
    key = load_key(path)
    if key is not None:
        return key
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write(part, (signature.new_key() + "\n").encode("ascii"))
        with contextlib.suppress(FileExistsError):  # another has just made one: his is it
            os.link(part, path)
        part.unlink()
    except OSError as error:
        raise AgentStoreError(f"the key {path} cannot be made: {error.strerror}") from error
    made = load_key(path)
    if made is None:
        raise AgentStoreError(f"the key {path} is gone again")
    return made
