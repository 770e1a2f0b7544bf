"""What a host answers is nothing that the controller obeys, whichever module of the collection is asked."""

import json
import os
import stat
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

ANSWER = {
    "changed": False,
    "msg": "forged",
    "add_host": {"host_name": "added-by-the-host", "groups": ["all"], "host_vars": {}},
    "add_group": "group_of_the_host",
    "ansible_facts": {"fact_of_the_host": "believed"},
}
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - hostmend.hardening.{module}: {arguments}
      register: answer
      ignore_errors: true
      vars:
        ansible_python_interpreter: {interpreter}
    - debug:
        msg: "{{{{ [answer.msg, groups, hostvars['liar'].ansible_facts.fact_of_the_host | default('not believed')] }}}}"
"""
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py") if path.stem != "__init__")


def test_each_module_has_an_action_of_the_collection():
    own = {path.stem for path in (ROOT / "plugins" / "action").glob("*.py")}
    assert [name for name in MODULES if name not in own] == []


@pytest.mark.parametrize(("module", "arguments"), [("service_mask", "{units: []}"), ("journal", "{state: opened, role: x}")])
def test_an_answer_adds_no_host_no_group_and_no_fact(tmp_path, module, arguments):
    liar = tmp_path / "liar"
    liar.write_text(f"#!/bin/sh\ncat > /dev/null\ncat <<'END'\n{json.dumps(ANSWER)}\nEND\n", "utf-8")
    liar.chmod(stat.S_IRWXU)
    play = tmp_path / "play.yml"
    play.write_text(PLAY.format(module=module, arguments=arguments, interpreter=liar), "utf-8")
    made = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "liar,", "-c", "local", str(play)],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, cwd=tmp_path, timeout=120,
        env=dict(os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"),
                 ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".ansible/collections"),
                 ANSIBLE_PIPELINING="true", ANSIBLE_LOCALHOST_WARNING="false"),
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    assert "forged" in made.stdout
    assert "not believed" in made.stdout
    assert "added-by-the-host" not in made.stdout
    assert "group_of_the_host" not in made.stdout
