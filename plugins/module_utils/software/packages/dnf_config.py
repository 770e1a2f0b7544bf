# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What dnf 4, dnf 5 and yum are told: the main configuration, repositories, exclusions, version locks, automatic updates."""

import configparser
import fnmatch
import os
import re

MAIN = {"dnf5": "/etc/dnf/dnf.conf", "dnf": "/etc/dnf/dnf.conf", "yum": "/etc/yum.conf"}
FOLDERS = {"dnf5": ("/etc/yum.repos.d", "/etc/distro.repos.d", "/usr/share/dnf5/repos.d"),
           "dnf": ("/etc/yum.repos.d", "/etc/yum/repos.d", "/etc/distro.repos.d"),
           "yum": ("/etc/yum.repos.d", "/etc/yum/repos.d")}
# Of files of the same name only that of the first folder counts.
DROP_INS = {"dnf5": ("/etc/dnf/libdnf5.conf.d", "/usr/share/dnf5/libdnf.conf.d")}
OVERRIDES = {"dnf5": ("/etc/dnf/repos.override.d", "/usr/share/dnf5/repos.override.d")}
LOCKS = {"dnf5": "/etc/dnf/versionlock.toml", "dnf": "/etc/dnf/plugins/versionlock.list",
         "yum": "/etc/yum/pluginconf.d/versionlock.list"}
# The last that says something wins.
AUTOMATIC = {"dnf5": ("/usr/share/dnf5/dnf5-plugins/automatic.conf", "/etc/dnf/dnf5-plugins/automatic.conf",
                      "/etc/dnf/automatic.conf"),
             "dnf": ("/etc/dnf/automatic.conf",), "yum": ("/etc/yum/yum-cron.conf",)}
LISTS = ("exclude", "excludepkgs", "includepkgs")


def parse(text):
    """Return {section: [(option, value)]} of a configuration in the order of its lines.

    :raises configparser.Error: where it is none.
    """
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#", ";"),
                                          default_section="\0")
    parser.read_string(text)
    return {section: parser.items(section) for section in parser.sections()}


def read_main(host, tool):
    """Return (options of the main configuration, repositories in it, what is wrong with its files)."""
    made, repositories, faults = {}, [], []
    for path in drop_ins(host, DROP_INS.get(tool, ()), ".conf") + [MAIN[tool]]:
        text = host.read(path)
        if text is None and tool == "dnf" and path == MAIN["dnf"]:
            text = host.read(MAIN["yum"])
        for section, options in _sections(path, text, faults):
            if section == "main":
                apply(made, options)
            elif path == MAIN[tool]:
                repositories.append((section, path, options))
    return made, repositories, faults


def read_repositories(host, tool):
    """Return (repositories that are enabled, options of the main configuration, what is wrong with files).

    Each repository is {"id", "file", "unsigned", "local", "narrowed"}.
    """
    main, found, faults = read_main(host, tool)
    folders = [word for word in words(main.get("reposdir", "")) if word.startswith("/")] or FOLDERS[tool]
    for folder in folders:
        for name in host.list(folder):
            path = os.path.join(folder, name)
            if name.endswith(".repo"):
                found += [(section, path, options) for section, options in _sections(path, host.read(path), faults)
                          if section != "main"]
    repositories = {}
    for name, path, options in found:
        apply(repositories.setdefault(name, {"file": path}), options)
    for path in drop_ins(host, OVERRIDES.get(tool, ()), ".repo"):
        for pattern, options in _sections(path, host.read(path), faults):
            for name in fnmatch.filter(repositories, pattern):
                apply(repositories[name], options)
    return [_repository(name, one, main) for name, one in repositories.items() if not off(one.get("enabled", "1"))], main, faults


def _repository(name, options, main):
    checked = options.get("gpgcheck", main.get("gpgcheck", "0"))  # without a word nothing is checked
    return {"id": name, "file": options["file"], "unsigned": off(checked),
            "local": options.get("baseurl", "").strip().startswith("file:"), "narrowed": narrowed(options)}


def drop_ins(host, folders, ending):
    """Return the paths of drop-in files in the order in which they are read."""
    paths = {}
    for folder in folders:
        for name in host.list(folder):
            if name.endswith(ending):
                paths.setdefault(name, "%s/%s" % (folder, name))
    return [paths[name] for name in sorted(paths)]


def _sections(path, text, faults):
    try:
        return parse(text or "").items()
    except configparser.Error as error:
        faults.append("%s: %s" % (path, str(error).splitlines()[0]))
        return ()


def apply(made, options):
    """Put options over those that were read before; lists are added to."""
    for name, value in options:
        name = {"pkg_gpgcheck": "gpgcheck", "exclude": "excludepkgs"}.get(name, name)
        made[name] = "%s %s" % (made.get(name, ""), value) if name in LISTS else value


def words(value):
    """Return the words of a list."""
    return [word for word in re.split(r"[\s,]+", value) if word]


def narrowed(options):
    """Return the patterns that let less of the packages be seen than there are."""
    return words(options.get("excludepkgs", "")) + words(options.get("includepkgs", ""))


def kept_back_by(name, main, tool, repositories):
    """Return which exclusions hold a package back: "exclude in [SECTION] of FILE" each; "" where none names it."""
    places = [("main", MAIN[tool], narrowed(main))]
    places += [(one["id"], one["file"], one["narrowed"]) for one in repositories]
    return ", ".join("exclude in [%s] of %s" % (section, path) for section, path, patterns in places
                     if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))


def parse_versionlock(text):
    """Return the names that a list of locked versions holds back (``!`` excludes single versions and is left out)."""
    names = []
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if not line or line.startswith("!"):
            continue
        match = re.match(r"^(?:\d+:)?(.+?)-(?:\d+:)?[^-]+-[^-]+$", line)
        names.append(match.group(1) if match else line)
    return names


def parse_versionlock_toml(text):
    """Return the names of dnf 5's file of locked versions."""
    return [one or other for one, other in re.findall(r"""^[ \t]*name\s*=\s*(?:"([^"\n]+)"|'([^'\n]+)')""", text, re.MULTILINE)]


def read_locked(host, tool):
    """Return the names that are locked, None where nobody has locked anything."""
    text = host.read(LOCKS[tool])
    if not text or not text.strip():
        return None
    return parse_versionlock_toml(text) if tool == "dnf5" else parse_versionlock(text)


def read_automatic(host, tool):
    """Return what automatic updates are told to do; a file that cannot be read tells nothing."""
    made = {}
    for path in AUTOMATIC[tool]:
        for section, options in _sections(path, host.read(path), []):
            if section == "commands":
                apply(made, options)
    return made


def off(value):
    """Tell whether a value means no."""
    return str(value).strip().lower() in ("0", "no", "false", "off")
