# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a unit starts Redis: the command line that is read after the file and beats it, and who gives each option."""

import json
import os
import re
import shlex
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.host import boot
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.config import quoted
from ansible_collections.hostmend.hardening.plugins.module_utils.software.redis.config import split_words

PROGRAMS = ("redis-server", "redis-sentinel", "valkey-server", "valkey-sentinel", "keydb-server", "keydb-sentinel")
WRAPPERS = ("env", "nice", "ionice", "numactl", "taskset", "chrt", "setpriv", "stdbuf", "nohup", "exec", "setarch", "tini")
SHELLS = ("sh", "bash", "dash", "ash")
TOKEN = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
VARIABLE = re.compile(r"\$\{(\w{1,100})\}")
DROP_IN = "/etc/systemd/system/%s.d/zz-hostmend.conf"


class Start(NamedTuple):
    """How Redis is started.

    ``options`` are lines as a file would have them; ``source`` is the file that gives the command, ``command`` its text
    there; ``borrowed`` the names of options that come from the environment, with where. ``gap`` says why nothing of it
    is known.
    """

    unit: str = ""
    config_file: str = ""
    options: Tuple[str, ...] = ()
    source: str = ""
    command: str = ""
    borrowed: Tuple[Tuple[str, str], ...] = ()
    known: bool = False
    gap: str = ""

    @property
    def names(self) -> List[str]:
        """The names of the options."""
        return [option.split(" ", 1)[0].lower() for option in self.options]


def parse_arguments(words: Sequence[str]) -> Tuple[str, List[str]]:
    """Return (configuration file, options as lines of a file) of the arguments after the program."""
    path, lines = "", []
    rest = list(words)
    if rest and rest[0][:1] != "-":
        path = rest.pop(0)
    for word in rest:
        if word.startswith("--"):
            if word[2:] and word[2:].lower() != "sentinel":
                lines.append(word[2:])
            continue
        if lines and word != "-":
            lines[-1] += " " + (word if _plain(word) else quoted(word))
    return path, [_flat(line) for line in lines]


def _plain(word: str) -> bool:
    return bool(word) and not any(sign.isspace() or sign in "\"'\\" for sign in word)


def _flat(line: str) -> str:
    # Addresses may be given as one argument.
    words = split_words(line) or []
    if len(words) == 2 and words[0].lower() == "bind" and " " in words[1]:
        return " ".join([words[0]] + words[1].split())
    return line


def program_words(words: Sequence[str]) -> Tuple[Optional[List[str]], str]:
    """Return (the words from Redis' program on, "") of a command, or (None, the program that hides it)."""
    rest = list(words)
    if not rest:
        return None, ""
    name = os.path.basename(rest[0])
    if name in SHELLS and len(rest) >= 3 and rest[1] in ("-c", "-lc", "-ec"):
        if any(sign in rest[2] for sign in ";&|`<>()\n"):
            return None, name
        try:
            return program_words(shlex.split(rest[2]))
        except ValueError:
            return None, name
    for at, word in enumerate(rest):
        if os.path.basename(word) in PROGRAMS:
            if at and name not in WRAPPERS:
                break
            return rest[at:], ""
    return None, name


def environment(host: Any, settings: Dict[Tuple[str, str], List[str]]) -> Dict[str, Tuple[str, str]]:
    """Return {name: (value, file that gives it, "" for the unit's own)} of a unit."""
    found: Dict[str, Tuple[str, str]] = {}
    for line in settings.get(("Service", "Environment"), ()):
        for word in split_words(line) or ():
            name, equals, value = word.partition("=")
            if equals:
                found[name] = (value, "")
    for path in settings.get(("Service", "EnvironmentFile"), ()):
        path = path.lstrip("-")
        for line in (host.read(path, boot.UNIT_LIMIT) or "").splitlines():
            line = line.strip()
            name, equals, value = line.partition("=")
            if equals and line[:1] not in "#;" and re.match(r"\w{1,100}\Z", name.strip()):
                found[name.strip()] = (_unquoted(value.strip()), path)
    return found


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def expanded(tokens: Sequence[str], known: Dict[str, Tuple[str, str]], unit: str) -> List[Tuple[str, str]]:
    """Return (word, where it comes from, "" for the command itself) of each word of a command."""
    instance = unit.partition("@")[2].rsplit(".", 1)[0]
    name = unit.rsplit(".", 1)[0]
    specifiers = {"%i": instance, "%I": instance.replace("-", "/"), "%n": unit, "%N": name, "%p": name.partition("@")[0],
                  "%t": "/run", "%%": "%"}
    found: List[Tuple[str, str]] = []
    for token in tokens:
        token = re.sub(r"%[iInNpt%]", lambda match: specifiers[match.group(0)], token)
        whole = re.match(r"\$(\w{1,100})\Z", token)
        if whole:
            value, place = known.get(whole.group(1), ("", ""))
            found += [(word, place or "the environment of %s" % unit) for word in split_words(value) or value.split()]
            continue
        place = ""
        for variable in VARIABLE.findall(token):
            place = known.get(variable, ("", ""))[1] or "the environment of %s" % unit
        token = VARIABLE.sub(lambda match: known.get(match.group(1), ("", ""))[0], token).replace("$$", "$")
        found.append((token, place))
    return found


def unit_start(host: Any, unit: Optional[str]) -> Start:
    """Return how the files of a unit start Redis: what the next start will do."""
    if not unit or not unit.endswith(".service"):
        return Start(gap="no unit starts it")
    fragment = next((each.fragment for each in host.units().items if each.name == unit), None)
    fragment = fragment or boot.fragment_of(host, unit)
    texts = [(path, host.read(path, boot.UNIT_LIMIT) or "") for path in boot.unit_files(host, unit, fragment)]
    settings = boot.parse_unit([text for unused, text in texts])
    commands = settings.get(("Service", "ExecStart"), [])
    if not commands:
        return Start(unit=unit, gap="how %s starts it is not known" % unit)
    command = commands[-1]
    source = next((path for path, text in reversed(texts) if boot.parse_unit([text]).get(("Service", "ExecStart"))), "")
    return command_start(command, unit, source, environment(host, settings))


def command_start(command: str, unit: str, source: str, known: Dict[str, Tuple[str, str]]) -> Start:
    """Return how a command of a unit starts Redis."""
    bare = re.sub(r"^[-@:+!|]+", "", command)
    try:
        tokens = shlex.split(bare)
    except ValueError:
        tokens = bare.split()
    words = expanded(tokens, known, unit)
    arguments, hidden = program_words([word for word, unused in words])
    if arguments is None:
        return Start(unit=unit, source=source, command=command,
                     gap="%s starts it by %s, and what that gives it is not known" % (unit, hidden or "something else"))
    path, options = parse_arguments(arguments[1:])
    given = [(word[2:].lower(), place) for word, place in words if word.startswith("--") and place]
    if tokens and os.path.basename(tokens[0]) in SHELLS:
        given += [(option.split(" ", 1)[0].lower(), source) for option in options]
    return Start(unit=unit, config_file=path, options=tuple(options), source=source, command=command,
                 borrowed=tuple(given), known=True)


def without_options(command: str, names: Sequence[str]) -> str:
    """Return a unit's command without some options and their values."""
    kept: List[str] = []
    dropping = False
    for token in TOKEN.findall(command):
        bare = token.strip("\"'")
        if bare.startswith("--"):
            dropping = bare[2:].split(" ", 1)[0].lower() in names
        if not dropping:
            kept.append(token)
    return " ".join(kept)


def drop_in(command: str) -> str:
    """Return the text of a drop-in that starts a unit by another command."""
    return "# Written by hostmend: options that its configuration file gives are not repeated here.\n" \
           "[Service]\nExecStart=\nExecStart=%s\n" % command


def container_start(text: Optional[str], source: str) -> Optional[Start]:
    """Return how a container starts Redis by its OCI specification; None where that is not it."""
    if not text:
        return None
    try:
        words = json.loads(text)["process"]["args"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return None
    arguments, hidden = program_words(words)
    if arguments is None and len(words) > 1:  # an entry point that runs what follows it
        arguments, hidden = program_words(words[1:])
    if arguments is None:
        return Start(source=source, gap="its container starts it by %s" % hidden)
    path, options = parse_arguments(arguments[1:])
    return Start(unit="its container", config_file=path, options=tuple(options), source=source, known=True,
                 borrowed=tuple((option.split(" ", 1)[0].lower(), source) for option in options))


def config_path(process: Any, info: Dict[str, str], begun: Start) -> str:
    """Return the configuration file: as the server says, else from its arguments, else from its unit."""
    if info.get("config_file", "").startswith("/"):
        return os.path.normpath(info["config_file"])
    for word in [word for argument in process.argv[1:] for word in argument.split(" ")]:
        if word.endswith(".conf"):
            return os.path.normpath(os.path.join(process.cwd or "/", word))
    if begun.config_file:
        return os.path.normpath(os.path.join(process.cwd or "/", begun.config_file))
    return ""
