# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files as the journal sees them: read whole with their attributes, written so that a power cut cannot halve them."""

import base64
import errno
import fcntl
import hashlib
import os
import stat
import struct
import tempfile
from typing import Any, Callable, Dict, List, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError

Node = Dict[str, Any]
# Stores the content of a file; returns (sha256, size).
Keep = Callable[[str], Tuple[str, int]]
# Returns the path of a kept content.
Blob = Callable[[str], str]

FS_IOC_GETFLAGS = 0x80086601 if struct.calcsize("l") == 8 else 0x80046601
FS_IOC_SETFLAGS = 0x40086602 if struct.calcsize("l") == 8 else 0x40046602
FLAG_IMMUTABLE = 0x10
FLAG_APPEND = 0x20
# The flags that an administrator sets by chattr and that stand in the way of a change.
FLAGS_KEPT = FLAG_IMMUTABLE | FLAG_APPEND
CHUNK = 1024 * 1024


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: str) -> None:
    """Make a directory of root's own, and its parents, durable."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    make_directory(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    sync_directory(parent)


def write_bytes(path: str, data: bytes) -> None:
    """Write a 0600 file: afterwards it is there whole, or not at all."""
    folder = os.path.dirname(path)
    fd, temporary = tempfile.mkstemp(prefix=".new-", dir=folder)
    try:
        with os.fdopen(fd, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.rename(temporary, path)
    except BaseException:
        _unlink(temporary)
        raise
    sync_directory(folder)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def read_flags(path: str) -> int:
    """Return the immutable and append-only flags of a file or directory; 0 where the filesystem has none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int(struct.unpack("l", fcntl.ioctl(fd, FS_IOC_GETFLAGS, struct.pack("l", 0)))[0]) & FLAGS_KEPT
    except OSError:
        return 0
    finally:
        os.close(fd)


def write_flags(path: str, flags: int) -> None:
    """Set the immutable and append-only flags, leaving the others as they are."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        now = struct.unpack("l", fcntl.ioctl(fd, FS_IOC_GETFLAGS, struct.pack("l", 0)))[0]
        wanted = (now & ~FLAGS_KEPT) | flags
        if wanted != now:
            fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("l", wanted))
    finally:
        os.close(fd)


def read_xattrs(path: str) -> Dict[str, str]:
    """Return the extended attributes (POSIX ACLs and SELinux labels are among them), values in base64."""
    kept: Dict[str, str] = {}
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return kept
    for name in names:
        try:
            kept[name] = base64.b64encode(os.getxattr(path, name, follow_symlinks=False)).decode("ascii")
        except OSError:
            continue
    return kept


def write_xattrs(path: str, wanted: Dict[str, str]) -> List[str]:
    """Make the extended attributes be as wanted; returns what the kernel refused."""
    refused = []
    now = read_xattrs(path)
    for name in sorted(set(now) | set(wanted)):
        if now.get(name) == wanted.get(name):
            continue
        try:
            if name in wanted:
                os.setxattr(path, name, base64.b64decode(wanted[name]), follow_symlinks=False)
            else:
                os.removexattr(path, name, follow_symlinks=False)
        except OSError as error:
            refused.append("%s of %s: %s" % (name, path, error.strerror))
    return refused


def copy_whole(source: str, target_fd: Optional[int], limit: Optional[int]) -> Tuple[str, int]:
    """Copy a file and return (sha256, size); refuses more than ``limit`` bytes."""
    digest = hashlib.sha256()
    size = 0
    with open(source, "rb") as handle:
        while True:
            chunk = handle.read(CHUNK)
            if not chunk:
                return digest.hexdigest(), size
            size += len(chunk)
            if limit is not None and size > limit:
                raise HostError("%s is larger than what the journal may still keep (%d bytes)" % (source, limit))
            digest.update(chunk)
            if target_fd is not None:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(target_fd, view):]


def read_node(path: str, keep: Optional[Keep] = None) -> Node:
    """Return what one path is, not following a link. ``keep(path)`` stores content and returns (sha256, size)."""
    try:
        state = os.lstat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return {"type": "absent"}
        raise HostError("%s cannot be read: %s" % (path, error.strerror))
    node: Node = {"uid": state.st_uid, "gid": state.st_gid, "mode": stat.S_IMODE(state.st_mode),
                  "mtime": state.st_mtime_ns, "xattrs": read_xattrs(path)}
    if stat.S_ISLNK(state.st_mode):
        node.update(type="link", target=os.readlink(path))
    elif stat.S_ISDIR(state.st_mode):
        node.update(type="dir", flags=read_flags(path))
    elif stat.S_ISREG(state.st_mode):
        sha256, size = keep(path) if keep else copy_whole(path, None, None)
        node.update(type="file", flags=read_flags(path), sha256=sha256, size=size)
    else:
        node.update(type="other", device=state.st_rdev, kind=stat.S_IFMT(state.st_mode))
    return node


def content(node: Node) -> List[Any]:
    """Return what of a node makes its content, comparable."""
    kind = node["type"]
    return [kind, node.get("sha256"), node.get("target")]


def remove(path: str) -> str:
    """Remove a file, a link or an empty directory; returns a reason where it stays."""
    try:
        state = os.lstat(path)
    except FileNotFoundError:
        return ""
    if not stat.S_ISLNK(state.st_mode) and read_flags(path):
        write_flags(path, 0)
    try:
        if stat.S_ISDIR(state.st_mode):
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return "%s holds other files now and stays" % path
        if error.errno == errno.EBUSY:
            return "%s is a mount point and stays" % path
        raise HostError("%s cannot be removed: %s" % (path, error.strerror))
    sync_directory(os.path.dirname(path))
    return ""


def write_node(path: str, node: Node, blob: Blob, mtime: bool = True) -> List[str]:
    """Make ``path`` be what ``node`` says; ``blob(sha256)`` is the file that has the content. Returns notes."""
    if node["type"] == "absent":
        reason = remove(path)
        return [reason] if reason else []
    if node["type"] == "other":
        raise HostError("%s was a device, socket or pipe: the journal does not make those" % path)
    now = read_node(path)
    if now["type"] not in ("absent", "link") and now.get("flags"):
        write_flags(path, 0)
    if now["type"] != "absent" and content(now) != content(node) and "dir" in (now["type"], node["type"]):
        reason = remove(path)
        if reason:
            return [reason]
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        os.makedirs(parent, 0o755)
    if node["type"] == "dir":
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
            sync_directory(parent)
        notes = _dress(path, node, mtime)
    elif node["type"] == "link":
        notes = _replace_link(path, node)
    elif content(now) == content(node):
        notes = _dress(path, node, mtime)
    else:
        notes = _replace_file(path, node, blob, mtime)
    return notes


def _dress(path: str, node: Node, mtime: bool) -> List[str]:
    os.chown(path, node["uid"], node["gid"], follow_symlinks=False)
    notes = []
    if node["type"] != "link":
        os.chmod(path, node["mode"])
    notes += write_xattrs(path, node["xattrs"])
    if mtime:
        state = os.lstat(path)
        os.utime(path, ns=(state.st_atime_ns, node["mtime"]), follow_symlinks=False)
    if node.get("flags"):
        try:
            write_flags(path, node["flags"])
        except OSError as error:
            notes.append("the immutable flag of %s could not be set: %s" % (path, error.strerror))
    return notes


def _replace_link(path: str, node: Node) -> List[str]:
    temporary = os.path.join(os.path.dirname(path), ".hostmend-%s" % os.urandom(8).hex())
    os.symlink(node["target"], temporary)
    try:
        os.rename(temporary, path)
    except OSError:
        _unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))
    return _dress(path, node, True)


def _replace_file(path: str, node: Node, blob: Blob, mtime: bool) -> List[str]:
    folder = os.path.dirname(path)
    flags = dict(node, flags=0)
    fd, temporary = tempfile.mkstemp(prefix=".hostmend-", dir=folder)
    try:
        sha256, _size = copy_whole(blob(node["sha256"]), fd, None)
        if sha256 != node["sha256"]:
            raise HostError("the kept content of %s is damaged" % path)
        notes = _dress(temporary, flags, mtime)
        os.fsync(fd)
        try:
            os.rename(temporary, path)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            # A file that is itself a mount point (in containers) cannot be replaced, only rewritten.
            _unlink(temporary)
            target = os.open(path, os.O_WRONLY | os.O_TRUNC)
            try:
                copy_whole(blob(node["sha256"]), target, None)
                os.fsync(target)
            finally:
                os.close(target)
    except BaseException:
        _unlink(temporary)
        raise
    finally:
        os.close(fd)
    sync_directory(folder)
    if node.get("flags"):
        notes += _dress(path, node, mtime)
    return notes
