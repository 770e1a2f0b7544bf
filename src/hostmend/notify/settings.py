"""The notifications file: channels, what each is told, and when."""

from __future__ import annotations

import datetime
import fnmatch
import os
import re
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from hostmend import catalog
from hostmend.core import exit_status, maintenance_windows
from hostmend.core.errors import HostmendError, near
from hostmend.core.finding import GRADES, grade
from hostmend.core.input_files import read_text

#: Ansible reads only those files of group_vars that bear the name of a group, so it leaves this one alone.
PLACE = "group_vars/hostmend_notify.yml"
LIMIT = 1024 * 1024
SOURCES = ("url", "url_file", "url_env")
RULES = ("at_least", "grades", "classes", "hosts", "what", "quiet", "time_zone", "digest", "digest_at", "empty", "failures")
TOP = (*RULES, "language", "vault_password_file", "channels")
Stop = Callable[[str], NoReturn]
DIGESTS = ("daily", "weekly")


@dataclass(frozen=True)
class Channel:
    """One channel, with the rules that hold for it."""

    name: str
    source: str  # url, url_file or url_env
    value: Any = field(repr=False)  # the URL, a Vaulted, the path of a file, or the name of a variable
    at_least: str = "medium"
    grades: tuple[str, ...] = ()  # only these; stands above at_least
    classes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    what: str = "new"  # or open: all that is open, at each run
    quiet: tuple[maintenance_windows.Window, ...] = ()
    zone: datetime.tzinfo | None = None
    digest: str = ""
    digest_at: datetime.time = datetime.time(8, 0)
    empty: bool = False  # a digest also where nothing happened
    failures: bool = True  # hosts that could not be audited, and runs that could not begin

    def wants(self, host: str, finding: Mapping[str, Any]) -> bool:
        """True where the channel is to hear of this finding of this host."""
        word = grade(finding)
        if self.grades and word not in self.grades:
            return False
        if not self.grades and exit_status.GRAVITY.get(word, 1) < exit_status.GRAVITY[self.at_least]:
            return False
        return self.hears_of(host) and _chosen(str(finding.get("class")), self.classes)

    def hears_of(self, host: str) -> bool:
        return _chosen(host, self.hosts)

    def is_quiet(self, moment: datetime.datetime) -> bool:
        return any(one.holds(moment) for one in self.quiet)

    def digest_due(self, last: datetime.datetime, moment: datetime.datetime) -> bool:
        """True where the moment of a digest has come since the last one."""
        local = moment.astimezone(self.zone)
        at = local.replace(hour=self.digest_at.hour, minute=self.digest_at.minute, second=0, microsecond=0)
        if self.digest == "weekly":
            at -= datetime.timedelta(days=at.weekday())
        if at > local:
            at -= datetime.timedelta(days=7 if self.digest == "weekly" else 1)
        return last < at


@dataclass(frozen=True)
class Vaulted:
    """A value that ansible-vault has encrypted."""

    text: str = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """The notifications file."""

    path: Path
    channels: tuple[Channel, ...]
    language: str | None = None
    vault_password_file: Path | None = None
    open_secrets: bool = False  # a URL stands in a file that others can read


def _chosen(name: str, patterns: Iterable[str]) -> bool:
    wanted = [one for one in patterns if not one.startswith("!")]
    if any(fnmatch.fnmatchcase(name, one[1:]) for one in patterns if one.startswith("!")):
        return False
    return not wanted or any(one == "all" or fnmatch.fnmatchcase(name, one) for one in wanted)


def find(inventories: Iterable[str], environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the notifications file that is meant where none is named: HOSTMEND_NOTIFY, beside an inventory, the user's own.

    :raises HostmendError: where HOSTMEND_NOTIFY names a file that is not there.
    """
    environ = os.environ if environ is None else environ
    if environ.get("HOSTMEND_NOTIFY"):
        path = Path(environ["HOSTMEND_NOTIFY"]).expanduser()
        if not path.is_file():
            raise HostmendError(f"HOSTMEND_NOTIFY: no such file: {path}")
        return path
    for one in inventories:
        if "," in one:
            continue
        place = Path(one).expanduser().absolute()
        path = (place if place.is_dir() else place.parent) / PLACE
        if path.is_file():
            return path
    base = environ.get("XDG_CONFIG_HOME") or ""
    path = (Path(base) if base.startswith("/") else Path.home() / ".config") / "hostmend/notify.yml"
    return path if path.is_file() else None


class _Lined(dict[str, Any]):
    """A mapping that knows the line of each of its keys."""

    lines: dict[str, int]


class _Loader(yaml.SafeLoader):
    pass


def _mapping(loader: _Loader, node: yaml.MappingNode) -> _Lined:
    made = _Lined({str(key): value for key, value in loader.construct_mapping(node, deep=True).items()})
    made.lines = {str(key.value): key.start_mark.line + 1 for key, _value in node.value}
    if len(made.lines) < len(node.value):
        names = [str(key.value) for key, _value in node.value]
        twice = next(name for name in names if names.count(name) > 1)
        raise yaml.constructor.ConstructorError(None, None, f"{twice} is given twice", node.start_mark)
    return made


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("!vault", lambda loader, node: Vaulted(str(loader.construct_scalar(node))))  # type: ignore[arg-type]


def everybody_reads(path: Path) -> bool:
    """Tell whether each user of this machine may read a file; OSError where that cannot be told."""
    return bool(path.stat().st_mode & 0o004)


def load(path: Path) -> Settings:
    """Return the settings of a file.

    :raises HostmendError: in one line that names the file and the line in it, where they cannot be taken.
    """
    try:
        if path.stat().st_size > LIMIT:
            raise HostmendError(f"the notifications {path} are larger than {LIMIT} bytes")
        text = read_text(path, LIMIT)
        others = everybody_reads(path)
    except UnicodeDecodeError as error:
        raise HostmendError(f"the notifications {path} are not UTF-8: {error.reason}") from error
    except OSError as error:
        raise HostmendError(f"the notifications {path} cannot be read: {error.strerror}") from error
    return parse(text, path, others)


def parse(text: str, path: Path, others_read: bool = False) -> Settings:
    """Return the settings of a text."""
    if text.startswith("$ANSIBLE_VAULT;"):
        raise HostmendError(
            f"the notifications {path} are encrypted as a whole: encrypt each url instead (ansible-vault encrypt_string)"
        )
    try:
        found = yaml.load(text, _Loader)  # a SafeLoader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or "not YAML"  # without PyYAML's snippet: it may hold a token
        raise HostmendError(f"the notifications {path} cannot be read{where}: {why}") from error
    if not isinstance(found, _Lined):
        raise HostmendError(f"the notifications {path} are not a mapping with channels")
    teller = _Teller(path)
    teller.members(found, TOP, "")
    given = found.get("channels")
    if not isinstance(given, _Lined) or not given:
        raise teller.fault(found, "channels", "channels has to name at least one channel, each with its url, url_file or url_env")
    channels = tuple(_channel(str(name), one, found, given, teller) for name, one in given.items())
    language = found.get("language")
    if language is not None and language not in catalog.LANGUAGES:
        teller.stop(found, "language", f"no such language: {language}; there are {', '.join(catalog.LANGUAGES)}")
    secret = found.get("vault_password_file")
    return Settings(
        path,
        channels,
        language,
        path.parent / Path(str(secret)).expanduser() if secret else None,
        others_read and any(one.source == "url" and isinstance(one.value, str) for one in channels),
    )


class _Teller:
    """Complains with the file and the line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fault(self, at: _Lined, key: str, words: str) -> HostmendError:
        line = at.lines.get(key)
        return HostmendError(f"the notifications {self.path}{f', line {line}' if line else ''}: {words}")

    def stop(self, at: _Lined, key: str, words: str) -> NoReturn:
        raise self.fault(at, key, words)

    def members(self, given: _Lined, known: Iterable[str], name: str) -> None:
        for key in given:
            if key not in known:
                where = f"channel {name}: " if name else ""
                self.stop(given, str(key), f"{where}no such setting: {key}{near(str(key), known)}; there are {', '.join(known)}")


def _channel(name: str, given: Any, top: _Lined, channels: _Lined, teller: _Teller) -> Channel:
    if not isinstance(given, _Lined):
        teller.stop(channels, name, f"channel {name} is not a mapping with url, url_file or url_env")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        teller.stop(channels, name, "the name of a channel is letters, digits, '-', '_' and '.'")
    teller.members(given, (*SOURCES, *RULES), name)
    sources = [one for one in SOURCES if given.get(one) not in (None, "")]
    if len(sources) != 1:
        teller.stop(channels, name, f"channel {name} has to have one of {', '.join(SOURCES)}")
    value = given[sources[0]]
    if not isinstance(value, (str, Vaulted)) or (sources[0] != "url" and isinstance(value, Vaulted)):
        teller.stop(given, sources[0], f"channel {name}: {sources[0]} is not text")
    if sources[0] == "url" and isinstance(value, str) and "://" not in value:
        teller.stop(given, "url", f"channel {name}: url is not an apprise URL such as mailto://... or json://...")
    if sources[0] == "url_file":
        value = teller.path.parent / Path(str(value)).expanduser()
    return Channel(name, sources[0], value, **_rules(name, given, top, teller))


def _rules(name: str, given: _Lined, top: _Lined, teller: _Teller) -> dict[str, Any]:
    made: dict[str, Any] = {}
    zone = None
    for key in ("time_zone", *(one for one in RULES if one != "time_zone")):
        at = given if key in given else top
        if key not in at or at[key] is None:
            continue
        value = at[key]

        def stop(words: str, at: _Lined = at, key: str = key) -> NoReturn:
            teller.stop(at, key, f"channel {name}: {words}" if at is given else words)

        if key == "time_zone":
            zone = made["zone"] = _zone(value, stop)
        elif key == "at_least":
            if value not in exit_status.GRAVITY:
                stop(f"at_least is one of {', '.join(GRADES)}, not {value}")
            made[key] = value
        elif key in ("grades", "classes", "hosts"):
            made[key] = _names(key, value, stop)
        elif key == "what":
            if value not in ("new", "open"):
                stop(f"what is new or open, not {value}")
            made[key] = value
        elif key == "quiet":
            made[key] = _quiet(value, zone, stop)
        elif key == "digest":
            if value not in (*DIGESTS, False, "none"):
                stop(f"digest is {', '.join(DIGESTS)} or none, not {value}")
            made[key] = value if value in DIGESTS else ""
        elif key == "digest_at":
            made[key] = _clock(value, stop)
        elif not isinstance(value, bool):
            stop(f"{key} is true or false, not {value}")
        else:
            made[key] = value
    return made


def _zone(value: Any, stop: Stop) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(str(value))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        stop(f"no such time zone: {value}")


def _names(key: str, value: Any, stop: Stop) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(one, str) and one.strip() for one in names):
        stop(f"{key} is a list of names")
    known = catalog.load().classes if key == "classes" else GRADES if key == "grades" else None
    for one in names:
        bare = one.lstrip("!")
        if known is not None and bare != "all" and bare not in known and not set("*?") & set(bare):
            stop(f"no such {'class' if key == 'classes' else 'grade'}: {bare}{near(bare, known)}")
    return tuple(names)


def _clock(value: Any, stop: Stop) -> datetime.time:
    # YAML takes 08:00 without quotes for a number of minutes in base 60.
    text = f"{value // 60:02}:{value % 60:02}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    try:
        return datetime.time.fromisoformat(text.zfill(5))
    except ValueError:
        stop(f"digest_at is a time of day such as '08:00', not {value}")


def _quiet(value: Any, zone: zoneinfo.ZoneInfo | None, stop: Stop) -> tuple[maintenance_windows.Window, ...]:
    made = []
    for one in value if isinstance(value, list) else [value]:
        try:
            window = maintenance_windows.parse(str(one))
        except HostmendError:
            stop(f"{one!r} is no quiet time: write it as '22:00-07:00' or 'Sat,Sun 00:00-00:00 Europe/Berlin'")
        made.append(maintenance_windows.Window(window.days, window.begin, window.end, window.zone or zone, window.text))
    return tuple(made)
