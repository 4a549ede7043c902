"""Processes that the world started: known by pid, start time and boot of this machine, so that a pid used again by another is never touched."""

import os
import signal
import subprocess
import time
from pathlib import Path

from .refusal import Refusal

EXITING_FLAG = 0x4  # PF_EXITING in /proc/PID/stat
BARE_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}


def _stat(pid):
    """Fields after the command's name, which may itself hold blanks and brackets; None without such a process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def machine_boot():
    """The boot of this machine: start times count from there, so those of another boot say nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identity(pid):
    """{"pid", "started", "boot"}: enough to know this very process again. None if it is gone."""
    fields = _stat(pid)
    return {"pid": pid, "started": int(fields[19]), "boot": machine_boot()} if fields else None


def is_alive(who):
    """Whether it runs; a zombie does not, nor does a process that is on its way out."""
    fields = _stat(who["pid"]) if who and who.get("boot", machine_boot()) == machine_boot() else None
    return bool(fields) and int(fields[19]) == who["started"] and fields[0] not in "ZX" and not is_exiting(who["pid"])


def is_exiting(pid):
    fields = _stat(pid)
    return not fields or bool(int(fields[6]) & EXITING_FLAG)


def children(pid):
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def send(who, signum):
    if is_alive(who):
        try:
            os.kill(who["pid"], signum)
        except ProcessLookupError:
            pass


def start(command, log, cgroup_entry=(), cwd="/", env=None):
    """Starts a daemon: own session, no inherited files, its output appended to `log`, below the cgroup of `cgroup_entry`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as out:
        process = subprocess.Popen([*cgroup_entry, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd,
                                   env=env or BARE_ENV, start_new_session=True)
    who = identity(process.pid)
    process.returncode = 0  # it outlives this command on purpose: no warning about a child that was not waited for
    return who


def run(command):
    """Runs a command to its end; its output. What it says when it fails becomes the refusal."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Refusal(f"`{command[-1] if len(command) > 8 else ' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def end(who, grace_s):
    """SIGTERM, and SIGKILL after the grace; returns once it is gone."""
    send(who, signal.SIGTERM)
    if not wait_until(lambda: not is_alive(who), grace_s):
        send(who, signal.SIGKILL)
        if not wait_until(lambda: not is_alive(who), 10):
            raise Refusal(f"process {who['pid']} does not end, even by SIGKILL: look at /proc/{who['pid']}/stack.")
    reap(who["pid"])


def reap(pid):
    """A child that ended while this command runs is not left as a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except (ChildProcessError, OSError):
        pass


def wait_until(condition, deadline_s, pause_s=0.05):
    """The first true value of `condition()`, or None when the time is over."""
    ends = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > ends:
            return None
        time.sleep(pause_s)
