# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a command that only reads: no shell, a plain environment, bounded in time and output."""

import os
import selectors
import signal
import subprocess
import time

from ansible_collections.hostmend.hardening.plugins.module_utils.host.model import CommandResult
from ansible_collections.hostmend.hardening.plugins.module_utils.sentence import sentence

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CHUNK = 65536


def run(argv, seconds, stdin=b"", env=None, limit=8 * 1024 * 1024):
    """Run ``argv`` and return a CommandResult; a failure is in the result, never raised."""
    argv = tuple(argv)
    surroundings = {"PATH": PATH, "LC_ALL": "C", "LANG": "C", "HOME": "/", "TERM": "dumb"}
    surroundings.update(env or {})
    if isinstance(stdin, str):
        stdin = stdin.encode("utf-8", "surrogateescape")
    try:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=surroundings, cwd="/",
                                   close_fds=True, start_new_session=True)
    except FileNotFoundError:
        return CommandResult(argv, None, "", "", sentence("host.not_found", "not found"))
    except (OSError, ValueError) as error:
        return CommandResult(argv, None, "", "", sentence(
            "host.not_started", "could not be started: {error}", error=str(error)))
    failure, parts = _converse(process, stdin, seconds, limit)
    _end(process)
    out, err = (b"".join(part).decode("utf-8", "surrogateescape") for part in parts)
    return CommandResult(argv, None if failure else process.returncode, out, err, failure)


def _converse(process, stdin, seconds, limit):
    """Feed the command and take what it says until it closes its pipes, time is up or it says too much."""
    deadline = time.monotonic() + seconds
    parts, size, sent = ([], []), 0, 0
    with selectors.DefaultSelector() as selector:
        for number, pipe in enumerate((process.stdout, process.stderr)):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ, number)
        if stdin:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE, None)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return _timed_out(seconds), parts
            for key, unused in selector.select(left):
                if key.data is None:
                    try:
                        sent += os.write(key.fd, stdin[sent:sent + CHUNK])
                    except BlockingIOError:
                        continue
                    except OSError:
                        sent = len(stdin)
                    if sent >= len(stdin):
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
                    continue
                try:
                    data = os.read(key.fd, CHUNK)
                except BlockingIOError:
                    continue
                if not data:
                    selector.unregister(key.fileobj)
                    continue
                size += len(data)
                if size > limit:
                    return sentence("host.output_over", "output over {limit} bytes", limit=int(limit)), parts
                parts[key.data].append(data)
    try:
        process.wait(max(0.01, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return _timed_out(seconds), parts
    return "", parts


def _timed_out(seconds):
    return sentence("host.timed_out", "timed out after {seconds} s", seconds="%g" % seconds)


def _end(process):
    """Leave nothing of the command running."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except OSError:
            process.kill()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            pass
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                pass
