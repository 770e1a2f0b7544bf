"""After a run: tell each channel what is new, hold back what has to wait, and say what came of it."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hostmend.core.errors import HostmendError, near
from hostmend.notify import deliver, pending, secret
from hostmend.notify import message as news
from hostmend.notify.settings import Channel, Settings
from hostmend.store import history, state_directory

Send = Callable[[Mapping[str, str]], str]
Result = dict[str, str]
#: Channels that are sent to at once.
AT_ONCE = 8


class Dispatcher:
    """Sends by the rules of one settings file. Nothing in here raises for a channel that fails."""

    def __init__(
        self,
        settings: Settings,
        language: str = "en",
        password_files: Sequence[str] = (),
        passwords: Sequence[str] = (),
        send: Send = deliver.send,
        state: Path | None = None,
        clock: Callable[[], datetime.datetime] = pending.now,
    ) -> None:
        self.settings = settings
        self.language = settings.language or language
        self.password_files, self.passwords = tuple(password_files), tuple(passwords)
        self.send = send
        self.pending = pending.Pending(state or state_directory() / "notify.json")
        self.clock = clock

    def after_run(self, report: Mapping[str, Any]) -> list[Result]:
        """Tell the channels what a run found, and return for each what came of it."""
        return self._guarded(lambda state: self._after_run(report, state))

    def flush(self) -> list[Result]:
        """Send what waited and need not wait any longer; return what came of each channel that had something due."""
        return [one for one in self._guarded(self._send_due) if one["status"] in ("sent", "failed")]

    def now(self, report: Mapping[str, Any]) -> list[Result]:
        """Tell the channels of a kept run at once, because a person asks for it: quiet hours and digests do not count."""
        jobs = []
        for channel in self.settings.channels:
            found = news.items(report, channel, _lost(report))
            jobs.append((channel, news.compose(found, [news.about(report)], self.language)))
        return self._send_all(jobs)

    def test(self, names: Iterable[str] = ()) -> list[Result]:
        """Send a test to all channels, or to those named."""
        names = tuple(names)
        known = [one.name for one in self.settings.channels]
        for name in names:
            if name not in known:
                raise HostmendError(f"no such channel: {name}{near(name, known)}; there are {', '.join(known)}")
        words = news.WORDS[self.language]
        message = {"title": words["test_title"], "body": words["test"], "type": "info"}
        return self._send_all([(one, message) for one in self.settings.channels if not names or one.name in names])

    def failure(self, title: str, body: str) -> list[Result]:
        """Tell at once that a run could not be made; quiet hours hold it back only for a channel that has them now."""
        message = {"title": news.plain(title, news.TITLE), "body": news.plain(body, news.BODY), "type": "failure"}
        moment = self.clock()
        wanted = [one for one in self.settings.channels if one.failures]
        held = [one for one in wanted if one.is_quiet(moment)]
        results = self._send_all([(one, message) for one in wanted if one not in held])
        if held:
            item = {"word": "lost", "grade": "", "host": "-", "check": "run", "resource": "", "title": f"{title}: {body}"}

            def keep(state: dict[str, Any]) -> list[Result]:
                for one in held:
                    pending.add(pending.of_channel(state, self._key(one)), [item], {"run": "-", "score": None, "ended": 0})
                return [_result(one, "held", "quiet hours") for one in held]

            results += self._guarded(keep)
        return results

    def _guarded(self, work: Callable[[dict[str, Any]], list[Result]]) -> list[Result]:
        results: list[Result] | None = None
        try:
            with self.pending.alone() as state:
                results = work(state)
        except OSError as error:
            # What has to wait cannot be kept: sending is what is left, and the person is told.
            results = work({}) if results is None else results
            why = f"{self.pending.path} cannot be written: {error.strerror}"
            return [*results, {"channel": "*", "status": "failed", "reason": why}]
        return results

    def _after_run(self, report: Mapping[str, Any], state: dict[str, Any]) -> list[Result]:
        lost = _lost(report)
        known = state.setdefault("lost", {})
        scope = history.scope(report["run"])
        newly = [name for name in lost if name not in known.get(scope, ())]
        known[scope] = [*(name for name in known.get(scope, ()) if name not in report["hosts"]), *lost]
        nothing: list[Result] = []
        for channel in self.settings.channels:
            part = pending.of_channel(state, self._key(channel))
            found = news.items(report, channel, newly)
            if found or channel.digest:
                pending.add(part, found, news.about(report))
            if not part["items"] and not channel.digest:
                nothing.append(_result(channel, "nothing"))
        return sorted([*nothing, *self._send_due(state)], key=lambda one: one["channel"])

    def _send_due(self, state: dict[str, Any]) -> list[Result]:
        """Send what waits on each channel, unless it has to wait on."""
        moment = self.clock()
        results: list[Result] = []
        jobs = []
        for channel in self.settings.channels:
            part = pending.of_channel(state, self._key(channel))
            if not part["items"] and not (channel.digest and channel.empty):
                continue
            if channel.digest and not channel.digest_due(_moment(part.get("digest")), moment):
                results.append(_result(channel, "held", f"{channel.digest} digest"))
            elif channel.is_quiet(moment):
                results.append(_result(channel, "held", "quiet hours"))
            else:
                jobs.append((channel, news.compose(news.ordered(part["items"]), part["runs"], self.language)))
        sent = self._send_all(jobs)
        for (channel, _message), result in zip(jobs, sent, strict=True):
            if result["status"] == "sent":
                part = pending.of_channel(state, self._key(channel))
                pending.take(part)
                part["digest"] = moment.isoformat()
        return [*results, *sent]

    def _send_all(self, jobs: Sequence[tuple[Channel, dict[str, str]]]) -> list[Result]:
        if not jobs:
            return []
        with ThreadPoolExecutor(min(AT_ONCE, len(jobs))) as pool:
            return list(pool.map(lambda job: self._send_one(*job), jobs))

    def _send_one(self, channel: Channel, message: Mapping[str, str]) -> Result:
        try:
            url = secret.url(channel, self.settings, self.password_files, self.passwords)
        except HostmendError as error:
            return _result(channel, "failed", str(error))
        why = self.send({**message, "url": url})
        return _result(channel, "failed", why) if why else _result(channel, "sent")

    def _key(self, channel: Channel) -> str:
        return f"{os.path.realpath(self.settings.path)}#{channel.name}"


def told(results: Iterable[Result]) -> list[str]:
    """Return one line for each channel that failed."""
    return [f"notification {one['channel']}: {one['reason']}" for one in results if one["status"] == "failed"]


def _result(channel: Channel, status: str, reason: str = "") -> Result:
    return {"channel": channel.name, "status": status, **({"reason": reason} if reason else {})}


def _lost(report: Mapping[str, Any]) -> list[str]:
    return [name for name, host in report["hosts"].items() if host["status"] != "ok"]


def _moment(text: Any) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)
