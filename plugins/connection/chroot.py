# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory with a root filesystem, entered by chroot or by another program of that calling convention."""

from __future__ import annotations

DOCUMENTATION = r"""
name: chroot
short_description: A root filesystem in a directory of the controller
description:
  - Runs modules in a directory that holds a root filesystem, by C(chroot) or by a program that is called as it is.
  - Nothing is mounted, and nothing is kept from being started. Command C(hostmend image) brings a program that does both.
author: hostmend maintainers (@hostmend)
version_added: 0.1.0
options:
  remote_addr:
    description: The directory.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
  executable:
    description: The shell in it.
    type: str
    default: /bin/sh
    vars:
      - name: ansible_executable
  chroot_exe:
    description: The program that enters it. It is called with the directory, a command and its arguments.
    type: str
    default: chroot
    vars:
      - name: ansible_chroot_exe
"""

import os
import shlex
import subprocess
from typing import IO

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase


class Connection(ConnectionBase):
    """A root filesystem in a directory."""

    transport = "hostmend.hardening.chroot"
    has_pipelining = True
    # Who is in it is root already, so that becoming root needs no sudo.
    default_user = "root"

    def _connect(self) -> Connection:
        if self._connected:
            return self
        root = self.get_option("remote_addr")
        if not os.path.isdir(root):
            raise AnsibleConnectionFailure("%s is not a directory" % root)
        # A link of the root filesystem is one within it.
        if not os.path.lexists(os.path.join(root, "bin/sh")):
            raise AnsibleConnectionFailure("%s has no /bin/sh" % root)
        if os.geteuid() != 0:
            raise AnsibleConnectionFailure("only root enters %s" % root)
        super()._connect()
        self._connected = True
        return self

    def _enter(self, command: str, stdin: int | IO[bytes] | None, in_data: bytes | None = None) -> tuple[int, bytes, bytes]:
        self._connect()
        words = [self.get_option("chroot_exe"), self.get_option("remote_addr"), self.get_option("executable"), "-c", command]
        try:
            with subprocess.Popen([to_bytes(word, errors="surrogate_or_strict") for word in words], stdin=stdin,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                out, err = process.communicate(in_data)
                return process.returncode, out, err
        except OSError as error:
            raise AnsibleConnectionFailure("%s cannot be run: %s" % (words[0], error.strerror)) from error

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = False) -> tuple[int, bytes, bytes]:
        """Run a command, and return its exit status and what it printed."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._enter(cmd, subprocess.PIPE, in_data or b"")

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the controller into it."""
        super().put_file(in_path, out_path)
        try:
            with open(to_bytes(in_path, errors="surrogate_or_strict"), "rb") as source:
                code, _out, err = self._enter("cat > %s" % shlex.quote(_absolute(out_path)), source)
        except OSError as error:
            raise AnsibleError("%s cannot be read: %s" % (in_path, error.strerror)) from error
        if code:
            raise AnsibleError("%s cannot be written: %s" % (out_path, to_text(err).strip()))

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of it to the controller."""
        super().fetch_file(in_path, out_path)
        code, out, err = self._enter("cat %s" % shlex.quote(_absolute(in_path)), subprocess.DEVNULL)
        if code:
            raise AnsibleError("%s cannot be read: %s" % (in_path, to_text(err).strip()))
        with open(to_bytes(out_path, errors="surrogate_or_strict"), "wb") as target:
            target.write(out)

    def close(self) -> None:
        """Forget it: nothing is kept open."""
        self._connected = False


def _absolute(path: str) -> str:
    """Return a path from the root: there may be no home directory."""
    return os.path.normpath(os.path.join("/", path))
