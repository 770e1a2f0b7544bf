"""A container with systemd and sshd that a test owns, driven by ansible-playbook over SSH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

from tests.support.paths import ROOT

sys.path[:0] = [str(ROOT / "molecule" / "images"), str(ROOT / "molecule" / "shared")]
import engine  # noqa: E402
from containers import LABEL, alone  # noqa: E402
from engine import podman  # noqa: E402

SUITE = os.environ.get("HOSTMEND_TEST_SUITE", "bookworm")
IMAGE = os.environ.get("HOSTMEND_TEST_IMAGE", f"localhost/hostmend-lab:{SUITE}")
NETWORK = "hm-journal"
SUBNETS = ("10.213.77.0/24", "fd13:77::/64")


def missing() -> str:
    """Return why containers cannot be used here, '' when they can."""
    if not shutil.which("podman"):
        return "no podman here"
    if podman("image", "exists", IMAGE, check=False).returncode:
        return f"no image {IMAGE}: build it with molecule/images/build"
    return ""


class Target:
    """One container. It has an address of each family and a user ``ops`` who may use sudo."""

    def __init__(self, folder: Path, port: int = 22, name: str = "", options: tuple[str, ...] = (),
                 image: str = IMAGE) -> None:
        self.folder, self.port, self.image = folder, port, image
        self.name = name or f"hm-journal-{uuid.uuid4().hex[:8]}"
        self.options = options
        self.key = folder / "key"

    def __enter__(self) -> Target:
        with alone():
            if podman("network", "exists", NETWORK, check=False).returncode:
                podman("network", "create", "--ipv6", *(f"--subnet={subnet}" for subnet in SUBNETS), NETWORK)
            podman("create", "--name", self.name, "--hostname", self.name, "--label", f"{LABEL}=integration", "--network",
                   NETWORK, *engine.boot_options(), *self.options, self.image, "/sbin/init")
        podman("start", self.name)
        try:
            self.wait_for_boot()
            self._let_in()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_trouble: object) -> None:
        podman("rm", "-f", "-t", "0", self.name, check=False)
        with alone():
            podman("network", "rm", NETWORK, check=False)  # refused while others are on it

    def wait_for_boot(self) -> None:
        for _attempt in range(60):
            state = podman("exec", self.name, "systemctl", "is-system-running", check=False).stdout.strip()
            if state in ("running", "degraded"):
                return
            time.sleep(0.5)
        raise RuntimeError(f"{self.name} does not boot: {state}")

    def _let_in(self) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        public = (self.folder / "key.pub").read_text()
        self.sh(f"""
            systemctl unmask ssh.service >/dev/null 2>&1
            mkdir -p /etc/ssh/sshd_config.d /run/sshd && ssh-keygen -A >/dev/null
            echo 'Port {self.port}' > /etc/ssh/sshd_config.d/00-test.conf
            id ops >/dev/null 2>&1 || useradd -m -s /bin/bash ops
            echo 'ops ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops && chmod 440 /etc/sudoers.d/ops
            mkdir -p ~ops/.ssh && echo '{public.strip()}' > ~ops/.ssh/authorized_keys
            chown -R ops: ~ops/.ssh && chmod 700 ~ops/.ssh && chmod 600 ~ops/.ssh/authorized_keys
            rm -f /run/nologin; systemctl enable ssh.service >/dev/null 2>&1; systemctl restart ssh.service
        """)

    def sh(self, script: str, check: bool = True) -> str:
        """Run a script as root inside, past the network."""
        done = podman("exec", "-i", self.name, "sh", "-s", stdin=script, check=False)
        if check and done.returncode:
            raise RuntimeError(f"exit {done.returncode}: {done.stdout}\n{done.stderr}")
        return done.stdout

    def python(self, script: str) -> str:
        """Run Python as root inside."""
        done = podman("exec", "-i", self.name, "python3", "-", stdin=script, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def restart(self) -> None:
        """Reboot: all processes, the network namespace and /run are new."""
        podman("restart", "-t", "0", self.name)
        self.wait_for_boot()

    def address(self, family: int = 4) -> str:
        networks = json.loads(podman("inspect", self.name).stdout)[0]["NetworkSettings"]["Networks"]
        return networks[NETWORK]["IPAddress" if family == 4 else "GlobalIPv6Address"]

    def inventory(self, family: int = 4) -> Path:
        path = self.folder / f"inventory{family}.json"
        path.write_text(json.dumps({"all": {"hosts": {"target": {
            "ansible_host": self.address(family), "ansible_port": self.port, "ansible_user": "ops",
            "ansible_ssh_private_key_file": str(self.key), "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"}}}}))
        return path

    def playbook(self, play: Path, *arguments: str, family: int = 4,
                 seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a playbook against this container."""
        return subprocess.run(self.command(play, *arguments, family=family), capture_output=True, text=True,
                              cwd=ROOT, timeout=seconds, check=False, env=self.environment())

    def command(self, play: Path, *arguments: str, family: int = 4) -> list[str]:
        return ["ansible-playbook", "-i", str(self.inventory(family)), str(play), *arguments]

    def environment(self) -> dict[str, str]:
        bin_folder = ROOT / ".venv" / "bin"
        path = f"{bin_folder}:{os.environ['PATH']}" if bin_folder.is_dir() else os.environ["PATH"]
        return dict(os.environ, PATH=path, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_NOCOLOR="1",
                    ANSIBLE_SSH_CONTROL_PATH_DIR=str(self.folder / "cp"))
