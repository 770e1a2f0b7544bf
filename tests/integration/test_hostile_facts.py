"""A host that is an enemy: whatever it is named, runs or answers, nothing of it executes where the report is read."""

from __future__ import annotations

import html.parser
import json
import shlex
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.operators import Command, Fleet
from tests.support.target import ROOT

MARK = f"/tmp/hm-it-owned-{uuid.uuid4().hex[:8]}"
TEMPLATE = "{{ lookup('pipe','touch " + MARK + "') }}"
MARKUP = "<img src=x onerror=document.title=1></script><script>document.title=1</script>[bold]"
EVIL = f"evil\x1b[31mred\x1b]0;title\x07\r\n{TEMPLATE}{{% raw %}}{MARKUP}\u202e"
# What a forged answer of the module says: it claims another fix, another policy and another host's variables.
FORGED: dict[str, Any] = {
    "changed": True,
    "findings": [
        {
            "check": "services.unneeded",
            "class": "services",
            "status": "open",
            "resource": EVIL,
            "evidence": {EVIL: [EVIL]},
            "reason": EVIL,
            "affects": [EVIL],
            "fix": {"role": "../../../tmp/evil", "risk": "safe", "tags": [EVIL]},
            "remedy": {"units": [EVIL], "entries": [EVIL], "listeners": [EVIL]},
            "title": EVIL,
        },
        {
            "check": "nosuch.check",
            "class": "redis",
            "status": "unknown",
            "resource": TEMPLATE,
            "evidence": {},
            "reason": TEMPLATE,
        },
    ],
    "ansible_facts": {
        "hostmend_max_risk": "disruptive",
        "hostmend_plan": {"roles": ["../../../tmp/evil"]},
        "hostmend_output": "/tmp/evil",
        "ansible_python_interpreter": "/tmp/evil",
        "hostmend": {EVIL: EVIL},
    },
    "classes": {EVIL: {"status": EVIL, "reason": EVIL}},
    "system": {"id": EVIL, "pretty_name": EVIL},
    "phase": "after",
}


@pytest.fixture(scope="module")
def fleet(fleet_of: Any) -> Fleet:
    made: Fleet = fleet_of("hostile")
    answer = shlex.quote(json.dumps(FORGED))
    made["hostile"].sh(f"""
        printf '#!/bin/sh\\ncat > /dev/null\\ncat /usr/local/share/answer\\n' > /usr/local/bin/forged
        printf %s {answer} > /usr/local/share/answer
        chmod 755 /usr/local/bin/forged
    """)
    made["hostile"].python(HOSTILE_PROCESSES % {"name": EVIL})
    return made


# Programs and files with such names that really run: listeners on addresses that everybody reaches.
HOSTILE_PROCESSES = r"""
import os, shutil, subprocess
name = %(name)r.replace("/", "|")
folder = "/srv/" + name[:60]
os.makedirs(folder, exist_ok=True)
program = folder + "/" + name[name.index("{{"):][:200]
shutil.copy(os.path.realpath("/usr/bin/python3"), program)
code = '''
import socket, sys, time
for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for port in (2375, 27017, 11211):
        one = socket.socket(family, socket.SOCK_STREAM)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((address, port)); one.listen()
        globals().setdefault("kept", []).append(one)
path = socket.socket(socket.AF_UNIX); path.bind("/run/" + sys.argv[1].replace("/", "|")[:60]); path.listen()
time.sleep(900)
'''
subprocess.Popen([program, "-c", code, %(name)r], cwd=folder, env={"PYTHONHOME": "/usr"}, stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
unit = "[Unit]\nDescription=%%s\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
description = name.replace("\r\n", " ").replace("%%", "%%%%")
open("/etc/systemd/system/hostile.service", "w").write(unit %% description)
subprocess.run(["systemctl", "daemon-reload"]); subprocess.run(["systemctl", "start", "hostile.service"])
"""


class Tags(html.parser.HTMLParser):
    """Collects the elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _value in attrs)


def assert_harmless(text: str) -> None:
    """Nothing in what goes to a terminal moves a cursor, changes a colour or a title, or reorders a line."""
    for bad in ("\x1b", "\x07", "\r", "\u202e", "\x00"):
        assert bad not in text
    assert "Traceback" not in text


def assert_page_harmless(path: Path) -> None:
    page = path.read_text()
    tags = Tags()
    tags.feed(page)
    assert "img" not in tags.tags
    assert not [name for name in tags.attributes if name.startswith("on")]
    assert "<script>document" not in page
    for bad in ("\x1b", "\x07", "\u202e", "\x00"):
        assert bad not in page


def assert_nothing_executed(fleet: Fleet) -> None:
    assert not Path(MARK).exists()
    assert not Path("/tmp/evil").exists()
    assert fleet["hostile"].sh(f"ls {MARK} 2>/dev/null; true") == ""


@pytest.fixture(params=["answer", "processes"])
def inventory(request: pytest.FixtureRequest, fleet: Fleet) -> str:
    """The host by a forged answer of its Python, and by what really runs on it."""
    more = (
        {"ansible_python_interpreter": "/usr/local/bin/forged", "hostmend_max_risk": "safe"}
        if request.param == "answer"
        else {}
    )
    return fleet.inventory(request.param, {"hostile": more})


def test_an_audit_of_it(hostmend: Command, fleet: Fleet, inventory: str, tmp_path: Path) -> None:
    done = hostmend("audit", "-i", inventory, "-b", "--output", str(tmp_path / "out"))
    assert done.code == 2, done.err
    assert_harmless(done.out + done.err)
    assert_page_harmless(tmp_path / "out/report.html")
    for arguments in (["runs"], ["report"], ["report", "--query", "hosts.*.findings[].resource"]):
        again = hostmend(*arguments)
        assert again.code == 0
        assert_harmless(again.out + again.err)
    assert_nothing_executed(fleet)


def test_what_it_says_reaches_the_report_as_text(hostmend: Command, inventory: str) -> None:
    done = hostmend("audit", "-i", inventory, "-b", "--format", "json")
    text = json.dumps(done.json()["hosts"]["hostile"]["findings"])
    assert "{{ lookup(" in text


def test_a_plan_and_a_prediction_for_it(hostmend: Command, fleet: Fleet, inventory: str) -> None:
    done = hostmend("remediate", "-i", inventory, "-b", "--check", "--max-risk", "disruptive")
    assert_harmless(done.out + done.err)
    assert_nothing_executed(fleet)


def test_ansibles_own_output_of_it(hostmend: Command, fleet: Fleet, inventory: str) -> None:
    hostmend("remediate", "-i", inventory, "-b", "--check", "-vvv")
    assert_nothing_executed(fleet)


def test_findings_that_a_person_chose_are_no_templates(hostmend: Command, fleet: Fleet) -> None:
    """A person is asked between two runs of Ansible, and the second is told what was chosen."""
    pexpect = pytest.importorskip("pexpect")
    inventory = fleet.inventory("asked", {"hostile": {"ansible_python_interpreter": "/usr/local/bin/forged"}})
    argv = hostmend.argv("remediate", "-i", inventory)
    child = pexpect.spawn(
        argv[0],
        argv[1:],
        cwd=str(hostmend.cwd),
        env={**hostmend.environ, "TERM": "xterm"},
        encoding="utf-8",
        timeout=60,
    )
    child.expect(r"\[y/N\]")
    child.sendline("y")
    child.expect(pexpect.EOF, timeout=120)
    child.close()
    assert_nothing_executed(fleet)


def test_a_host_does_not_choose_its_fix_or_its_policy(hostmend: Command, fleet: Fleet) -> None:
    inventory = fleet.inventory(
        "policy", {"hostile": {"ansible_python_interpreter": "/usr/local/bin/forged", "hostmend_max_risk": "safe"}}
    )
    found = {
        one["check"]: one
        for one in hostmend("audit", "-i", inventory, "--format", "json").json()["hosts"]["hostile"]["findings"]
    }
    assert found["services.unneeded"]["fix"]["role"] == "services"
    assert found["services.unneeded"]["title"] != EVIL
    assert found["nosuch.check"]["fix"] == {"risk": "manual"}
    assert found["nosuch.check"]["class"] == "nosuch"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[]",
        "{}",
        '{"findings": {}}',
        '{"findings": [3]}',
        '{"findings": [{"check": "a.b", "status": "fine"}]}',
        '{"findings": [{"check": "' + "<b>" + '", "status": "open"}]}',
        "{" * 5000,
    ],
)
def test_an_answer_that_is_none_fails_the_host_alone(hostmend: Command, fleet: Fleet, answer: str) -> None:
    fleet["hostile"].sh(
        f"printf %s {shlex.quote(answer)} > /usr/local/share/nonsense\n"
        "printf '#!/bin/sh\\ncat > /dev/null\\ncat /usr/local/share/nonsense\\n' > /usr/local/bin/nonsense\n"
        "chmod 755 /usr/local/bin/nonsense"
    )
    inventory = fleet.inventory(
        "none",
        {
            "hostile": {"ansible_python_interpreter": "/usr/local/bin/nonsense"},
            "here": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        },
    )
    done = hostmend("audit", "-i", inventory, "--class", "services", "--format", "json")
    assert done.code == 1
    hosts = done.json()["hosts"]
    assert (hosts["hostile"]["status"], hosts["here"]["status"]) == ("failed", "ok")
    assert_harmless(done.err)


def test_plain_playbooks_with_it(hostmend: Command, fleet: Fleet, inventory: str, tmp_path: Path) -> None:
    for playbook in ("audit", "remediate"):
        done = subprocess.run(
            [
                Path(sys.executable).parent / "ansible-playbook",
                "-i",
                inventory,
                ROOT / f"playbooks/{playbook}.yml",
                "-b",
                "--check",
                "-e",
                f"hostmend_output={tmp_path / playbook}",
            ],
            cwd=ROOT,
            env=hostmend.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert "Traceback" not in done.stderr
        assert (tmp_path / playbook / "report.html").exists(), done.stdout + done.stderr
        assert_page_harmless(tmp_path / playbook / "report.html")
    assert_nothing_executed(fleet)


def test_under_a_configuration_that_injects_facts_it_names_no_path(
    hostmend: Command, fleet: Fleet, tmp_path: Path
) -> None:
    """Facts of modules that are not ours become variables there, above the inventory."""
    inventory = fleet.inventory(
        "injected", {"hostile": {"ansible_python_interpreter": "/usr/local/bin/forged", "hostmend_max_risk": "safe"}}
    )
    (tmp_path / "ansible.cfg").write_text(
        f"[defaults]\ninject_facts_as_vars = True\ncollections_path = {ROOT}/.ansible/collections\npipelining = True\n",
        encoding="utf-8",
    )
    (tmp_path / "play.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - {ansible.builtin.stat: {path: /}}\n"
        f"- ansible.builtin.import_playbook: {ROOT}/playbooks/remediate.yml\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", inventory, tmp_path / "play.yml", "-b"],
        cwd=tmp_path,
        env={**hostmend.environ, "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    # It has set a policy of its own, so nothing is believed of it, and nothing goes where it says.
    assert "which is the inventory's to say" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert_nothing_executed(fleet)
