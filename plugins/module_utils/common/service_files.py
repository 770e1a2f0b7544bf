# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files in folders that a service's own user may write to: read and changed without following its links.

A link counts only where root alone can have made it. Everything is opened below the descriptor of its folder, so
that nothing can be put in its place between the look and the change.
"""

import os
import stat
from typing import List, Optional, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError

MOST_LINKS = 40
LIMIT = 4 * 1024 * 1024
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def is_roots(state: os.stat_result) -> bool:
    """Tell whether root alone can make entries in a folder."""
    return state.st_uid == 0 and not state.st_mode & 0o022


def open_folder(path: str) -> Tuple[int, str]:
    """Return (descriptor of the folder that a file really lies in, its name there).

    :raises HostError: where the way leads over a link that others than root could have made.
    """
    walked: List[int] = [os.open("/", DIRECTORY)]
    try:
        name = _walk(path, walked)
    except OSError as error:
        _close(walked)
        raise HostError("%s: %s" % (path, error.strerror or type(error).__name__)) from None
    except HostError:
        _close(walked)
        raise
    _close(walked[:-1])
    return walked[-1], name


def _close(folders: List[int]) -> None:
    for folder in folders:
        os.close(folder)


def _walk(path: str, walked: List[int]) -> str:
    """Go to the folder of a file, each folder on the way appended to ``walked``; return the file's name in the last."""
    left, links = _parts(path), 0
    while left:
        part = left.pop(0)
        if part == "..":
            if len(walked) > 1:
                os.close(walked.pop())
            continue
        try:
            state = os.stat(part, dir_fd=walked[-1], follow_symlinks=False)
        except FileNotFoundError:
            if left:
                raise
            return part
        if stat.S_ISLNK(state.st_mode):
            links += 1
            if links > MOST_LINKS or not is_roots(os.fstat(walked[-1])):
                raise HostError("%s leads over a link that others than root can set" % path)
            target = os.readlink(part, dir_fd=walked[-1])
            if target.startswith("/"):
                _close(walked[1:])
                del walked[1:]
            left = _parts(target) + left
        elif left:
            walked.append(os.open(part, DIRECTORY, dir_fd=walked[-1]))
        else:
            return part
    raise HostError("%s is no file" % path)


def _parts(path: str) -> List[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


class ServiceFile:
    """One regular file, held open with its folder. Use it in a ``with`` statement.

    :raises HostError: where the path leads over a link of the service, to a device, or to a file with other names.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder, self.name = open_folder(path)
        self.descriptor = -1
        try:
            self.descriptor = os.open(self.name, FILE, dir_fd=self.folder)
            self.state = os.fstat(self.descriptor)
            if not stat.S_ISREG(self.state.st_mode):
                raise HostError("%s is no regular file" % path)
            if self.state.st_nlink != 1 and not is_roots(os.fstat(self.folder)):
                raise HostError("%s has another name elsewhere (a hard link)" % path)
        except OSError as error:
            self.close()
            raise HostError("%s: %s" % (path, error.strerror or type(error).__name__)) from None
        except HostError:
            self.close()
            raise

    def __enter__(self) -> "ServiceFile":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and its folder."""
        for one in (self.descriptor, self.folder):
            if one >= 0:
                os.close(one)
        self.descriptor = self.folder = -1

    @property
    def mode(self) -> int:
        """The permissions of the file."""
        return stat.S_IMODE(self.state.st_mode)

    def read(self) -> str:
        """Return the text of the file."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        taken = b""
        while len(taken) <= LIMIT:
            data = os.read(self.descriptor, 1 << 16)
            if not data:
                return taken.decode("utf-8", "surrogateescape")
            taken += data
        raise HostError("%s is larger than %d MiB" % (self.path, LIMIT >> 20))

    def chmod(self, mode: int) -> None:
        """Set the permissions."""
        os.fchmod(self.descriptor, mode)
        self.state = os.fstat(self.descriptor)

    def replace(self, text: str, mode: Optional[int] = None) -> None:
        """Put another text in the file's place, whole or not at all; owner, group and attributes stay.

        :param mode: the permissions, those of now where left out. The text is never in a file with wider ones.
        """
        mode = self.mode if mode is None else mode
        part = ".%s.hostmend-%d" % (self.name[:100], os.getpid())
        made = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.folder)
        try:
            with os.fdopen(made, "wb", closefd=False) as handle:
                handle.write(text.encode("utf-8", "surrogateescape"))
            os.fchown(made, self.state.st_uid, self.state.st_gid)
            self._copy_attributes(made)
            os.fchmod(made, mode)
            os.fsync(made)
            os.rename(part, self.name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        except OSError:
            os.unlink(part, dir_fd=self.folder)
            os.close(made)
            raise
        os.close(self.descriptor)
        self.descriptor = os.open(self.name, FILE, dir_fd=self.folder)
        os.close(made)
        self.state = os.fstat(self.descriptor)
        os.fsync(self.folder)

    def _copy_attributes(self, made: int) -> None:
        try:
            names = os.listxattr(self.descriptor)
        except OSError:
            return
        for name in names:
            try:
                os.setxattr(made, name, os.getxattr(self.descriptor, name))
            except OSError:
                continue


def close_folder(path: str, mode: int) -> None:
    """Set the permissions of a folder itself, never of what a link in its place points to."""
    parent, name = open_folder(path)
    try:
        folder = os.open(name, DIRECTORY, dir_fd=parent)
        try:
            os.fchmod(folder, mode)
        finally:
            os.close(folder)
    except OSError as error:
        raise HostError("%s: %s" % (path, error.strerror or type(error).__name__)) from None
    finally:
        os.close(parent)


def refusal(path: str) -> str:
    """Return why a file is not to be changed: its way leads over a link, it is no file ...; "" where it may be."""
    try:
        with ServiceFile(path):
            return ""
    except HostError as error:
        return str(error)
