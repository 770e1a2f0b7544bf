"""dnf-automatic is told to install security updates, whatever its configuration looked like."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.support.paths import ROOT

TASKS = ROOT / "roles/updates/tasks/unattended_dnf.yml"
BEFORE = {
    "missing": None,
    "empty": "",
    "stock": "[commands]\n#upgrade_type = default\napply_updates = no\n\n[emitters]\nemit_via = stdio\n",
    "no-section": "[emitters]\nemit_via = stdio\n[base]\ndebuglevel = 1\n",
    "other-spelling": "[commands]\nupgrade_type=default\nrandom_sleep = 0\napply_updates: no",
}


def run(folder: Path, *more: str) -> dict[str, tuple[int, int]]:
    """Run the tasks that write the files; return by host how many changed, and failed."""
    tasks = [one for one in yaml.safe_load(TASKS.read_text("utf-8")) if "ansible.builtin.lineinfile" in one]
    hosts = {name: {"__updates_files": [str(folder / name)]} for name in BEFORE}
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}), "utf-8")
    (folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), "utf-8")
    argv = [sys.executable, "-m", "ansible", "playbook", "-i", str(folder / "hosts.json"), str(folder / "play.yml"), *more]
    environ = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT, env=environ)
    recap = [line.split() for line in done.stdout.splitlines() if "unreachable=" in line]
    told = {words[0]: dict(word.split("=") for word in words if "=" in word) for words in recap}
    assert set(told) == set(BEFORE), done.stdout + done.stderr
    return {name: (int(one["changed"]), int(one["failed"])) for name, one in told.items()}


def read(text: str) -> configparser.ConfigParser:
    made = configparser.ConfigParser()
    made.read_string(text)
    return made


def test_it_is_told_once_and_what_else_it_is_told_stays(tmp_path: Path) -> None:
    for name, text in BEFORE.items():
        if text is not None:
            (tmp_path / name).write_text(text, "utf-8")
    assert all(changed and not failed for changed, failed in run(tmp_path, "--check").values())
    for name, text in BEFORE.items():
        assert ((tmp_path / name).read_text("utf-8") if (tmp_path / name).exists() else None) == text
    assert all(changed and not failed for changed, failed in run(tmp_path).values())
    for name, text in BEFORE.items():
        old, told = read(text or ""), read((tmp_path / name).read_text("utf-8"))
        assert told["commands"]["upgrade_type"] == "security" and told["commands"]["apply_updates"] == "yes", name
        for section in old.sections():
            kept = {key: value for key, value in old[section].items() if key not in ("upgrade_type", "apply_updates")}
            assert kept.items() <= dict(told[section]).items(), name
    assert set(run(tmp_path).values()) == {(0, 0)}
