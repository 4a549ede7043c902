"""What emulated nodes are made of: QEMU, a system with Debian's own kernel and systemd, and the disk they start from."""

import shutil
from pathlib import Path

from . import cache, debian, parts
from .refusal import ProbeFailed
from .report import Progress

GUEST = Path(__file__).resolve().parent / "guest"
QEMU_PACKAGES = ("qemu-system-x86", "qemu-utils", "seabios", "virtiofsd")
SYSTEM_PACKAGES = ("initramfs-tools", "kmod", "linux-image-cloud-amd64", "systemd-sysv", "udev")
DISK_SIZE = "8G"
RECIPE = "1"

SERVICE = """\
[Unit]
Description=World: {what}
After={after}
{extra}
[Service]
{service}
[Install]
WantedBy=multi-user.target
"""
CONF = "EnvironmentFile=/usr/local/lib/holdfast-world/node.conf"


def _service(what, after, lines, extra=""):
    return SERVICE.format(what=what, after=after, service="\n".join(lines), extra=extra)


def _logged(name):
    return [f"StandardOutput=append:/var/log/world/{name}.log", f"StandardError=append:/var/log/world/{name}.log"]


def services():
    """The units of an emulated node, by name."""
    restart = ["Restart=always", "RestartSec=1"]
    return {
        "world-seed": _service("what this node is told", "local-fs.target", ["Type=oneshot", "RemainAfterExit=yes", "ExecStart=/usr/local/lib/holdfast-world/seed"],
                               "Before=containerd.service kubelet.service world-agent.service"),
        "world-agent": _service("runs commands for `world exec`", "world-seed.service", ["ExecStart=/usr/local/lib/holdfast-world/agent", *restart]),
        "containerd": _service("containerd", "world-seed.service", [
            "Type=notify", "ExecStart=containerd", "Delegate=yes", "KillMode=process", "LimitNOFILE=1048576", "TasksMax=infinity", *restart, *_logged("containerd")]),
        "kube-proxy": _service("kube-proxy", "world-seed.service", [CONF, "ExecStart=kube-proxy --config=/etc/kubernetes/kube-proxy.yaml --hostname-override=${NODE_NAME}", *restart, *_logged("kube-proxy")]),
        "kubelet": _service("the kubelet", "containerd.service", [
            CONF, "ExecStartPre=/usr/local/lib/holdfast-world/import-images", "TimeoutStartSec=600",
            "ExecStart=kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=/etc/kubernetes/kubelet.kubeconfig --hostname-override=${NODE_NAME} --node-ip=${NODE_IP} --v=2",
            *restart, *_logged("kubelet")], "Wants=containerd.service"),
    }


def qemu_layer():
    """QEMU of the nodes' Debian release, to be used over the nodes' file tree: the machine's own may be too old."""
    key = debian.key(["node", "qemu"], QEMU_PACKAGES, RECIPE)
    return cache.obtain("qemu", key, lambda into: debian.add_layer(into, [parts.node_tree()], "qemu", QEMU_PACKAGES, 30))


def system_layer():
    """Kernel, initial RAM disk, systemd."""
    lower = [parts.criu_layer(), parts.node_tree()]
    key = debian.key(["node", "criu", "system"], SYSTEM_PACKAGES, RECIPE)
    return cache.obtain("system", key, lambda into: debian.add_layer(into, lower, "system", SYSTEM_PACKAGES, 60))


def disk(layers):
    """The disk an emulated node starts from: these layers of a world with the system and the world's services on top."""
    stack = _stack([Path(layer) for layer in layers])
    key = cache.key([Path(__file__), *sorted(GUEST.iterdir())], [p.name for p in stack])
    return cache.obtain("disk", key, lambda into: _make_disk(into, stack))


def _stack(layers):
    """The layers of a native node without CRIU's shim (an emulated machine has every capability), and the system over Debian's own."""
    mine = [layer for layer in layers if not layer.name.startswith("criu-shim-")]
    first_tree = next(i for i, layer in enumerate(mine) if layer.name.startswith(("criu-", "debian-")))
    return [*mine[:first_tree], system_layer(), *mine[first_tree:]]


def _make_disk(into, stack):
    if not shutil.which("mkfs.ext4"):
        raise ProbeFailed("mkfs.ext4 is not installed: run tests/setup, which installs what the world needs.")
    own = into / "own"
    _write_services(own)
    image = into / "disk.raw"
    with Progress("making the disk of emulated nodes", 30):
        tree = debian.Tree(own, stack)
        tree.run(f"umount $root/proc; mkfs.ext4 -q -d $root {image} {DISK_SIZE}", outside=True)
    for kind, name in (("vmlinuz", "kernel"), ("initrd.img", "initrd")):
        shutil.copyfile(next((system_layer() / "boot").glob(f"{kind}-*")), into / name)
    shutil.rmtree(own)


def _write_services(own):
    folder = own / "usr/local/lib/holdfast-world"
    folder.mkdir(parents=True)
    for script in GUEST.glob("*.sh"):
        shutil.copyfile(script, folder / script.stem)
        (folder / script.stem).chmod(0o755)
    units = own / "etc/systemd/system"
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(parents=True)
    for name, text in services().items():
        (units / f"{name}.service").write_text(text)
        (wanted / f"{name}.service").symlink_to(f"/etc/systemd/system/{name}.service")
    (units / "etcd.service").symlink_to("/dev/null")  # it is in the tree for the control plane
    limits = own / "etc/systemd/system.conf.d"
    limits.mkdir()
    (limits / "world.conf").write_text("[Manager]\nDefaultTimeoutStopSec=10s\n")  # a reboot does not wait for a pod's deaf shell
    (own / "etc/fstab").write_text("/dev/vda / ext4 defaults 0 1\n")
