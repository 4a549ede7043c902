"""Debian's part: file trees made by debootstrap and apt, cached by `debian.lock`.

The lock names every package that goes into a tree, with version and sha256. Debian's archive keeps one version per suite:
when it has only a newer one, that is said and taken. A package of the locked version with other bytes is refused.
"""

import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from . import cache
from .refusal import ProbeFailed, Refusal
from .report import Progress, say

LOCK = Path(__file__).resolve().parent.parent / "debian.lock"
SUITE, CRIU_SUITE = "trixie", "forky"
NODE_PACKAGES = (
    "busybox-static", "ca-certificates", "conntrack", "containerd", "containernetworking-plugins", "etcd-client", "etcd-server",
    "iproute2", "iptables", "nftables", "procps", "runc",
)
QUIET_APT = ("apt-get", "-qq", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0")


# --- the lock -------------------------------------------------------------------------------------------------------

def parse_lock(text):
    """{tree: {package: (version, sha256)}} from sections `[tree]` of lines `package version sha256`."""
    trees, current = {}, None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        section = re.fullmatch(r"\[([\w.-]+)\]", line)
        words = line.split()
        if section:
            current = trees.setdefault(section[1], {})
        elif current is not None and len(words) == 3 and re.fullmatch(r"[0-9a-f]{64}", words[2]):
            current[words[0]] = (words[1], words[2])
        else:
            raise Refusal(f"debian.lock line {number} is not `[tree]` or `package version sha256`: restore the file from git.")
    return trees


def format_lock(trees):
    lines = ["# Debian's packages in the roots of the nodes: name, version, sha256. Written by `world build --update-lock`."]
    for tree in sorted(trees):
        lines += ["", f"[{tree}]", *(f"{name} {version} {digest}" for name, (version, digest) in sorted(trees[tree].items()))]
    return "\n".join(lines) + "\n"


def differences(locked, found):
    """(sentences about what is newer or new, names whose locked version came with other bytes)."""
    said, forged = [], []
    for name, (version, digest) in sorted(found.items()):
        if name not in locked:
            said.append(f"{name} {version} (not in the lock)")
        elif locked[name][0] != version:
            said.append(f"{name} {locked[name][0]} -> {version}")
        elif locked[name][1] != digest:
            forged.append(name)
    return said, forged


def locked_packages(tree):
    return parse_lock(LOCK.read_text()).get(tree, {}) if LOCK.exists() else {}


# --- the archive ----------------------------------------------------------------------------------------------------

def mirror():
    """Where this machine's apt finds Debian, or None to let debootstrap choose."""
    stanzas = [f.read_text() for f in sorted(Path("/etc/apt/sources.list.d").glob("*.sources"))]
    for stanza in re.split(r"\n\s*\n", "\n\n".join(stanzas)):
        uris, suites = re.search(r"^URIs:\s*(\S+)", stanza, re.M), re.search(r"^Suites:\s*(.+)$", stanza, re.M)
        if uris and suites and _is_debian(uris[1], suites[1].split()[0]):
            return uris[1]
    lists = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.list"))]
    for line in "\n".join(f.read_text() for f in lists if f.exists()).splitlines():
        found = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line)
        if found and _is_debian(found[1], found[2]):
            return found[1]
    return None


def _is_debian(uri, suite):
    return uri.rstrip("/").endswith("/debian") and re.fullmatch(r"[a-z]+", suite) is not None


@contextmanager
def mounted(kind, source, target, options=""):
    """A mount for as long as the block runs."""
    run(["mount", "-t", kind, *(["-o", options] if options else []), source, str(target)])
    try:
        yield
    finally:
        run(["umount", "-l", str(target)])


@contextmanager
def ready_for_packages(tree):
    """The tree with /proc, and with nothing that starts services; packages can be installed within."""
    policy = tree / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    with mounted("proc", "proc", tree / "proc"):
        yield
    policy.unlink()
    shutil.rmtree(tree / "var/cache/apt/archives", ignore_errors=True)


def in_tree(tree, *command):
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    for proxy in ("http_proxy", "https_proxy", "no_proxy"):
        if proxy in os.environ:
            env[proxy] = os.environ[proxy]
    return run(["chroot", str(tree), *command], env=env)


def run(command, env=None):
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        last = " / ".join((done.stderr + done.stdout).strip().splitlines()[-4:])
        raise Refusal(f"`{' '.join(command[:4])} …` failed: {last or done.returncode}")
    return done.stdout


# --- the trees ------------------------------------------------------------------------------------------------------

def bootstrap(into, tree, packages, usual_s):
    """A minimal system with these packages, checked against the lock's section `tree`."""
    if not shutil.which("debootstrap"):
        raise ProbeFailed("debootstrap is not installed: run tests/setup, which installs what the world needs.")
    into.chmod(0o755)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, str(into)]
    with Progress(f"making the file tree `{tree}` from Debian {SUITE}", usual_s):
        run(command + ([mirror()] if mirror() else []))
        with ready_for_packages(into):
            in_tree(into, "apt-get", "-qq", "update")
            check(tree, into)


def add_criu(into, base):
    """What CRIU from Debian's next release adds to `base`, as a layer of its own: trixie's cannot dump inet sockets on Linux 6.16+."""
    work, merged = into.with_name(into.name + "-work"), into.with_name(into.name + "-merged")
    for folder in (work, merged):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    try:
        with Progress(f"adding CRIU from Debian {CRIU_SUITE}", 25), mounted("overlay", "overlay", merged, f"lowerdir={base},upperdir={into},workdir={work}"):
            with ready_for_packages(merged):
                _install_from(merged, CRIU_SUITE, "criu")
                check("criu", merged, beyond=base)
        shutil.rmtree(into / "var/lib/apt", ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(merged, ignore_errors=True)


def _install_from(tree, suite, *packages):
    """From a suite that is used for these packages alone. Its Release file may be out of date in the archive: that is allowed."""
    sources = [line.split() for line in (tree / "etc/apt/sources.list").read_text().splitlines()]
    archive = next(words[1] for words in sources if words[:1] == ["deb"])
    (tree / "etc/apt/sources.list.d/next.list").write_text(f"deb [check-valid-until=no] {archive} {suite} main\n")
    (tree / "etc/apt/preferences.d/next").write_text(f"Package: *\nPin: release n={suite}\nPin-Priority: 100\n")
    in_tree(tree, "apt-get", "-qq", "update")
    in_tree(tree, *QUIET_APT, "install", "-t", suite, *packages)


def install(tree, packages):
    with ready_for_packages(tree):
        in_tree(tree, "apt-get", "-qq", "update")
        in_tree(tree, *QUIET_APT, "install", *packages)


# --- checking -------------------------------------------------------------------------------------------------------

def check(tree, root, beyond=None):
    """Compares what is installed in `root` (and not in `beyond`) with the lock; records it in `root` for `--update-lock`."""
    found = _with_digests(root, _installed(root).items() - (_installed(beyond).items() if beyond else set()))
    (root / "etc" / f"world-packages-{tree}").write_text(format_lock({tree: found}))
    locked = locked_packages(tree)
    if not locked:
        return say(f"debian.lock has no section [{tree}]: took what the archive has ({len(found)} packages)")
    said, forged = differences(locked, found)
    if forged:
        raise Refusal(f"the archive's {', '.join(forged)} has the locked version but other bytes than debian.lock says: do not use this mirror.")
    if said:
        say(f"debian.lock [{tree}]: the archive has other versions, taken: {'; '.join(said)}")


def _installed(root):
    """{package: version}, read from dpkg's own record."""
    status = (root / "var/lib/dpkg/status").read_text()
    stanzas = (dict(re.findall(r"^(Package|Version|Status): (.*)$", s, re.M)) for s in status.split("\n\n"))
    return {s["Package"]: s["Version"] for s in stanzas if s.get("Status", "").endswith(" installed")}


def _with_digests(root, packages):
    """{package: (version, sha256)} for (package, version) pairs, from apt's signed lists."""
    packages = dict(packages)
    shown = in_tree(root, "apt-cache", "show", "--no-all-versions", *(f"{n}={v}" for n, v in packages.items())) if packages else ""
    found = {}
    for stanza in shown.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|SHA256): (.*)$", stanza, re.M))
        if packages.get(fields.get("Package")) == fields.get("Version") and "SHA256" in fields:
            found[fields["Package"]] = (fields["Version"], fields["SHA256"])
    missing = sorted(set(packages) - set(found))
    if missing:
        raise Refusal(f"apt does not know the digest of {', '.join(missing)}: run the build again, the archive may have changed in between.")
    return found


def tree_key(trees, packages, recipe):
    """Over the locked packages of these trees, what is asked for, and a number that changes with the way they are made."""
    lock = parse_lock(LOCK.read_text()) if LOCK.exists() else {}
    return cache.key([], [format_lock({t: lock.get(t, {}) for t in trees}), *packages, recipe, os.uname().machine])
