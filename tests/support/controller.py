"""A container that is a controller: hostmend from a wheel in an environment that everybody in it may read."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

from tests.support.target import IMAGE, LABEL, ROOT, Target, podman

BIN = "/opt/hostmend/bin"
PORT = 8099
TOKEN = "hook-token-0451"
#: A directory on a filesystem of its own, too small for a report.
FULL = "/srv/full"

INSTALL = f"""
set -e
version=$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
python3 -m venv --without-pip /opt/hostmend
echo /opt/dependencies > /opt/hostmend/lib/$version/site-packages/dependencies.pth
python3 -m zipfile -e /opt/dist/*.whl /opt/hostmend/lib/$version/site-packages
for one in hostmend:hostmend.cli ansible-playbook:ansible.cli.playbook; do
    printf '#!{BIN}/python\\nimport sys\\nfrom %s import main\\nsys.exit(main())\\n' "${{one##*:}}" > "{BIN}/${{one%%:*}}"
    chmod 755 "{BIN}/${{one%%:*}}"
done
"""

RECEIVER = f"""
import http.server
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/run/received.jsonl", "ab") as stream:
            stream.write(body + b"\\n")
        self.send_response(200)
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", {PORT}), Receiver).serve_forever()
"""


def wheel(folder: Path) -> Path:
    """Build the wheel, and return the directory that it is in."""
    dist = folder / "dist"
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)], cwd=ROOT, check=True, capture_output=True
    )
    return dist


def dependencies(folder: Path) -> Path:
    """Return a directory with the dependencies for the container's Python: this environment's, where the versions agree."""
    said = podman("run", "--rm", "--network", "none", IMAGE, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    version = said.stdout.strip()
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return Path(sysconfig.get_path("purelib"))
    made = folder / "dependencies"
    names = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    options = ["--quiet", "--target", str(made), "--python-version", version, "--only-binary=:all:"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *names], check=True)
    return made


class Controller(Target):
    """A controller that reaches itself over SSH, as it would any host; with ``systemd=False`` it has cron instead."""

    def __init__(self, folder: Path, systemd: bool = True) -> None:
        mounts = ("-v", f"{wheel(folder)}:/opt/dist:ro", "-v", f"{dependencies(folder)}:/opt/dependencies:ro")
        mounts += ("--tmpfs", f"{FULL}:size=16k")
        super().__init__(folder, name=f"hm-it-schedule-{folder.name[-12:].strip('-_')}", options=mounts)
        self.systemd = systemd

    def __enter__(self) -> Controller:
        if self.systemd:
            super().__enter__()
        else:
            podman("run", "-d", "--name", self.name, "--hostname", self.name, "--label", f"{LABEL}=integration",
                   *self.options, IMAGE, "sleep", "infinity")  # fmt: skip
        try:
            self.sh(INSTALL)
        except BaseException:
            self.__exit__()
            raise
        return self

    def hostmend(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command as root inside."""
        done = podman("exec", self.name, f"{BIN}/hostmend", *arguments, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def schedules(self) -> dict[str, dict[str, Any]]:
        """Return what `hostmend schedule list` says, by name."""
        return {one["name"]: one for one in json.loads(self.hostmend("schedule", "list", "--format", "json").stdout)}

    def listen(self) -> None:
        """Start the receiver of notifications."""
        podman("exec", "-d", self.name, "python3", "-c", RECEIVER)

    def received(self) -> list[dict[str, Any]]:
        """Return the notifications that came."""
        return [json.loads(line) for line in self.sh("cat /run/received.jsonl 2>/dev/null || true").splitlines()]

    def read(self, path: str) -> Any:
        return json.loads(self.sh(f"cat {path}"))
