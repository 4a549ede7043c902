"""What this machine must be able to do. A probe that fails is one sentence that says what to do; some only make a note."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import cgroups, shim
from .refusal import ProbeFailed

PROGRAMS = ("ip", "nsenter", "unshare", "setpriv", "mount", "openssl")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "uts")
V1_NEEDED = {"cpu", "cpuset", "memory", "pids", "devices", "freezer"}
V2_NEEDED = {"cpu", "cpuset", "memory", "pids"}
IPTABLES_RULES = ("-m comment --comment x -m statistic --mode random --probability 0.5", "-m conntrack --ctstate RELATED", "-m addrtype --dst-type LOCAL", "-m mark --mark 0x4000/0x4000")


def require():
    """Everything that a world needs of a machine, cheapest first."""
    require_root()
    _require_programs()
    _require_namespaces()
    _require_cgroups()


def require_root():
    if os.geteuid() != 0:
        raise ProbeFailed("The world needs root (it makes namespaces, mounts and cgroups): run it with sudo, or as root.")


def _require_programs():
    missing = [p for p in PROGRAMS if not shutil.which(p)]
    if missing:
        raise ProbeFailed(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: run tests/setup, which installs what the world needs.")


def _require_namespaces():
    missing = [n for n in NAMESPACES if not Path("/proc/self/ns", n).exists()]
    if missing:
        raise ProbeFailed(f"This kernel has no {', '.join(missing)} namespaces: boot one built with CONFIG_NAMESPACES and all of its kinds.")
    done = subprocess.run(["unshare", "--cgroup", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "true"], capture_output=True, text=True)
    if done.returncode:
        raise ProbeFailed(f"New namespaces are refused ({done.stderr.strip()}): in a container, run it privileged; else raise /proc/sys/user/max_*_namespaces.")


def _require_cgroups():
    found = cgroups.hierarchies()
    if cgroups.version() == 1:
        missing = V1_NEEDED - {c for h in found for c in h.controllers}
        cure = "mount the missing controllers below /sys/fs/cgroup, or boot with cgroup v2"
    else:
        missing = V2_NEEDED - set((found[0].mount / "cgroup.controllers").read_text().split())
        cure = "boot without cgroup_disable=, and in a container hand the controllers on (Delegate=yes)"
    if missing:
        raise ProbeFailed(f"The cgroup controllers {', '.join(sorted(missing))} are missing: {cure}.")
    if not all(os.access(h.mount, os.W_OK) for h in found):
        raise ProbeFailed("The cgroup hierarchies are mounted read-only: in a container, run it privileged with its own writable /sys/fs/cgroup.")
    problem = cgroups.handing_on_problem(found[0].mount, V2_NEEDED) if cgroups.version() == 2 else None
    if problem:
        raise ProbeFailed(f"The cgroup controllers {', '.join(sorted(V2_NEEDED))} cannot be handed on ({problem}): in a container, move its processes out of the "
                          "cgroup's root into a cgroup below (only one without processes hands controllers on), or start it with the host's cgroup namespace.")


def require_overlay(cache_root):
    """Whether an overlay mount works on the cache's file system (it does not on another overlay)."""
    cache_root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_root, prefix=".probe-") as folder:
        for part in ("lower", "upper", "work", "root"):
            Path(folder, part).mkdir()
        mount = f"mount -t overlay overlay -o lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work {folder}/root"
        done = subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True, text=True)
        if done.returncode:
            raise ProbeFailed(f"An overlay mount on {cache_root} is refused ({done.stderr.strip()}): load the kernel's overlay module (`modprobe overlay`), "
                              "or set XDG_CACHE_HOME to a directory on ext4 or xfs.")


def proxy_mode():
    """The mode of kube-proxy that this kernel can do: iptables, its own default, or else nftables."""
    if _in_new_netns("iptables -t nat -A POSTROUTING -j MASQUERADE; " + "; ".join(f"iptables -A INPUT {r} -j ACCEPT" for r in IPTABLES_RULES)):
        return "iptables"
    if _in_new_netns("nft add table ip probe; nft 'add map ip probe m { type ipv4_addr . inet_proto . inet_service : verdict ; }'"):
        return "nftables"
    raise ProbeFailed("Neither iptables nor nftables works in a new network namespace: load the kernel's netfilter modules (`modprobe nf_tables nf_nat xt_statistic xt_conntrack`).")


def _in_new_netns(script):
    return subprocess.run(["unshare", "--net", "sh", "-ec", script], capture_output=True).returncode == 0


def criu_problem(criu_layers):
    """Why CRIU cannot work here, as a sentence; None if `criu check` is content. Run in a node's layers."""
    lower = ":".join(map(str, criu_layers))
    with tempfile.TemporaryDirectory(prefix="world-probe-") as folder:
        script = (f"mount -t tmpfs tmpfs {folder}; mkdir {folder}/up {folder}/work {folder}/root; "
                  f"mount -t overlay overlay -o lowerdir={lower},upperdir={folder}/up,workdir={folder}/work {folder}/root; "
                  f"mount -t proc proc {folder}/root/proc; mount --rbind /sys {folder}/root/sys; mount --rbind /dev {folder}/root/dev; exec chroot {folder}/root criu check")
        done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "sh", "-ec", script], capture_output=True, text=True)
    if done.returncode == 0:
        return None
    last = (done.stderr + done.stdout).strip().splitlines()[-1:]
    return f"CRIU does not work on this kernel ({' '.join(last)}): boot one built with CONFIG_CHECKPOINT_RESTORE; until then only nodes made with --bare are of use."


def notes():
    """What is true of this machine and good to know, as sentences for `status`."""
    said = [f"cgroup v{cgroups.version()}"]
    if shim.is_needed():
        said.append("this machine lacks CAP_SYS_RESOURCE: CRIU on its native nodes is preloaded with a library that reads other users' limits from /proc")
    pipe = int(Path("/proc/sys/fs/pipe-max-size").read_text())
    if shim.is_needed() and pipe < 4 << 20:
        said.append(f"fs.pipe-max-size is {pipe}: post-copy migration fails below 4194304 without CAP_SYS_RESOURCE (`sysctl fs.pipe-max-size=4194304`)")
    return said
