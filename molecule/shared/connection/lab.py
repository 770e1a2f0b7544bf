"""The lab's containers by podman, with each module sent through the one ``podman exec`` that runs it."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection import ConnectionBase

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
  podman_executable:
    description: Which podman.
    default: podman
  pipelining:
    description: Modules go in through standard input.
    type: boolean
    default: true
"""


class Connection(ConnectionBase):
    """A container of the lab."""

    transport = "lab"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def _podman(self, command: list[str], stdin: bytes | None) -> tuple[int, bytes, bytes]:
        user = self.get_option("remote_user")
        words = [self.get_option("podman_executable"), "exec", *(["--interactive"] if stdin is not None else []),
                 *(["--user", user] if user else []), self.get_option("remote_addr"), *command]
        try:
            made = subprocess.run(words, input=stdin, stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True,
                                  check=False)
        except OSError as error:
            raise AnsibleConnectionFailure(f"podman cannot be run: {error.strerror}") from error
        # What podman itself says of a container that is not there, and not what ran in it.
        if made.returncode == 125:
            raise AnsibleConnectionFailure(made.stderr.decode("utf-8", "replace").strip())
        return made.returncode, made.stdout, made.stderr

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = False) -> tuple[int, bytes, bytes]:
        """Run a command with what it is to read."""
        self._connect()
        return self._podman(shlex.split(cmd), in_data or None)

    def put_file(self, in_path: str, out_path: str) -> None:
        """Write a file in the container."""
        with Path(in_path).open("rb") as source:
            code, _out, err = self._podman(["/bin/sh", "-c", f"cat > {shlex.quote(out_path)}"], source.read())
        if code:
            raise AnsibleError(f"{out_path} cannot be written: {err.decode('utf-8', 'replace').strip()}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Read a file of the container."""
        code, out, err = self._podman(["/bin/cat", in_path], None)
        if code:
            raise AnsibleError(f"{in_path} cannot be read: {err.decode('utf-8', 'replace').strip()}")
        place = Path(out_path) / Path(in_path).name if Path(out_path).is_dir() else Path(out_path)
        place.write_bytes(out)

    def close(self) -> None:
        """Forget it: nothing is kept open."""
        self._connected = False
