"""Debian's part: file trees made by debootstrap and apt, as layers, checked against `debian.lock`.

Whatever runs in a tree runs in a mount and a PID namespace of its own, so a build that is killed leaves no mount and no
process behind.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from . import cache, packagelock
from .refusal import ProbeFailed, Refusal
from .report import Progress

SUITE, CRIU_SUITE = "trixie", "forky"
NODE_PACKAGES = (
    "busybox-static", "ca-certificates", "conntrack", "containerd", "containernetworking-plugins", "etcd-client", "etcd-server",
    "iproute2", "iptables", "nftables", "procps", "runc",
)
# Programs that people run, to be moved by tests. What comes first is set up before the rest is.
PROGRAM_PACKAGES = ("postgresql-common", "busybox-static", "default-jre-headless", "librhino-java", "nginx", "postgresql", "procps", "python3", "redis-server")
ALONE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
INSTALL = ("apt-get", "-qq", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", "install")
APT_LISTS = ("var/lib/apt/lists", "var/cache/apt", "etc/apt/sources.list.d/next.list", "etc/apt/preferences.d/next", "usr/sbin/policy-rc.d")


class Tree:
    """A file tree that packages are installed into: `top`, over `lower` trees (topmost first) if there are any."""

    def __init__(self, top, lower=()):
        self.top, self.lower = top, tuple(lower)

    def _scaffold(self, part):
        return self.top.with_name(f"{self.top.name}-{part}")

    def _script(self):
        """Shell words that make the whole tree appear at $root, with /proc."""
        if not self.lower:
            return f"root={self.top}; mount -t proc proc $root/proc; "
        work, merged = self._scaffold("work"), self._scaffold("merged")
        options = f"lowerdir={':'.join(map(str, self.lower))},upperdir={self.top},workdir={work}"
        return f"mkdir -p {work} {merged}; root={merged}; mount -t overlay overlay -o {options} $root; mount -t proc proc $root/proc; "

    def run(self, *command, outside=False):
        """Runs a command in the tree, or, with the tree at $root, a shell script outside; its output."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "HOME": "/root"}
        env.update({p: os.environ[p] for p in ("http_proxy", "https_proxy", "no_proxy") if p in os.environ})
        try:
            return run([*ALONE, "sh", "-euc", self._script() + ("" if outside else 'exec chroot "$root" "$@"') + (command[0] if outside else ""), "sh", *command], env)
        finally:
            for part in ("work", "merged"):
                shutil.rmtree(self._scaffold(part), ignore_errors=True)

    def write(self, name, text, mode=0o644):
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def read(self, name):
        return next(p for p in (t / name for t in (self.top, *self.lower)) if p.exists()).read_text()

    def installed(self):
        """{(package, version)}, from dpkg's own record."""
        stanzas = (dict(re.findall(r"^(Package|Version|Status): (.*)$", s, re.M)) for s in self.read("var/lib/dpkg/status").split("\n\n"))
        return {(s["Package"], s["Version"]) for s in stanzas if s.get("Status", "").endswith(" installed")}

    def install(self, section, packages, suite=None):
        """Installs packages, starting no service, and checks what came against a section of the lock."""
        before = Tree(self.lower[0], self.lower[1:]).installed() if self.lower else set()
        self.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        if suite:
            self._add_suite(suite)
        self.run("apt-get", "-qq", "update")
        if packages:
            self.run(*INSTALL, *(["-t", suite] if suite else []), *packages)
        self.record(section, dict(self.installed() - before))
        for leftover in APT_LISTS:
            path = self.top / leftover
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def _add_suite(self, suite):
        """For the packages that are asked for from it alone. Its Release file may be out of date in the archive: that is allowed."""
        sources = (line.split() for line in self.read("etc/apt/sources.list").splitlines())
        archive = next(words[1] for words in sources if words[:1] == ["deb"])
        self.write("etc/apt/sources.list.d/next.list", f"deb [check-valid-until=no] {archive} {suite} main\n")
        self.write("etc/apt/preferences.d/next", f"Package: *\nPin: release n={suite}\nPin-Priority: 100\n")

    def record(self, section, packages):
        """Checks packages against the lock, by apt's signed lists, and leaves the record that `--update-lock` reads."""
        shown = self.run("apt-cache", "show", "--no-all-versions", *(f"{name}={version}" for name, version in packages.items()))
        found = {}
        for stanza in shown.split("\n\n"):
            fields = dict(re.findall(r"^(Package|Version|SHA256): (.*)$", stanza, re.M))
            if "SHA256" in fields and packages.get(fields["Package"]) == fields["Version"]:
                found[fields["Package"]] = (fields["Version"], fields["SHA256"])
        missing = sorted(set(packages) - set(found))
        if missing:
            raise Refusal(f"apt does not know the digest of {', '.join(missing)}: run the build again, the archive may have changed in between.")
        packagelock.check(section, found)
        self.write(f"etc/world-packages-{section}", packagelock.as_text({section: found}))


def bootstrap(into, section, packages, usual_s):
    """A minimal system with these packages."""
    if not shutil.which("debootstrap"):
        raise ProbeFailed("debootstrap is not installed: run tests/setup, which installs what the world needs.")
    with Progress(f"making the file tree of a node from Debian {SUITE}", usual_s):
        run([*ALONE, "debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, str(into), *([mirror()] if mirror() else [])])
        Tree(into).install(section, ())


def add_layer(into, lower, section, packages, usual_s, suite=None):
    """What these packages add to the trees below, as a layer of its own."""
    with Progress(f"adding {', '.join(packages)} from Debian {suite or SUITE}", usual_s):
        Tree(into, lower).install(section, packages, suite)


def programs(into, usual_s):
    """A Debian system with the programs that tests move, none of them started or set up."""
    bootstrap(into, "programs", ("adduser",), usual_s)
    first, *rest = PROGRAM_PACKAGES
    with Progress(f"adding {', '.join(PROGRAM_PACKAGES)} from Debian {SUITE}", usual_s):
        Tree(into).install("programs", (first,))
        # A database's files are made where it runs, not with its package.
        settings = into / "etc/postgresql-common/createcluster.conf"
        settings.write_text(settings.read_text() + "\ncreate_main_cluster = false\n")
        Tree(into).install("programs", rest)


def key(sections, packages, recipe):
    """Over the locked packages, what is asked for, and a number that changes with the way it is made."""
    lock = packagelock.read()
    return cache.key([], [packagelock.as_text({s: lock.get(s, {}) for s in sections}), *packages, recipe, os.uname().machine])


def mirror():
    """Where this machine's apt finds Debian, or None to let debootstrap choose."""
    stanzas = "\n\n".join(f.read_text() for f in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")))
    for stanza in re.split(r"\n\s*\n", stanzas):
        uris, suites = re.search(r"^URIs:\s*(\S+)", stanza, re.M), re.search(r"^Suites:\s*(\S+)", stanza, re.M)
        if uris and suites and _is_debian(uris[1], suites[1]):
            return uris[1]
    lists = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.list"))]
    for line in "\n".join(f.read_text() for f in lists if f.exists()).splitlines():
        found = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line)
        if found and _is_debian(found[1], found[2]):
            return found[1]
    return None


def _is_debian(uri, suite):
    return uri.rstrip("/").endswith("/debian") and re.fullmatch(r"[a-z]+", suite) is not None


def run(command, env=None):
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        what = next((w for w in command if w in ("debootstrap", "apt-get", "apt-cache", "mkfs.ext4")), command[0])
        last = " / ".join((done.stderr + done.stdout).strip().splitlines()[-4:])
        raise Refusal(f"`{what}` failed: {last or done.returncode}")
    return done.stdout
