# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What apt says: simulated upgrades, version tables, sources and the index files they led to."""

import calendar
import fnmatch
import re
import time

# Takes no lock, so that it disturbs no other run of apt and needs no privilege.
SIMULATE = ("apt-get", "-s", "-q", "-o", "Debug::NoLocking=1")
# apt writes its binary cache anew where that is old; then it is to be made in memory.
IN_MEMORY = ("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=")
INST = re.compile(r"^Inst (\S+)(?: \[([^\]]*)\])? \((\S+)(?: ([^\[\]]*?))?(?: \[([^\]]*)\])?\)")
REMV = re.compile(r"^(?:Remv|Purg) (\S+)(?: \[([^\]]*)\])?")
HALF_DONE = ("half-installed", "half-configured", "unpacked", "triggers-awaited", "triggers-pending")


def parse_simulation(text):
    """Return (what would be installed, [[name, version] that would be removed]) of ``apt-get -s``.

    Each of the first is {"name", "installed" ("" for a new package), "candidate", "origins", "arch"}.
    """
    wanted, removed = [], []
    for line in text.splitlines():
        match = INST.match(line)
        if match:
            name, installed, candidate, origins, arch = match.groups()
            wanted.append({"name": name, "installed": installed or "", "candidate": candidate, "arch": arch or "",
                           "origins": [one.strip() for one in (origins or "").split(", ") if one.strip()]})
            continue
        match = REMV.match(line)
        if match:
            removed.append([match.group(1), match.group(2) or ""])
    return wanted, removed


def is_security(suite, release, more=()):
    """True for a source that is for security updates.

    :param suite: as the list of sources has it.
    :param release: its Release file, read by parse_release.
    :param more: labels, suites and codenames that the policy counts too.
    """
    names = {suite.rstrip("/"), release.get("suite", ""), release.get("codename", ""), release.get("label", "")} - {""}
    label = release.get("label", "")
    return (suite.rstrip("/").endswith(("-security", "/updates")) or release.get("suite", "").endswith("-security")
            or label in ("Debian-Security", "Debian Security") or label.startswith("UbuntuESM") or bool(names & set(more)))


# What the keys of an origin's pattern are in a Release file.
ORIGIN_KEYS = {"o": "origin", "origin": "origin", "l": "label", "label": "label", "a": "suite", "suite": "suite",
               "archive": "suite", "n": "codename", "codename": "codename", "site": "site"}


def origin_matches(pattern, release, site, distribution):
    """Tell whether a pattern of unattended-upgrades (Origins-Pattern or Allowed-Origins) takes a source.

    :param release: its Release file, read by parse_release.
    :param site: the name of the host that it is fetched from.
    :param distribution: {"id", "codename"}, which the macros stand for.
    """
    here = {"distro_id": distribution["id"].capitalize(), "distro_codename": distribution["codename"]}
    pattern = re.sub(r"\$\{(distro_id|distro_codename)\}", lambda found: here[found.group(1)], pattern).strip()
    if pattern in ("*", ""):
        return pattern == "*"
    if "=" not in pattern:
        origin, _colon, suite = pattern.partition(":") if ":" in pattern else pattern.partition(" ")
        pattern = "o=%s,a=%s" % (origin.strip(), suite.strip())
    for token in pattern.split(","):
        key, _equals, wanted = token.partition("=")
        key, wanted = ORIGIN_KEYS.get(key.strip()), wanted.strip().replace("%2C", ",")
        if key is None:
            if token.partition("=")[0].strip() in ("c", "component"):
                continue  # a Release file names all components of its source
            return False
        if not fnmatch.fnmatchcase(site if key == "site" else release.get(key, ""), wanted):
            return False
    return True


def pinned_in(texts, name):
    """Return where a package is pinned: "FILE, line N" of the entry that names it most closely, "" where none does.

    :param texts: {path: text} of apt's preferences, in the order in which they are read.
    """
    best = (0, "")
    for path, text in texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            match = re.match(r"^[Pp]ackage:[ \t]*(.{1,2000})", line)
            for word in match.group(1).split() if match else ():
                rank = 2 if word == name else 1 if fnmatch.fnmatchcase(name, word) else 0
                if rank > best[0]:
                    best = (rank, "%s, line %d" % (path, number))
    return best[1]


def parse_policy(text):
    """Return the packages of ``apt-cache policy`` with versions above the installed one, in apt's own order, newest first.

    Each is {"name", "installed", "candidate", "above": [{"version", "phased", "sources": [(address, suite)]}]}. No version is
    compared here: the table is sorted by apt.
    """
    made, entry, version = [], None, None
    for line in text.splitlines():
        if line and not line[0].isspace() and line.endswith(":"):
            entry, version = {"name": line[:-1], "installed": "", "candidate": "", "above": []}, None
            made.append(entry)
        elif entry is None:
            continue
        elif line.startswith("  Installed: "):
            entry["installed"] = line[13:].strip()
        elif line.startswith("  Candidate: "):
            entry["candidate"] = line[13:].strip()
        elif line.startswith(" *** "):
            entry = None  # what follows is older
        elif re.match(r"^ {5}\S", line):
            version = {"version": line.split()[0], "phased": "(phased " in line, "sources": []}
            entry["above"].append(version)
        elif version and re.match(r"^ {7} *-?\d+ \S", line):
            words = line.split()
            if len(words) > 2:
                suite = words[2] if words[2].endswith("/") else words[2].rpartition("/")[0]
                version["sources"].append((plain_address(words[1]), suite))
    return [one for one in made if one["above"] and one["installed"] not in ("", "(none)")]


def plain_address(uri):
    """Return an address of a source without credentials and the slash at its end."""
    return re.sub(r"//[^/@]*@", "//", uri).rstrip("/")


def parse_sources(text, path):
    """Return the entries of a ``.list`` or ``.sources`` file: {"uri", "suite", "trusted", "file"}."""
    return _deb822(text, path) if path.endswith(".sources") else _one_line(text, path)


def _one_line(text, path):
    made = []
    for line in text.splitlines():
        match = re.match(r"^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)", line)
        if match:
            options = (match.group(1) or "").lower().split()
            made.append({"uri": match.group(2), "suite": match.group(3), "file": path,
                         "trusted": "trusted=yes" in options or "allow-insecure=yes" in options})
    return made


def _deb822(text, path):
    made = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields, last = {}, None
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and last:
                fields[last] += " " + line.strip()
            elif ":" in line:
                last, value = line.split(":", 1)
                last = last.strip().lower()
                fields[last] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0") or "deb" not in fields.get("types", "").split():
            continue
        trusted = "yes" in (fields.get("trusted", "").lower(), fields.get("allow-insecure", "").lower())
        made += [{"uri": uri, "suite": suite, "file": path, "trusted": trusted}
                 for uri in fields.get("uris", "").split() for suite in fields.get("suites", "").split()]
    return made


def index_name(uri, suite):
    """Return how the names of a source's index files begin, None for one whose index is elsewhere (mirror lists, discs)."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.split("+")[-1] not in ("http", "https", "ftp", "file", "copy", "tor"):
        return None
    rest = re.sub(r"^//(?:[^/@]*@)?", "", rest) if rest.startswith("//") else rest
    rest = rest if rest.endswith("/") else rest + "/"
    rest += "" if suite == "/" else suite if suite.endswith("/") else "dists/%s/" % suite
    return re.sub(r"[\\|{}\[\]<>\"^~_=!@#$%^&*]", lambda found: "%%%02x" % ord(found.group()), rest).replace("/", "_")


def parse_release(text):
    """Return {"label", "suite", "codename", "origin", "date", "valid_until"} of a Release file; times are epoch or None."""
    fields = {}
    for line in text.splitlines():
        if line.startswith(("MD5Sum:", "SHA256:", "SHA1:")):
            break
        name, colon, value = line.partition(":")
        if colon and not line.startswith(" "):
            fields.setdefault(name.strip().lower(), value.strip())
    made = {key: fields.get(key, "") for key in ("label", "suite", "codename", "origin")}
    made["date"] = seconds_of(fields.get("date", ""))
    made["valid_until"] = seconds_of(fields.get("valid-until", ""))
    return made


def seconds_of(text):
    """Return the seconds since the epoch of a date as Release files have it, None where it is none."""
    words = re.sub(r"(UTC|GMT|Z|[+-]0000)$", "", text.strip()).strip()
    for layout in ("%a, %d %b %Y %H:%M:%S", "%d %b %Y %H:%M:%S"):
        try:
            return calendar.timegm(time.strptime(words, layout))
        except (ValueError, OverflowError):
            continue
    return None


def parse_config(text):
    """Return {name: [values]} of ``apt-config dump``; names are lower case, list items come under the list's name."""
    made = {}
    for match in re.finditer(r'^(\S+) "(.*)";$', text, re.MULTILINE):
        name, value = match.group(1).lower(), match.group(2)
        if value:
            made.setdefault(name[:-2] if name.endswith("::") else name, []).append(value)
    return made


def complaints(text):
    """Return the errors among what apt printed, each once."""
    return list(dict.fromkeys(line[2:].strip() for line in text.splitlines() if line.startswith("E:")))


def parse_fetches(text):
    """Return (whether a source has answered, [(address, suite) of those that failed, each once]) of ``apt-get update``."""
    failed = {}
    for address, suite in re.findall(r"^Err:\d+ (\S+) (\S+)", text, re.MULTILINE):
        # Of an index file below a suite that goes by "bookworm/main"; a flat one ends in a slash.
        failed[plain_address(address), suite if suite.endswith("/") or "/updates" in suite else suite.split("/")[0]] = True
    return bool(re.search(r"^(?:Hit|Get):\d+ ", text, re.MULTILINE)), list(failed)


def parse_uris(text):
    """Return the bytes to be fetched, of ``apt-get --print-uris``."""
    return sum(int(size) for size in re.findall(r"^'[^']*' \S+ (\d+)(?: |$)", text, re.MULTILINE))
