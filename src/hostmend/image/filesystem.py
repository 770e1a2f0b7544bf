"""A root filesystem: whether it is one, for which machine, and what is run and written in it."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import re
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hostmend.core.errors import HostmendError

#: ELF machine numbers, by the names that ``uname -m`` gives.
MACHINES = {
    3: "i686",
    8: "mips",
    20: "ppc",
    21: "ppc64le",
    22: "s390x",
    40: "armv7l",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
    258: "loongarch64",
}
SAME = {("i686", "x86_64")}  # (of the image, of this machine): runs without help
ENTER = "enter.sh"
#: How long a program that is interrupted may take to clean up, in seconds.
PATIENCE = 20.0
#: What tar says last, and is no reason.
EPILOGUE = re.compile(r"tar: (Error is not recoverable|Exiting with failure|Child returned status)")


def recognise(root: Path, called: str = "") -> None:
    """Complain where a directory is not a root filesystem, or is the one that is running; ``called`` is a person's name of it."""
    called = called or str(root)
    if not root.is_dir():
        raise HostmendError(f"{called} is not a directory")
    own = Path("/").stat()
    about = root.stat()
    if (about.st_dev, about.st_ino) == (own.st_dev, own.st_ino):
        raise HostmendError("/ is running: hostmend remediate is for hosts that run")
    if not inside(root, "etc").is_dir() or not any(
        inside(root, name).is_file() for name in ("etc/os-release", "usr/lib/os-release", "etc/passwd")
    ):
        raise HostmendError(f"{called} is not a root filesystem: it has no etc with os-release or passwd")
    if not inside(root, "bin/sh").exists():
        raise HostmendError(f"{called} is not a root filesystem that programs could be run in: it has no bin/sh")


def inside(root: Path, name: str) -> Path:
    """Return where a path lies in a root filesystem; its links lead nowhere else."""
    return Path(part("module_utils.host").inside(str(root), name))


def part(name: str) -> Any:
    """Return a module of the collection: what reads a root filesystem here is what reads hosts there."""
    return importlib.import_module(f"ansible_collections.hostmend.hardening.plugins.{name}")


def machine(root: Path) -> str:
    """Return the machine that the programs are for, as ``uname -m`` calls it; '' where that cannot be told."""
    try:
        with inside(root, "bin/sh").open("rb") as handle:
            head = handle.read(20)
    except OSError:
        return ""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return ""
    number = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0]
    return MACHINES.get(number, f"machine {number}")


def foreign(root: Path) -> str:
    """Return the machine of a root filesystem whose programs cannot be run here; '' of another."""
    own, theirs = platform.machine(), machine(root)
    if not theirs or theirs == own or (theirs, own) in SAME:
        return ""
    done = subprocess.run(["chroot", str(root), "/bin/sh", "-c", ":"], capture_output=True, check=False)
    return "" if done.returncode == 0 else theirs


def copy(path: Path, root: Path) -> None:
    """Copy a root filesystem with the filesystems that are mounted in it, but for /proc and its like."""
    for place in [path, *submounts(path.resolve(), Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape"))]:
        source = place if place == path else path / place
        goal = root if place == path else root / place
        argv = ["cp", "--archive", "--one-file-system", "--reflink=auto", "--no-target-directory", "--", str(source), str(goal)]
        call(argv, f"{source} cannot be copied")


def submounts(root: Path, mountinfo: str) -> list[Path]:
    """Return where in a root filesystem the filesystems of its disks are mounted, the outer ones first.

    What a builder has bound there for its own work, such as /dev or a cache, is not the image's.
    """
    found: dict[tuple[str, str], Path] = {}
    for line in mountinfo.splitlines():
        words, _divided, rest = line.partition(" - ")
        fields = words.split()
        if len(fields) < 5 or not rest:
            continue
        kind, device = rest.split()[:2]
        whole = fields[3] == "/" or kind == "btrfs"
        place = _unescaped(fields[4])
        if whole and device.startswith("/dev/") and root in place.parents:
            found.setdefault((fields[2], fields[3]), place.relative_to(root))  # once, wherever else it is bound to
    return sorted(found.values())


def mounts(root: Path, mountinfo: str) -> list[Path]:
    """Return whatever is mounted on a directory or in it, the outer ones first."""
    lines = (line.split() for line in mountinfo.splitlines())
    places = {_unescaped(fields[4]) for fields in lines if len(fields) > 4}
    return sorted(one for one in places if one == root or root in one.parents)


def _unescaped(text: str) -> Path:
    return Path(re.sub(r"\\([0-7]{3})", lambda digits: chr(int(digits[1], 8)), text))


class Inside:
    """The way into a root filesystem: :data:`ENTER`, with or without the right to write."""

    def __init__(self, root: Path, directory: Path, read_only: bool = False) -> None:
        self.root, self.read_only = root, read_only
        self.program = directory / ENTER
        text = Path(__file__).with_name(ENTER).read_text("utf-8")
        if read_only:
            text = text.replace("set -eu\n", "set -eu\nHOSTMEND_IMAGE_READ_ONLY=1\n", 1)
        self.program.write_text(text, "utf-8")
        self.program.chmod(0o700)

    def run(self, *argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a program in it."""
        return subprocess.run([str(self.program), str(self.root), *argv], input=stdin, capture_output=True, check=False)

    def need(self, called: str = "") -> None:
        """Complain where nothing can be run in it, or Ansible could not; ``called`` is a person's name of it."""
        called = called or str(self.root)
        done = self.run("/bin/sh", "-c", ":")
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise HostmendError(f"nothing can be run in {called}: {said[-1] if said else done.returncode}")
        done = self.run("/bin/sh", "-c", "python3 -c 'import sys, json, ctypes; print(sys.version_info >= (3, 8))'")
        if b"True" not in done.stdout:
            raise HostmendError(
                f"{called} has no Python 3.8 or newer, which Ansible needs in it (Debian: the package python3)"
            )

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file in it, whatever links there are on the way."""
        script = 'mkdir -p "$(dirname "$1")" && rm -f "$1" && cat > "$1" && chmod "$2" "$1"'
        done = self.run("/bin/sh", "-c", script, "sh", path, f"{mode:o}", stdin=data)
        if done.returncode:
            raise HostmendError(f"{path} cannot be written in {self.root}: {done.stderr.decode('utf-8', 'replace').strip()}")

    def inventory(self) -> dict[str, object]:
        """Return the inventory of this one host."""
        return {
            "ansible_connection": "hostmend.hardening.chroot",
            "ansible_host": str(self.root),
            "ansible_chroot_exe": str(self.program),
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_pipelining": True,
            "hostmend_image": True,
        }


def evict(root: Path) -> None:
    """End what still runs in a root filesystem: where Ansible is stopped, a module may go on."""
    own = root.stat()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            about = (process / "root" / ".").stat()
            words = (process / "cmdline").read_bytes().split(b"\0")
            # The way in, with which all that it started ends: what it shows to verify is no longer the folder itself.
            entering = os.fsencode(root) in words and any(word.endswith(b"/" + ENTER.encode()) for word in words)
            if entering or (about.st_dev, about.st_ino) == (own.st_dev, own.st_ino):
                os.kill(int(process.name), signal.SIGKILL)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Clean up to the end, though somebody who is in a hurry interrupts a second time."""
    kept = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in kept.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def no_services(root: Path) -> Iterator[None]:
    """Have packages start nothing while this lasts, and leave no trace of that, nor anything running."""
    path = inside(root, "usr/sbin") / "policy-rc.d"
    resolver = inside(root, "etc") / "resolv.conf"
    made: list[Path] = []
    modules = inside(root, "root") / ".ansible"
    own = not os.path.lexists(modules)
    try:
        if path.parent.is_dir() and not os.path.lexists(path):
            path.write_text("#!/bin/sh\nexit 101\n", "utf-8")
            path.chmod(0o755)
            made.append(path)
        if resolver.parent.is_dir() and not os.path.lexists(resolver):
            resolver.touch(0o644)
            made.append(resolver)
        yield
    finally:
        with undisturbed():
            evict(root)
            for one in made:
                one.unlink(missing_ok=True)
            if own and not modules.is_symlink():
                shutil.rmtree(modules, ignore_errors=True)


def need_root(what: str) -> None:
    """Complain where this is not root, or has not what root usually has."""
    if os.geteuid() != 0:
        raise HostmendError(f"{what} needs root: it enters the root filesystem by chroot")
    for tool in ("unshare", "chroot", "mount", "tar"):
        if not shutil.which(tool):
            raise HostmendError(f"{tool} is missing: install util-linux, coreutils and tar")
    done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    if done.returncode:
        raise HostmendError(
            f"{what} needs mounts of its own, and this machine does not let it have them (a container without SYS_ADMIN?): "
            + done.stderr.decode("utf-8", "replace").strip()
        )


def call(argv: Sequence[str], what: str) -> str:
    """Run a program of this machine and return what it prints; complain in one line where it fails.

    A program that is interrupted is asked to end, and waited for, so that it can clean up after itself.
    """
    try:
        child = subprocess.Popen(list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError as error:
        raise HostmendError(f"{what}: {argv[0]} is not installed") from error
    try:
        out, err = child.communicate()
    except BaseException:
        child.terminate()
        try:
            child.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
        raise
    if child.returncode:
        lines = [line for line in err.decode("utf-8", "replace").splitlines() if line.strip() and not EPILOGUE.match(line)]
        # mmdebstrap and apt go on to say at length that they have failed; the first error is why.
        said = next((line for line in lines if line.startswith("E: ")), lines[-1] if lines else "")
        raise HostmendError(f"{what}: {said.strip() or f'{argv[0]} ended with {child.returncode}'}")
    return out.decode("utf-8", "replace")
