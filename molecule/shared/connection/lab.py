"""The lab's containers by podman, with each module sent through the one ``podman exec`` that runs it.

The collection's own connection makes five calls of podman for a task; half of a scenario's time was theirs.
"""

from __future__ import annotations

import shlex

from ansible_collections.containers.podman.plugins.connection import podman

DOCUMENTATION = """
name: lab
short_description: Containers of the lab
description: Runs modules in containers by podman, pipelined.
author: hostmend maintainers
options:
  remote_addr:
    description: Name of the container.
    default: inventory_hostname
    vars: [{name: inventory_hostname}, {name: ansible_host}, {name: ansible_podman_host}]
  remote_user:
    description: Who runs what is run; left out, the user of the image.
    vars: [{name: ansible_user}]
  podman_extra_args:
    description: More words for podman itself.
    default: ""
  podman_executable:
    description: Which podman.
    default: podman
  pipelining:
    description: Modules go in through standard input.
    type: boolean
    default: true
"""


class Connection(podman.Connection):
    """A container of the lab."""

    transport = "lab"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def _mounted(self) -> None:
        if not self._mount_point:
            super()._connect()

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = False) -> tuple[int, bytes, bytes]:
        """Run a command with what it is to read."""
        self._connect()
        words = ["exec", *(["--interactive"] if in_data else []), *(["--user", self.user] if self.user else [])]
        code, out, err = self._podman(words, shlex.split(cmd), in_data)
        return code, out, err

    def put_file(self, in_path: str, out_path: str) -> None:
        """Write a file in the container."""
        self._mounted()
        super().put_file(in_path, out_path)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Read a file of the container."""
        self._mounted()
        super().fetch_file(in_path, out_path)
