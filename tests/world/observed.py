"""What a world could leave behind on this machine, looked at from outside: for the tests that prove it leaves nothing.

Only what bears the world's own name or index is looked for, so other worlds may come and go meanwhile.
"""

import json
import os
import re
import subprocess
from pathlib import Path

# Counters and identities: they change by themselves.
MOVING_SETTINGS = re.compile(r"random/|quota/|-nr$|-state$|_nr$|ns_last_pid|pty/nr|sched_domain|tainted|dentry|inode|cad_pid|stat_refresh|compact_memory|drop_caches")
CLAIMS = Path("/run/holdfast-worlds")
KINDS = ("net", "mnt", "pid", "uts", "ipc", "cgroup")


def _output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _worlds():
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "holdfast", "worlds")


def _running():
    """(pid folder, its cgroups) of every process but this; not of zombies, which hold nothing and go when their parent looks."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if (folder / "stat").read_text().rpartition(") ")[2][0] not in "ZX":
                    yield folder, (folder / "cgroup").read_text()
            except (OSError, ProcessLookupError):
                continue


def _named(name):
    """Finds the world's name in a path or a file of /proc: the whole name, as others begin alike."""
    return re.compile(rf"holdfast-{name}(?![a-z0-9-])|holdfast/worlds/{name}(?![a-z0-9-])|/hf-{name}(?:-n\d+)?(?![a-z0-9-])")


def processes(name):
    """Processes of the world, by cgroup or by what they were started with; not the commands of a test, which only name it."""
    mine, found = _named(name), set()
    for folder, cgroup in _running():
        try:
            told = (folder / "environ").read_bytes().decode(errors="replace")
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except (OSError, ProcessLookupError):
            told = command = ""
        if mine.search(f"{cgroup}\n{told}\n{command}"):
            found.add(f"{folder.name} {command[:100]}")
    return found


def namespaces(name):
    """The namespaces that the world's processes are in and this one is not."""
    mine, found = _named(name), set()
    for folder, cgroup in _running():
        if mine.search(cgroup):
            found.update(_namespaces_of(folder))
    return found - _namespaces_of(Path("/proc/self"))


def in_use(spaces):
    """Which of these namespaces a process of no world is in. (Their numbers are given again, so other worlds' do not count.)"""
    return {space for folder, cgroup in _running() if "holdfast-" not in cgroup for space in _namespaces_of(folder) & spaces}


def _namespaces_of(folder):
    try:
        return {os.readlink(folder / "ns" / kind) for kind in KINDS}
    except (OSError, ProcessLookupError):
        return set()


def belongings(name, index=None):
    """Everything of the world on this machine, by kind, as sets of lines; with its index also what bears only that."""
    mine = _named(name)
    claims = {str(c): os.readlink(c) for c in (CLAIMS.iterdir() if CLAIMS.is_dir() else ()) if c.is_symlink()}
    return {
        "processes": processes(name),
        "mounts": {line for line in Path("/proc/self/mountinfo").read_text().splitlines() if mine.search(line)} | _mounts_elsewhere(name),
        "named namespaces": {n["name"] for n in json.loads(_output("ip", "-j", "netns") or "[]") if mine.search(f"/{n['name']}")},
        "links": set() if index is None else _of_index(name, index),
        "cgroups": {str(d) for pattern in ("*", "*/*", "*/*/*") for d in Path("/sys/fs/cgroup").glob(pattern) if d.is_dir() and mine.search(str(d))},
        "claims": {f"{claim} {target}" for claim, target in claims.items() if Path(target).name == name},
        "directories": {str(d) for d in [_worlds() / name] if d.exists()},
    }


def _mounts_elsewhere(name):
    """Mounts of the world's directory in any mount namespace of this machine."""
    seen, found = set(), set()
    for folder, _ in _running():
        try:
            space = os.readlink(folder / "ns/mnt")
            if space not in seen:
                seen.add(space)
                found.update(line for line in (folder / "mountinfo").read_text().splitlines() if re.search(rf"holdfast/worlds/{name}(?![a-z0-9-])", line))
        except (OSError, ProcessLookupError):
            continue
    return found


def _of_index(name, index):
    """Links and routes of an index, unless another world claims it before or after."""
    def is_anothers():
        try:
            return Path(os.readlink(CLAIMS / str(index))).name != name
        except OSError:
            return False

    before = is_anothers()
    links = {link["ifname"] for link in json.loads(_output("ip", "-j", "link") or "[]") if link["ifname"].startswith(f"hf{index}-")}
    routes = {line for line in _output("ip", "route").splitlines() if re.search(rf"dev hf{index}-", line)}
    return set() if before or is_anothers() else links | routes


def machine():
    """What no world may touch at all: this machine's own rules, its forwarding, and links and routes that no world makes."""
    rules = re.sub(r"\[\d+:\d+\]|^#.*$", "", _output("iptables-save"), flags=re.M)
    return {
        "iptables": set(rules.splitlines()),
        "forwarding": {Path("/proc/sys/net/ipv4/ip_forward").read_text()},
        "links": {link["ifname"] for link in json.loads(_output("ip", "-j", "link") or "[]") if not re.match(r"hf\d+-", link["ifname"])},
        "routes": {line for line in _output("ip", "route").splitlines() if not re.search(r"dev hf\d+-", line)},
    }


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
