"""What the events of an Ansible run say: findings of each host, changes, failures and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hostmend.core import changes as derived
from hostmend.core import exit_status, validation
from hostmend.core.errors import HostmendError, StoppedError, place_of

DETECT = "security_facts"
#: What says a host's findings: the host itself, or the last report of its agent.
FINDERS = (DETECT, "agent_findings")
COLLECT = "agent_report"


@dataclass
class HostState:
    """What is known of one host so far."""

    name: str
    stage: str = "waiting"
    status: str | None = None  # ok, unreachable, failed; None: nothing was heard yet
    reason: str = ""
    before: list[dict[str, Any]] | None = None
    after: list[dict[str, Any]] | None = None
    planned: tuple[str, ...] = ()  # roles
    mend: frozenset[str] = frozenset()  # identities of findings
    extra: dict[str, Any] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    plan: dict[str, Any] = field(default_factory=dict)  # as security_facts made it
    failed_units_before: tuple[str, ...] = ()
    failed_units: tuple[str, ...] = ()
    rollback: dict[str, Any] = field(default_factory=dict)  # what a rollback of a whole run said
    agent: dict[str, Any] = field(default_factory=dict)  # what became of the report of its agent

    @property
    def findings(self) -> list[dict[str, Any]]:
        return self.after if self.after is not None else self.before or []

    @property
    def left_alone(self) -> bool:
        """True where a rollback was asked for and the host does not know the run."""
        return bool(self.rollback) and self.before is None and self.status == "ok" and not self.failures

    def result(self) -> dict[str, Any]:
        """Return the host as the report's model takes it."""
        made: dict[str, Any] = {"status": self.status or "failed", "reason": self.reason, "findings": self.findings}
        if self.plan.get("held"):
            made["held"] = str(self.plan["held"])
        if self.rollback:
            made["rollback"] = {key: value for key, value in self.rollback.items() if value and key != "runs"}
        if self.status is None:
            made["reason"] = "the run ended before the host was audited"
        if self.failures:
            made.update(status="failed", reason="; ".join(dict.fromkeys(self.failures)))
        if self.after is not None:
            made["before"] = self.before or []
        elif self.before is not None and self.planned and self.failures:
            made["reason"] += "; the host was not audited again"
        made.update(self.extra)
        if self.changes:
            made["changes"] = self.changes
        return made


class Run:
    """Takes events and keeps what they mean."""

    def __init__(self, watch: Callable[[HostState], None] | None = None) -> None:
        self.hosts: dict[str, HostState] = {}
        self.no_hosts = False
        self.problems: list[str] = []
        self.watch = watch
        self._handlers: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "runner_on_start": self._start,
            "runner_on_ok": self._ok,
            "runner_item_on_ok": self._ok,
            "runner_on_failed": self._failed,
            "runner_item_on_failed": self._item_failed,
            "runner_on_unreachable": self._unreachable,
            "playbook_on_no_hosts_matched": self._no_hosts,
        }

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event of ansible-runner."""
        handler = self._handlers.get(str(event.get("event")))
        data = event.get("event_data") or {}
        if handler is None or not isinstance(data, Mapping):
            return
        try:
            handler(data)
        except (StoppedError, OSError):  # of those who watch, not of the host
            raise
        except Exception as error:  # whatever a host has answered, the others go on
            self._unusable(data, error)

    def _unusable(self, data: Mapping[str, Any], error: Exception) -> None:
        """Have the host fail alone whose answer cannot be worked on."""
        host = self._host(data)
        if host is None:
            raise error
        why = str(error) if isinstance(error, HostmendError) else f"its answer cannot be used: {place_of(error)}"
        host.failures.append(why)
        host.stage = "failed"
        self._tell(host)

    def _host(self, data: Mapping[str, Any]) -> HostState | None:
        name = data.get("host")
        if not isinstance(name, str):
            return None
        return self.hosts.setdefault(name, HostState(name))

    def _tell(self, host: HostState) -> None:
        if self.watch is not None:
            self.watch(host)

    def _start(self, data: Mapping[str, Any]) -> None:
        host = self._host(data)
        if host is None or action(data) in ("report", "meta", "fail"):
            return
        role = role_of(data)
        if action(data) == "rollback" and not role:
            host.stage = "taking back"
        if action(data) == DETECT and not role:
            host.stage = "auditing" if host.before is None else "auditing again"
        elif role:
            host.stage = f"mending {role}"
        self._tell(host)

    def _ok(self, data: Mapping[str, Any]) -> None:
        host = self._host(data)
        result = data.get("res")
        if host is None or not isinstance(result, Mapping):
            return
        if action(data) in FINDERS and not role_of(data):
            self._detected(host, result)
        elif action(data) == COLLECT:
            self._collected(host, result)
        elif action(data) == "rollback" and not role_of(data):
            self._rolled_back(host, result)
        elif result.get("changed") and role_of(data) and action(data) not in derived.OWN and "results" not in result:
            derived.extend(host.changes, derived.of_task(data, result))

    def _detected(self, host: HostState, result: Mapping[str, Any]) -> None:
        findings = [dict(finding) for finding in result.get("findings") or () if isinstance(finding, Mapping)]
        host.failed_units = tuple(str(unit) for unit in (result.get("system") or {}).get("failed_units") or ())
        if result.get("phase") == "after":
            host.after = findings
        else:
            host.before = findings
            host.failed_units_before = host.failed_units
            plan = (result.get("ansible_facts") or {}).get("hostmend_plan") or {}
            host.plan = dict(plan)
            host.planned = tuple(str(role) for role in plan.get("roles") or ())
            host.mend = frozenset(str(one) for one in plan.get("mend") or ())
        host.status = "ok"
        host.reason = ""
        host.extra = {key: result[key] for key in ("classes", "system", "source") if result.get(key)}
        host.stage = "done"
        self._tell(host)

    def _collected(self, host: HostState, result: Mapping[str, Any]) -> None:
        host.agent = dict(result.get("agent") or {})
        if not result.get("failed"):
            host.status, host.stage = "ok", "done"
        self._tell(host)

    def _rolled_back(self, host: HostState, result: Mapping[str, Any]) -> None:
        host.rollback = validation.rollback(dict(result))
        host.changes += [
            {
                "role": str(item.get("role") or ""),
                "kind": {"path": "file"}.get(str(item.get("kind")), str(item.get("kind"))),
                "name": str(item.get("name") or ""),
                "action": f"brought back: {item.get('what')}",
            }
            for item in host.rollback.get("restored", ())
        ]
        if not result.get("failed"):
            host.status, host.stage = "ok", "done"
        self._tell(host)

    def _failed(self, data: Mapping[str, Any]) -> None:
        host = self._host(data)
        result = data.get("res")
        if host is None or not isinstance(result, Mapping) or action(data) == "fail":
            return
        if action(data) == "rollback" and not role_of(data):
            self._rolled_back(host, result)
        if action(data) == COLLECT:
            self._collected(host, result)
        if action(data) == "agent_findings" and not role_of(data):
            self._not_believed(host, result)
        elif action(data) == DETECT and not role_of(data):
            why = exit_status.host_reason(result)
            if host.before is None:
                host.status, host.reason = "failed", why
            else:
                host.failures.append(f"the second audit failed: {why}")
        elif not data.get("ignore_errors"):
            role = role_of(data)
            where = f"role {role}, " if role else ""
            host.failures.append(f"{where}{exit_status.one_line(str(data.get('task') or 'task'), 80)}: {_why(data, result)}")
        host.stage = "failed"
        self._tell(host)

    @staticmethod
    def _not_believed(host: HostState, result: Mapping[str, Any]) -> None:
        """Keep why nothing is known of a host that cannot be reached: its agent has said nothing that counts."""
        source = result.get("source") or {}
        if source.get("signature") != "missing":
            host.status = "failed"
        host.reason = f"{host.reason}; {exit_status.host_reason(result)}"
        if source:
            host.extra["source"] = dict(source)

    def _item_failed(self, data: Mapping[str, Any]) -> None:
        """An item that failed is told by the task's own failure that follows."""

    def _unreachable(self, data: Mapping[str, Any]) -> None:
        host = self._host(data)
        if host is None:
            return
        why = exit_status.host_reason(data.get("res") or {})
        if host.before is None:
            host.status, host.reason = "unreachable", why
        else:
            host.failures.append(f"the host could not be reached any more: {why}")
        host.stage = "unreachable"
        self._tell(host)

    def _no_hosts(self, data: Mapping[str, Any]) -> None:
        del data
        self.no_hosts = True


def _why(data: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Return why a task failed; what a role says in an assertion of its own is not about the connection to the host."""
    if action(data) == "assert" and result.get("msg"):
        return exit_status.one_line(str(result["msg"]), 500)
    return failure(result)


def failure(result: Mapping[str, Any]) -> str:
    """Return in one line why a task failed; of a loop what its first failed item said."""
    items = result.get("results")
    for item in items if isinstance(items, Sequence) else ():
        if isinstance(item, Mapping) and (item.get("failed") or item.get("msg")):
            return exit_status.host_reason(item)
    return exit_status.host_reason(result)


def action(data: Mapping[str, Any]) -> str:
    """Return the short name of the module or action of an event's task."""
    return str(data.get("resolved_action") or data.get("task_action") or "").rsplit(".", 1)[-1]


def role_of(data: Mapping[str, Any]) -> str:
    """Return the short name of the role of an event's task."""
    return str(data.get("role") or "").rsplit(".", 1)[-1]
