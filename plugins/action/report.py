# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make one report of all hosts of the play, on the controller."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.hostmend.hardening.plugins.plugin_utils import controller, inventory_policy
from ansible_collections.hostmend.hardening.plugins.plugin_utils import run as runs

REGISTERED = ("hostmend_audit", "hostmend_audit_after", "hostmend_audit_agent", "hostmend_failure", "hostmend_failures")
KEPT = ("classes", "system", "source")


def now():
    """Return this moment as the report writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def write(path, text):
    """Write a file whole or not at all; what a host has open is for its operator's eyes."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class ActionModule(ActionBase):
    """Make the report from what security_facts registered for each host."""

    TRANSFERS_FILES = False
    BYPASS_HOST_LOOP = True

    def run(self, tmp=None, task_vars=None):
        """Make the report."""
        result = super().run(tmp, task_vars)
        del tmp
        task_vars = task_vars or {}
        # The facts of each host, the first one's included, name neither a file of the controller nor the run.
        known = inventory_policy.without_facts(task_vars)
        left = task_vars.get("ansible_play_hosts", ())
        hosts = {
            name: self._host(inventory_policy.of_other(task_vars["hostvars"], name, REGISTERED), name in left)
            for name in task_vars.get("ansible_play_hosts_all", ())
        }
        hosts = {name: host for name, host in hosts.items() if host is not None}
        for name, changes in runs.changes().items():
            if name in hosts:
                hosts[name]["changes"] = changes
        mended = any("before" in host for host in hosts.values())
        run = {
            "id": runs.given(task_vars) or runs.name(),
            "started": min((host.pop("at") for host in hosts.values()), default=now()),
            "finished": now(),
            "mode": "check" if self._task.check_mode else "remediate" if mended else "audit",
            "version": controller.importlib.import_module(
                controller.part("report").__package__.split(".")[0]
            ).__version__,
        }
        catalog = controller.catalog()
        report = controller.part("report.model").build(run, hosts, catalog)
        output = self._task.args.get("output") or self._option("hostmend_output", known, task_vars)
        if output:
            directory = Path(self._loader.path_dwim(str(output)))
            result.update(files=self._write(directory, report), directory=str(directory))
        result["msg"] = self._lines(report, result.get("files", ()))
        result["score"] = report["score"]
        result["_ansible_verbose_always"] = True
        self._judge(result, report, self._task.args.get("fail_on") or self._option("hostmend_fail_on", known, task_vars))
        return result

    def _option(self, name, known, task_vars):
        """Return a variable that the operator has set; '' where there is none."""
        if name not in known and name in task_vars:  # the facts of this host hide it, and those of another may not
            others = task_vars.get("ansible_play_hosts_all", ())
            given = (inventory_policy.of_other(task_vars["hostvars"], other, [name]) for other in others)
            return next((values[name] for values in given if name in values), "") or ""
        if name not in known:
            return ""
        try:
            return self._templar.copy_with_new_env(available_variables=known).template(known[name]) or ""
        except AnsibleError as error:
            raise AnsibleActionFail(f"{name} cannot be evaluated: {error}") from error

    @staticmethod
    def _lost(before, stand_in):
        """Return a host that cannot be reached, and whose agent has said nothing that counts."""
        reason = controller.part("core.exit_status").host_reason
        missing = stand_in["source"].get("signature") == "missing"
        return {
            "status": "unreachable" if missing else "failed",
            "reason": f"{reason(before)}; {reason(stand_in)}",
            "findings": [],
            "at": now(),
            "source": stand_in["source"],
        }

    @classmethod
    def _host(cls, variables, left):
        before, after = variables.get("hostmend_audit"), variables.get("hostmend_audit_after")
        stand_in = variables.get("hostmend_audit_agent") or {}
        if stand_in.get("source") and not stand_in.get("skipped"):
            if stand_in.get("failed"):
                return cls._lost(before, stand_in)
            before = stand_in
        if not before:
            return None
        last = after if after and not after.get("skipped") else before
        made = {"status": "ok", "findings": list(last.get("findings") or ()), "at": before.get("at") or now()}
        if last is after:
            made["before"] = list(before.get("findings") or ())
        if last.get("unreachable"):
            made.update(status="unreachable", reason=controller.part("core.exit_status").host_reason(last))
        elif last.get("failed"):
            made.update(status="failed", reason=controller.part("core.exit_status").host_reason(last))
        failure = variables.get("hostmend_failure") or "; ".join(map(str, variables.get("hostmend_failures") or ()))
        if not failure and not left and made["status"] == "ok":
            failure = "the host could not be reached any more"
        if failure:
            made.update(status="failed", reason=str(failure))
        made.update({key: last[key] for key in KEPT if last.get(key)})
        return made

    @staticmethod
    def _write(directory, report):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            write(directory / "report.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
            write(directory / "report.html", controller.part("report.html").render(report))
        except OSError as error:
            raise AnsibleActionFail(f"the report cannot be written to {directory}: {error.strerror}") from error
        return [str(directory / "report.json"), str(directory / "report.html")]

    @staticmethod
    def _lines(report, files):
        text = controller.part("report.text")
        visible = text.visible
        lines = []
        for name, host in report["hosts"].items():
            counts = {}
            for finding in host["findings"]:
                counts[finding["status"]] = counts.get(finding["status"], 0) + 1
            said = ", ".join(
                f"{counts[status]} {status}" for status in ("open", "unknown", "waived", "passed") if counts.get(status)
            )
            if host["status"] != "ok":
                said = f"{host['status']}: {visible(host.get('reason', ''), 300)}"
            if host["status"] == "ok" and host.get("source"):
                said += f" (from its agent, {host['source'].get('age_seconds')} s ago)"
            lines.append(f"{visible(name)}: {said or 'no finding'}")
            for finding in host["findings"]:
                if finding["status"] == "open" or finding.get("outcome"):
                    words = finding.get("outcome", finding["status"]).replace("_", " ")
                    grade = finding.get("level") or finding.get("severity")
                    lines.append(f"  {words}: {grade} {visible(finding['check'])} {visible(finding['resource'], 200)}")
        if text.runs_in_pipeline(os.environ):
            lines = [text.without_commands(line) for line in lines]
        score = report["score"]
        lines.append(f"score {score if score is not None else 'unknown'} of 100")
        return [*lines, *(f"written: {name}" for name in files)]

    @staticmethod
    def _judge(result, report, fail_on):
        lost = [name for name, host in report["hosts"].items() if host["status"] != "ok"]
        if lost:
            result["failed"] = True
            result["msg"].append(f"{len(lost)} of {len(report['hosts'])} hosts failed or could not be reached")
        if not fail_on or fail_on == "never":
            return
        if fail_on not in ("high", "medium", "low", "never"):
            raise AnsibleActionFail(f"hostmend_fail_on must be high, medium, low or never, not {fail_on!r}")
        count = controller.part("core.exit_status").open_at(report, fail_on)
        if count:
            result["failed"] = True
            result["msg"].append(f"{count} open at or above {fail_on}")
