# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman as this machine lets it run: its limits, its cgroups and its runtime are asked, not assumed.

    eval "$(python3 molecule/images/engine.py)"    sets CONTAINERS_CONF for the commands that follow
"""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / ".cache" / "containers.conf"
PACKAGES = {
    "podman": "podman runc netavark aardvark-dns nftables iptables uidmap",
    "mmdebstrap": "mmdebstrap debian-archive-keyring",
    "ssh": "openssh-client",
}
# systemd 257 boots on cgroup v1 only where it is told to.
LEGACY_CGROUPS = "SYSTEMD_PROC_CMDLINE=systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"


def need(*tools: str) -> None:
    """End with the words that mend it where a tool is missing."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        wanted = " ".join(PACKAGES.get(tool, tool) for tool in missing)
        raise SystemExit(f"Missing: {', '.join(missing)}. Run: apt-get install --no-install-recommends {wanted}")


def unified() -> bool:
    """Tell whether this machine has cgroup v2 alone."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def settings() -> str:
    """Return a containers.conf for this machine: its hard limits, and runc where crun refuses the cgroups."""
    text = "[containers]\n"
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if files != resource.RLIM_INFINITY and files < 1048576:
        text += f'default_ulimits = ["nofile={files}:{files}", "nproc=30000:30000"]\n'
    if not unified() and shutil.which("runc"):
        text += '[engine]\nruntime = "runc"\n'
    return text


def environment() -> dict[str, str]:
    """Return the environment that podman is to be called with."""
    text = settings()
    SETTINGS.parent.mkdir(exist_ok=True)
    if not SETTINGS.exists() or SETTINGS.read_text() != text:
        part = SETTINGS.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        part.write_text(text)
        part.replace(SETTINGS)
    return dict(os.environ, CONTAINERS_CONF=str(SETTINGS))


def command() -> list[str]:
    """Return the words that podman is called with."""
    return ["podman"]


def boot_options() -> list[str]:
    """Return the options of ``podman run`` for a container that boots systemd."""
    # A host's own root sees the files of all processes; without SYS_PTRACE a container's does not.
    legacy = [] if unified() else [f"--env={LEGACY_CGROUPS}"]
    return ["--systemd=always", "--cap-add=NET_ADMIN", "--cap-add=SYS_PTRACE", *legacy]


def podman(*arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Call podman."""
    return subprocess.run([*command(), *arguments], input=stdin, capture_output=True, text=True, check=check,
                          env=environment())


if __name__ == "__main__":
    print(f"export CONTAINERS_CONF={shlex.quote(environment()['CONTAINERS_CONF'])}")
