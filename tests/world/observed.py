"""What a world could leave behind on this machine, looked at from outside: for the tests that prove it leaves nothing."""

import json
import os
import re
import subprocess
from pathlib import Path

TEST_WORLDS = re.compile(r"(?:hf-|holdfast-|worlds/)(tw-[a-z0-9-]+)")
ANY_WORLD = re.compile(r"hf-[a-z0-9]|holdfast-[a-z0-9]|hf\d+-(?:host|tap)|holdfast/worlds/|/run/netns|10\.77\.\d+\.|10\.1[2-5]\d\.0\.0/16")

# Counters and identities: they change by themselves.
MOVING_SETTINGS = re.compile(r"random/|quota/|-nr$|-state$|_nr$|ns_last_pid|pty/nr|sched_domain|tainted|dentry|inode|cad_pid|stat_refresh|compact_memory|drop_caches")


def _output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _is_foreign(line):
    """Whether it belongs to a world that is not of these tests: others may use this machine meanwhile."""
    return bool(ANY_WORLD.search(line)) and not TEST_WORLDS.search(line) and _has_foreign_worlds()


def _has_foreign_worlds():
    claims = Path("/run/holdfast-worlds")
    return claims.is_dir() and any(not Path(os.readlink(c)).name.startswith("tw-") for c in claims.iterdir())


def processes():
    """Processes of test worlds, by cgroup, by what they were started with, or by a network namespace that has a name of theirs."""
    found = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            told = (folder / "cgroup").read_text() + (folder / "environ").read_bytes().decode(errors="replace")
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except (OSError, ProcessLookupError):
            continue
        if "holdfast-tw-" in told or "holdfast/worlds/tw-" in told + command:
            found.add(f"{folder.name} {command[:100]}")
    return found


def namespaces():
    """Namespaces in use other than those there are without any world: {kind:[id]} by any process or name."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if "holdfast-" in (folder / "cgroup").read_text() and "holdfast-tw-" not in (folder / "cgroup").read_text():
                    continue
                found.update(os.readlink(folder / "ns" / kind) for kind in ("net", "mnt", "pid", "uts", "ipc", "cgroup"))
            except (OSError, ProcessLookupError):
                continue
    return found


def machine():
    """Everything else, as sets of lines."""
    cgroups = {str(d) for pattern in ("*", "*/*", "*/*/*") for d in Path("/sys/fs/cgroup").glob(pattern) if d.is_dir() and "holdfast-" in str(d)}
    rules = re.sub(r"\[\d+:\d+\]|^#.*$", "", _output("iptables-save"), flags=re.M)
    seen = {
        "mounts": set(Path("/proc/self/mountinfo").read_text().splitlines()),
        "named namespaces": {n["name"] for n in json.loads(_output("ip", "-j", "netns") or "[]")},
        "links": {link["ifname"] for link in json.loads(_output("ip", "-j", "link") or "[]")},
        "routes": set(_output("ip", "route").splitlines()),
        "cgroups": cgroups,
        "iptables": set(rules.splitlines()),
        "forwarding": {Path("/proc/sys/net/ipv4/ip_forward").read_text()},
        "world directories": {str(p) for p in Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "holdfast", "worlds").glob("*")},
    }
    return {kind: {line for line in lines if not _is_foreign(line)} for kind, lines in seen.items()}


def kernel_settings():
    """{file: value} of the settings below /proc/sys that belong to the whole machine and that stand still while nobody sets them."""
    found = {}
    for file in Path("/proc/sys").rglob("*"):
        name = str(file.relative_to("/proc/sys"))
        if name.startswith(("net/", "fs/binfmt_misc/")) or MOVING_SETTINGS.search(name) or not file.is_file():
            continue
        try:
            found[name] = file.read_text().strip()
        except (OSError, UnicodeDecodeError):
            continue
    return found


def differences(before, after):
    """What is different in two dictionaries, as lines."""
    return [f"{name}: {before.get(name)} -> {after.get(name)}" for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
