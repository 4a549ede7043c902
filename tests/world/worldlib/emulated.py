"""An emulated node: QEMU without KVM, Debian's kernel, systemd, cgroup v2, real reboots; on the world's bridge by a tap.

About ten times slower than a native node, and the only one with a kernel of its own. Commands get in by a virtio port
(guest/agent.sh), so also while the node is partitioned.
"""

import base64
import socket
import sys
import tarfile
import uuid

from . import cache, emulation, network, nodefiles, processes
from .node import Node
from .refusal import Refusal

ACCELERATOR = "tcg,thread=multi"
MEMORY_MIB, CPUS = 2560, 2
KERNEL_WORDS = "root=/dev/vda rw console=ttyS0 quiet loglevel=3 net.ifnames=0 systemd.mask=serial-getty@ttyS0.service"
BOOT_WITHIN_S = 240
SOCKET_PATH_MAX = 107


class EmulatedNode(Node):
    def running(self):
        return {} if self.world.is_running(self.process_name) else None

    @property
    def boot_id(self):
        """As the guest's kernel says; empty while it boots."""
        if not self.is_on:
            return ""
        try:
            return self._ask(b"", b"cat /proc/sys/kernel/random/boot_id", timeout_s=3)[1].decode().strip()
        except (OSError, Refusal):
            return ""

    def switch_on(self):
        at = self.world.at
        if len(str(self._witness)) > SOCKET_PATH_MAX:
            raise Refusal(f"the path {self._witness} is too long for a socket: set XDG_CACHE_HOME to a shorter directory.")
        start = emulation.disk(self.world.record["layers"]["bare" if self.world.nodes[self.n]["bare"] else "full"])
        qemu = emulation.qemu_layer()
        (self.dir / "log").mkdir(parents=True, exist_ok=True)
        self._write_told()
        self._make_disk(qemu, start)
        network.ip("tuntap", "add", "dev", at.port(self.n), "mode", "tap", netns=at.netns)
        network.join_bridge(at, self.n, at.port(self.n), self.is_partitioned)
        self.cgroup.make()
        self._agent.unlink(missing_ok=True)
        self._share_witness(qemu)
        machine = [*network.inside(at.netns), *self._in_qemu_tree(qemu), "qemu-system-x86_64", *self._machine(start)]
        self.world.remember(self.process_name, processes.start(machine, self.dir / "log" / "machine.log", self.cgroup.entry(), cwd=str(self.dir)))
        if not processes.wait_until(lambda: not self.is_on or self._answers(), BOOT_WITHIN_S, 0.5) or not self.is_on:
            raise Refusal(f"node {self.n} did not boot within {BOOT_WITHIN_S} s: see {self.dir}/log; the machine's last words: {self.last_words()}")

    def reboot(self):
        """As an operator would: systemd ends what runs, and the kernel starts anew."""
        # A moment later, so that the agent can answer before it is ended.
        self.run(["sh", "-c", "(sleep 0.5; systemctl reboot) > /dev/null 2>&1 &"])

    def run(self, words, stdin=b""):
        self.need_on("run a command on")
        script = "exec " + " ".join("'" + word.replace("'", "'\\''") + "'" for word in words) + "\n"
        return self._ask(stdin, script.encode())

    def execute(self, words):
        stdin = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
        code, output, errors = self.run(words, stdin)
        sys.stdout.buffer.write(output)
        sys.stderr.buffer.write(errors)
        return code

    def collect_logs(self):
        """They are on the node's own disk: the end of each is copied, if it answers."""
        if self.is_on and self.boot_id:
            for name in ("containerd", "kubelet", "kube-proxy"):
                text = self.run(["tail", "-c", "400000", f"/var/log/world/{name}.log"])[1]
                (self.dir / "log" / f"{name}.log").write_bytes(text)
        return super().collect_logs()

    # --- the machine

    @property
    def _agent(self):
        return self.dir / "agent.sock"

    @property
    def _witness(self):
        return self.dir / "witness.sock"

    def _write_told(self):
        """The disk that tells the node what it is: a tar of its files and of the world's images."""
        layer = self.dir / "layer"
        nodefiles.write(self.world, self.n, layer, is_emulated=True)
        with tarfile.open(self.dir / "told.tar", "w") as told:
            for top in sorted(layer.iterdir()):
                told.add(top, top.name)
            told.add(self.world.dir / "images", "var/lib/holdfast-world/images")

    def _make_disk(self, qemu, start):
        disk = self.dir / "disk.qcow2"
        if not disk.exists():
            make = [*self._in_qemu_tree(qemu), "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(start / "disk.raw"), str(disk)]
            processes.run(make)

    def _share_witness(self, qemu):
        """A daemon that shows the world's witness directory to the guest; it ends with the machine."""
        self._witness.unlink(missing_ok=True)
        share = [*self._in_qemu_tree(qemu), "/usr/libexec/virtiofsd", f"--socket-path={self._witness}", f"--shared-dir={self.world.dir / 'witness'}",
                 "--sandbox=none", "--cache=never", "--rlimit-nofile=0"]
        processes.start(share, self.dir / "log" / "witness.log", self.cgroup.entry())
        if not processes.wait_until(self._witness.exists, 10):
            raise Refusal(f"the witness directory cannot be shared with node {self.n}: see {self.dir}/log/witness.log")

    def _in_qemu_tree(self, qemu):
        """The start of a command line that runs in QEMU's own file tree, with this machine's devices and the cache at its place."""
        tree = ":".join([str(qemu), self.world.record["programs"]["debian"]])
        root, here = self.dir / "qemu-root", cache.root()
        root.mkdir(parents=True, exist_ok=True)
        script = (f"mount -t tmpfs tmpfs {root}; mkdir {root}/up {root}/work {root}/all; "
                  f"mount -t overlay overlay -o lowerdir={tree},upperdir={root}/up,workdir={root}/work {root}/all; cd {root}/all; "
                  f"mkdir -p .{here}; mount --rbind {here} .{here}; mount --rbind /dev dev; mount -t proc proc proc; exec chroot . \"$@\"")
        return ["unshare", "--mount", "sh", "-euc", script, "sh"]

    def _machine(self, start):
        files = self.dir
        return [
            "-accel", ACCELERATOR, "-cpu", "max", "-smp", str(CPUS), "-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config", "-display", "none",
            "-kernel", str(start / "kernel"), "-initrd", str(start / "initrd"), "-append", KERNEL_WORDS,
            "-drive", f"file={files}/disk.qcow2,if=virtio,format=qcow2,cache=unsafe", "-drive", f"file={files}/told.tar,if=virtio,format=raw,readonly=on",
            "-netdev", f"tap,id=world,ifname={self.world.at.port(self.n)},script=no,downscript=no", "-device", f"virtio-net-pci,netdev=world,mac={self.world.at.mac(10 + self.n)}",
            "-object", f"memory-backend-memfd,id=memory,size={MEMORY_MIB}M,share=on", "-machine", "memory-backend=memory",
            "-chardev", f"socket,id=witness,path={self._witness}", "-device", "vhost-user-fs-pci,chardev=witness,tag=witness",
            "-serial", f"file:{files}/log/console.log", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={self._agent},server=on,wait=off", "-device", "virtserialport,chardev=agent,name=world", "-device", "virtio-rng-pci",
        ]

    # --- the agent

    def _answers(self):
        try:
            return self._ask(b"", b"true", timeout_s=3)[0] == 0
        except (OSError, Refusal):
            return False

    def _ask(self, stdin, script, timeout_s=600):
        """One request to the agent in the guest, one at a time."""
        def coded(content):
            return base64.b64encode(content).decode() or "-"

        mine = uuid.uuid4().hex
        with cache.locked(self.dir / "agent.lock"), socket.socket(socket.AF_UNIX) as port:
            port.settimeout(timeout_s)
            port.connect(str(self._agent))
            port.sendall(f"{mine} {coded(stdin)} {coded(script)}\n".encode())
            for line in port.makefile("rb"):
                words = line.decode(errors="replace").split()
                if len(words) == 4 and words[0] == mine:  # an answer to somebody who did not wait for it is passed over
                    output, errors = (b"" if w == "-" else base64.b64decode(w) for w in words[2:])
                    return int(words[1]), output, errors
        raise Refusal(f"node {self.n} did not answer: it is booting, or its agent is gone (`world logs node {self.n}`).")
