"""The same audit playbook, from a clone, an editable install, a wheel and the collection's artefact."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# What other tests run on this machine meanwhile is out of sight: their processes, listeners and engines.
ALONE = ("unshare", "--net", "--pid", "--fork", "--mount", "--mount-proc", "--kill-child")
WAYS = ("clone", "editable", "wheel", "artefact")


def run(*argv: object, cwd: Path, **environ: str) -> str:
    """Run a command without any setting of Ansible's but those given."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "HOSTMEND_", "PYTHON"))}
    done = subprocess.run(
        [str(word) for word in argv], cwd=cwd, env={**kept, **environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(folder: Path) -> tuple[Path, Path]:
    """Return (python, site-packages) of a new environment that sees the dependencies, and not the clone."""
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python3*/site-packages")
    # A path that comes in by a .pth file has its own .pth files ignored: the editable install stays out of sight.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python", site


def export(folder: Path) -> Path:
    """Return a copy of what git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(".ansible/") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def audit(python: Path | str, playbook: str, cwd: Path, output: Path, **environ: str) -> set[tuple[str, str, str]]:
    """Return what the playbook found on this machine."""
    local = ["-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"]
    told = ("-e", f"hostmend_output={output}", playbook)
    run(*ALONE, python, "-m", "ansible", "playbook", *local, *told, cwd=cwd, **environ)
    assert (output / "report.html").stat().st_size > 10_000
    found = json.loads((output / "report.json").read_text())["hosts"]["localhost"]["findings"]
    return {(one["check"], one["resource"], one["status"]) for one in found}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[tuple[str, str, str]]]:
    """Return what each way of installing found."""
    base = tmp_path_factory.mktemp("ways")
    away = base / "away"
    away.mkdir()
    made = {
        "clone": audit(
            sys.executable, "playbooks/audit.yml", ROOT, base / "clone", ANSIBLE_CONFIG=str(ROOT / "ansible.cfg")
        ),
        "editable": audit(sys.executable, "hostmend.hardening.audit", away, base / "editable"),
    }
    source = export(base / "source")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", base / "dist", cwd=source)
    python, site = environment(base / "wheel-venv")
    with zipfile.ZipFile(next((base / "dist").glob("*.whl"))) as wheel:
        wheel.extractall(site)
    made["wheel"] = audit(python, "hostmend.hardening.audit", away, base / "wheel")
    run(sys.executable, "-m", "ansible", "galaxy", "collection", "build", "--output-path", base / "dist", cwd=source)
    artefact = next((base / "dist").glob("hostmend-hardening-*.tar.gz"))
    run(
        sys.executable,
        "-m",
        "ansible",
        "galaxy",
        "collection",
        "install",
        artefact,
        "-p",
        base / "galaxy",
        "--no-deps",
        "--force",
        cwd=away,
    )
    python, _site = environment(base / "galaxy-venv")
    made["artefact"] = audit(
        python, "hostmend.hardening.audit", away, base / "artefact", ANSIBLE_COLLECTIONS_PATH=str(base / "galaxy")
    )
    return made


@pytest.mark.parametrize("way", WAYS)
def test_every_way_finds_the_same(found: dict[str, set[tuple[str, str, str]]], way: str) -> None:
    assert found[way] == found["clone"]
    assert {check.split(".")[0] for check, _resource, _status in found[way]} >= {"ports", "redis", "services"}


def test_it_is_gathered_with_the_ordinary_facts(tmp_path: Path) -> None:
    play = [
        {
            "hosts": "all",
            "gather_facts": True,
            "gather_timeout": 60,
            "vars": {"ansible_facts_modules": ["ansible.builtin.setup", "hostmend.hardening.security_facts"]},
            "tasks": [
                {
                    "ansible.builtin.assert": {
                        "that": [
                            "ansible_facts.distribution is defined",
                            "'redis' in ansible_facts.hostmend",
                            "ansible_facts.hostmend_findings | map(attribute='check') is contains('redis.no_auth')",
                        ]
                    }
                }
            ],
        }
    ]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    local = ["-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"]
    told = run(sys.executable, "-m", "ansible", "playbook", *local, tmp_path / "play.yml", cwd=tmp_path)
    assert "failed=0" in told
