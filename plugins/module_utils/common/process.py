# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the host's own tools."""

import os
import shutil
import subprocess
from typing import Mapping, Optional, Sequence, Tuple

from ansible_collections.hostmend.hardening.plugins.module_utils.common.errors import HostError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def which(name: str) -> Optional[str]:
    """Return the path of a program, or None."""
    return shutil.which(name, path=PATH)


def run(argv: Sequence[str], stdin: str = "", env: Optional[Mapping[str, str]] = None, seconds: float = 60
        ) -> Tuple[int, str, str]:
    """Return (exit status, standard output, standard error) of a command; 127 when there is none."""
    surroundings = dict(os.environ, LC_ALL="C", PATH=PATH, DEBIAN_FRONTEND="noninteractive")
    surroundings.update(env or {})
    try:
        done = subprocess.run(argv, input=stdin.encode("utf-8", "surrogateescape"), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=surroundings, timeout=seconds, check=False)
    except OSError as error:
        return 127, "", str(error)
    except subprocess.TimeoutExpired:
        return 124, "", "no answer within %d s" % seconds
    return (done.returncode, done.stdout.decode("utf-8", "surrogateescape"),
            done.stderr.decode("utf-8", "surrogateescape"))


def must(argv: Sequence[str], stdin: str = "", env: Optional[Mapping[str, str]] = None, seconds: float = 60) -> str:
    """Return the standard output of a command that has to succeed."""
    status, out, err = run(argv, stdin, env, seconds)
    if status:
        said = (err.strip() or out.strip()).splitlines()
        raise HostError("%s failed (%d): %s" % (" ".join(argv[:3]), status, said[-1] if said else "no message"))
    return out
