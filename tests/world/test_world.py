#!/usr/bin/env python3
"""The world on this machine: `python3 tests/world/test_world.py`. Needs root; some three minutes once everything is built."""

import io
import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

import observed  # noqa: E402
from test_rules import *  # noqa: E402,F403 - the tests that need no machine run here too
from worldlib import cgroups, processes  # noqa: E402
from worldlib.images import Image  # noqa: E402
from worldlib.worlds import World  # noqa: E402

COMMAND = str(Path(__file__).resolve().parent / "world")


def world(*words, code=0, **options):
    """Runs the command; its standard output. Another exit code than expected fails the test with all it said."""
    done = subprocess.run([COMMAND, *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600, **options)
    if code is not None and done.returncode != code:
        raise AssertionError(f"world {' '.join(map(str, words))}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def eventually(condition, deadline_s, what):
    ends = time.monotonic() + deadline_s
    while time.monotonic() < ends:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {deadline_s} s: {what}")


class Cluster:
    """A world under test, spoken to through its command and kubectl."""

    def __init__(self, name):
        self.name = name
        self.kubectl_path = world("tool", "kubectl").strip()

    def __call__(self, *words, **options):
        return world("--name", self.name, *words, **options)

    def kubectl(self, *words, check=True, **options):
        config = self("kubeconfig").strip()
        done = subprocess.run([self.kubectl_path, f"--kubeconfig={config}", *words], capture_output=True, text=True, timeout=120, **options)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr}{done.stdout}")
        return done.stdout

    def status(self):
        return json.loads(self("status", "-o", "json", code=None))

    def node(self, n):
        return next(node for node in self.status()["nodes"] if node["number"] == n)

    def run_pod(self, name, script, node=None, image="localhost/busybox:1", **security):
        spec = {
            "terminationGracePeriodSeconds": 0, **({"nodeName": f"node{node}"} if node else {}),
            "containers": [{"name": "main", "image": image, "imagePullPolicy": "Never", "command": ["sh", "-c", script], "securityContext": security}],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}
        self.kubectl("apply", "-f", "-", input=json.dumps(pod))
        self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")

    def container_of(self, pod):
        return self.kubectl("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].containerID}").removeprefix("containerd://")


NOTHING = {kind: set() for kind in observed.belongings("tw-never")}


class LeavesNothing(unittest.TestCase):
    def test_after_down_the_machine_is_as_before(self):
        before = observed.machine()
        cluster = Cluster("tw-trace")
        self.addCleanup(cluster, "down")
        cluster("up", "--nodes", 1)
        cluster.run_pod("left", "trap : TERM; while :; do sleep 1; done")
        container = cluster.container_of("left")
        # A frozen container is the hardest thing to be rid of on cgroup v1: it does not even die by SIGKILL.
        cluster("exec", 1, "runc", "--root", "/run/containerd/runc/k8s.io", "pause", container)
        index, spaces = cluster.status()["index"], observed.namespaces("tw-trace")
        self.assertEqual([kind for kind, seen in observed.belongings("tw-trace", index).items() if not seen], [])
        self.assertGreater(len(spaces), 6)
        cluster("down")
        self.assertEqual(observed.belongings("tw-trace", index), NOTHING)
        self.assertEqual(observed.machine(), before)
        eventually(lambda: not observed.in_use(spaces), 5, "nobody is in a namespace of the world")
        self.assertEqual(cluster("status", code=1).strip(), "world tw-trace: down")


class Planted(unittest.TestCase):
    """What a world could leave is seen by the tests that look for it, and another world's is not."""

    NAME, INDEX = "tw-planted", 15

    def assert_seen(self, kind):
        seen = observed.belongings(self.NAME, self.INDEX)
        self.assertEqual([k for k, lines in seen.items() if lines], [kind])
        self.assertEqual(observed.belongings("tw-plant"), NOTHING)
        self.assertEqual(observed.belongings("tw-other-still", 14), NOTHING)

    def call(self, *command):
        subprocess.run(command, check=True)

    def test_a_process_in_its_cgroup(self):
        cgroup = cgroups.Subtree(f"holdfast-{self.NAME}")
        self.addCleanup(cgroup.remove)
        cgroup.make()
        self.assert_seen("cgroups")
        with subprocess.Popen([*cgroup.entry(), "sleep", "100"], env=processes.BARE_ENV) as left:
            try:
                eventually(lambda: observed.processes(self.NAME), 5, "the process is seen")
            finally:
                left.kill()

    def test_a_namespace_of_its_name(self):
        self.addCleanup(self.call, "ip", "netns", "del", f"hf-{self.NAME}-n3")
        self.call("ip", "netns", "add", f"hf-{self.NAME}-n3")
        seen = observed.belongings(self.NAME, self.INDEX)
        self.assertEqual(seen["named namespaces"], {f"hf-{self.NAME}-n3"})
        self.assertTrue(seen["mounts"])

    def test_a_link_of_its_index(self):
        self.addCleanup(self.call, "ip", "link", "del", f"hf{self.INDEX}-host")
        self.call("ip", "link", "add", f"hf{self.INDEX}-host", "type", "veth", "peer", "name", f"hf{self.INDEX}-peer")
        self.assert_seen("links")

    def test_a_mount_below_its_directory_also_in_another_namespace(self):
        folder = World(self.NAME).dir
        self.addCleanup(folder.rmdir)
        folder.mkdir(parents=True)
        self.assert_seen("directories")
        script = f"mount -t tmpfs tmpfs {folder}; echo ready; exec cat"
        with subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as left:
            self.assertEqual(left.stdout.readline(), "ready\n")
            self.assertTrue(observed.belongings(self.NAME)["mounts"])
            left.stdin.close()
        self.assertEqual(observed.belongings(self.NAME)["mounts"], set())


class Kernel(unittest.TestCase):
    """Settings of the kernel that have no namespace are the machine's: a world changes none of them."""

    def test_up_and_down_leave_the_kernels_settings_as_they_are(self):
        probe = Path("/proc/sys/kernel/keys/root_maxkeys")  # the kubelet would set it to another value than this one
        was = probe.read_text()
        self.addCleanup(probe.write_text, was)
        probe.write_text(str(int(was) + 1))
        before = observed.kernel_settings()
        cluster = Cluster("tw-kernel")
        self.addCleanup(cluster, "down")
        cluster("up", "--nodes", 1)
        self.assertEqual(observed.differences(before, observed.kernel_settings()), [])
        self.assertEqual(cluster("exec", 1, "cat", str(probe)).strip(), "1000000")
        cluster("down")
        self.assertEqual(observed.differences(before, observed.kernel_settings()), [])


class CgroupsOfVersionTwo(unittest.TestCase):
    """How a node gets its controllers on v2, tried with what this machine's v2 hierarchy offers (on a hybrid machine: few)."""

    def setUp(self):
        self.v2 = next((h for h in cgroups.hierarchies() if h.is_v2), None)
        offered = (self.v2.mount / "cgroup.controllers").read_text().split() if self.v2 else []
        if not offered:
            self.skipTest("no v2 hierarchy with a controller is mounted")
        handed_on = self.v2.mount / "cgroup.subtree_control"
        for controller in set(offered) - set(handed_on.read_text().split()):
            self.addCleanup(handed_on.write_text, f"-{controller}")
        self.enterContext(mock.patch.object(cgroups, "hierarchies", lambda: [self.v2]))
        self.enterContext(mock.patch.object(cgroups, "V2_CONTROLLERS", tuple(offered)))
        self.offered, self.world = offered, cgroups.Subtree("holdfast-tw-two")
        self.addCleanup(self.world.remove)

    def boot(self, node, take_away):
        """Starts what machine.py starts, as far as cgroups go: (exit code of the hand-on, what it said, what is handed on)."""
        hand_on = Path(cgroups.__file__).parent / "node" / "hand-on.sh"
        command = [*node.entry(), "unshare", "--cgroup", "--pid", "--fork", "--kill-child", "sh", str(hand_on), str(node.directories()[0])]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as outer:
            if take_away:
                eventually(lambda: processes.children(outer.pid) and Path(f"/proc/{outer.pid}/comm").read_text() == "unshare\n", 5, "unshare has forked")
                self.world.part("control").take(outer.pid)
            said = outer.stderr.read()
        return outer.returncode, said, (node.directories()[0] / "cgroup.subtree_control").read_text().split()

    def test_a_node_hands_its_controllers_on_in_every_boot(self):
        node = self.world.part("node1")
        self.world.part("control").make()
        for _ in range(2):
            node.make()
            node.clear()
            code, said, handed_on = self.boot(node, take_away=True)
            self.assertEqual((code, said, sorted(handed_on)), (0, "", sorted(self.offered)))
            self.assertTrue(node.entry()[1].endswith("/init"))
            node.kill_all()

    def test_a_cgroup_that_keeps_a_process_says_so(self):
        node = self.world.part("node1")
        node.make()
        code, said, _ = self.boot(node, take_away=False)
        self.assertEqual(code, 1)
        self.assertRegex(said, "^world: this kernel does not hand the cgroup controllers .* on to a node")

    def test_the_probe_says_what_is_refused_and_leaves_nothing(self):
        self.assertIsNone(cgroups.handing_on_problem(self.v2.mount, self.offered))
        self.assertRegex(cgroups.handing_on_problem(self.v2.mount, ["nonsense"]), r"\+nonsense > \S+subtree_control: \w")
        self.assertEqual(list(self.v2.mount.glob("holdfast-probe-*")), [])


class Crashes(unittest.TestCase):
    """`up` ended in the middle, at the moments when a certain file has just appeared."""

    @classmethod
    def setUpClass(cls):
        world("build", "kube-1.35", "runc", "debian", "criu", "images")  # so that what is waited for below is `up` alone

    def setUp(self):
        self.cluster = Cluster("tw-crash")
        self.folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "holdfast", "worlds", "tw-crash")
        self.addCleanup(self.cluster, "down")

    def end_up_at(self, file, signum):
        # Whoever runs this in the background of a shell hands on that SIGINT is ignored.
        words = ["env", "--default-signal=INT", COMMAND, "up", "--name", "tw-crash", "--nodes", "1"]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: (self.folder / file).exists() or process.poll() is not None, 120, f"{file} of the world that is to be interrupted")
            process.send_signal(signum)
            return process.wait(60)
        finally:
            process.kill()
            process.wait()

    def test_up_after_a_kill_in_the_middle_starts_over(self):
        for file in ("world.json", "nodes/1/layer", "processes/kube-apiserver.json", "processes/kube-scheduler.json"):
            with self.subTest(file):
                self.end_up_at(file, signal.SIGKILL)
                self.cluster("up", "--nodes", 1)
                self.assertTrue(self.cluster.node(1)["ready"])
                self.cluster("down")

    def test_down_after_a_kill_in_the_middle_leaves_nothing(self):
        before = observed.machine()
        self.end_up_at("processes/etcd.json", signal.SIGKILL)
        index = json.loads((self.folder / "world.json").read_text())["index"]
        self.cluster("down")
        self.assertEqual(observed.belongings("tw-crash", index), NOTHING)
        self.assertEqual(observed.machine(), before)

    def test_ctrl_c_leaves_nothing_half(self):
        self.assertEqual(self.end_up_at("processes/etcd.json", signal.SIGINT), 1)
        self.assertEqual(observed.processes("tw-crash"), set())
        self.assertEqual(self.cluster("status", code=1).strip(), "world tw-crash: down")
        self.assertTrue((self.folder / "log/node1/machine.log").exists(), "the node's logs are kept beside the control plane's")

    def test_a_record_of_a_former_boot_of_the_machine_harms_nobody(self):
        """The claims are gone, so another world has the index, and another process the pid."""
        other = Cluster("tw-boot")
        self.addCleanup(other, "down")
        self.cluster("up", "--nodes", 1)
        other("up", "--nodes", 1)
        stranger = subprocess.Popen(["sleep", "300"])
        self.addCleanup(stranger.wait)
        self.addCleanup(stranger.kill)
        before = other.status()
        self.cluster("down")
        self.folder.mkdir()
        (self.folder / "processes").mkdir()
        record = json.loads((self.folder.parent / "tw-boot/world.json").read_text())
        (self.folder / "world.json").write_text(json.dumps({**record, "name": "tw-crash"}))
        (self.folder / "processes/etcd.json").write_text(json.dumps({**processes.identity(stranger.pid), "boot": "a former one"}))
        self.cluster("down")
        self.assertIsNone(stranger.poll())
        self.assertEqual(other.status(), before)
        self.assertTrue(all(n["ready"] for n in before["nodes"]))


class Running(unittest.TestCase):
    """One world of two nodes, the second bare, and another world beside it, for all of these tests."""

    @classmethod
    def setUpClass(cls):
        cls.one, cls.other = Cluster("tw-one"), Cluster("tw-other")
        cls.addClassCleanup(cls.one, "down")
        cls.addClassCleanup(cls.other, "down")
        began = time.monotonic()
        cls.one("up", "--nodes", 2, "--bare", 2)
        cls.up_took_s = time.monotonic() - began
        cls.other("up", "--nodes", 1, "--k8s", "1.36", "--kwok", 20)

    def test_a_warm_up_takes_less_than_twenty_seconds(self):
        self.assertLess(self.up_took_s, 20)

    def test_up_again_changes_nothing(self):
        before = self.one.status()
        began = time.monotonic()
        self.one("up")
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(self.one.status(), before)

    def test_up_starts_what_died_and_adds_nodes(self):
        scheduler = next(c for c in self.other.status()["components"] if c["name"] == "kube-scheduler")
        os.kill(scheduler["pid"], signal.SIGKILL)
        eventually(lambda: not next(c for c in self.other.status()["components"] if c["name"] == "kube-scheduler")["running"], 5, "the scheduler is dead")
        self.other("node", "kill", 1)
        self.other("up", "--nodes", 2)
        status = self.other.status()
        self.assertTrue(all(c["running"] for c in status["components"]), status)
        self.assertGreaterEqual(len(status["nodes"]), 2)
        self.assertTrue(all(n["ready"] for n in status["nodes"]), status)

    def test_an_existing_world_is_not_changed_into_another(self):
        self.one("up", "--k8s", "1.36", code=2)

    def test_a_world_of_another_cache_is_not_touched(self):
        before = self.one.status()
        with tempfile.TemporaryDirectory() as elsewhere:
            self.one("down", code=1, env={**os.environ, "XDG_CACHE_HOME": elsewhere})
            self.one("up", code=1, env={**os.environ, "XDG_CACHE_HOME": elsewhere})
        self.assertEqual(self.one.status(), before)

    def test_two_worlds_share_nothing(self):
        one, other = self.one.status(), self.other.status()
        self.assertEqual((one["kubernetes"], one["runtime"]), ("1.35", "containerd-1.7"))
        self.assertEqual((other["kubernetes"], other["runtime"]), ("1.36", "containerd-2"))
        for field in ("index", "server", "podCIDR", "hostAddress", "directory"):
            self.assertNotEqual(one[field], other[field])
        self.assertEqual(self.one.kubectl("get", "nodes", "-o", "name").split(), ["node/node1", "node/node2"])
        self.assertEqual(len(self.other.kubectl("get", "nodes", "-l", "type=kwok", "-o", "name").split()), 20)

    def test_nodes_and_components_have_only_the_rights_that_they_need(self):
        def may(user, *words, group=None):
            return self.one.kubectl("auth", "can-i", *words, f"--as={user}", *([f"--as-group={group}"] if group else []), check=False).split()[0]

        self.assertEqual(may("system:kube-proxy", "list", "endpointslices"), "yes")
        self.assertEqual(may("system:kube-proxy", "list", "secrets"), "no")
        self.assertEqual(may("system:kube-scheduler", "delete", "nodes"), "no")
        self.assertEqual(may("system:node:node1", "list", "secrets", group="system:nodes"), "no")
        self.assertEqual(may("kube-apiserver-kubelet-client", "create", "nodes", "--subresource=proxy"), "yes")

    def test_the_audit_log_says_what_was_written(self):
        self.one.kubectl("create", "configmap", "audited", "--from-literal=key=a-value-to-find")
        eventually(lambda: "a-value-to-find" in Path(self.one.status()["auditLog"]).read_text(), 10, "the configmap in the audit log")

    def test_exec_gives_output_and_exit_code(self):
        self.assertEqual(self.one("exec", 1, "hostname").strip(), "node1")
        self.one("exec", 1, "sh", "-c", "exit 7", code=7)
        self.one("exec", 9, "true", code=2)

    def test_logs_show_components_and_nodes(self):
        self.assertIn("etcd", self.one("logs", "etcd"))
        self.assertIn("containerd", self.one("logs", "node", 1))
        self.one("logs", "no-such-part", code=2)

    def test_a_pod_logs_and_takes_commands_and_sees_the_witness(self):
        self.one.run_pod("talk", "echo spoken; sleep 1000", node=1)
        self.assertEqual(self.one.kubectl("logs", "talk").strip(), "spoken")
        self.assertEqual(self.one.kubectl("exec", "talk", "--", "echo", "heard").strip(), "heard")
        self.one("exec", 1, "sh", "-c", "echo seen > /witness/file")
        self.assertEqual(Path(self.one.status()["witness"], "file").read_text(), "seen\n")
        self.assertEqual(self.one("exec", 2, "cat", "/witness/file"), "seen\n")

    def test_a_service_is_reached_from_a_pod_on_another_node_and_pods_from_this_machine(self):
        self.one.run_pod("web", "mkdir /www; echo served > /www/index.html; exec httpd -f -p 8080 -h /www", node=1)
        self.one.kubectl("expose", "pod", "web", "--port=80", "--target-port=8080")
        self.one.run_pod("client", "sleep 1000", node=2)
        address = self.one.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")

        def fetched():
            return self.one.kubectl("exec", "client", "--", "wget", "-qO-", "-T", "2", f"http://{address}", check=False)

        eventually(lambda: fetched() == "served\n", 20, "the Service answers")
        pod = self.one.kubectl("get", "pod", "web", "-o", "jsonpath={.status.podIP}")
        from_here = subprocess.run(["python3", "-c", f"import urllib.request as u; print(u.urlopen('http://{pod}:8080', timeout=3).read())"], capture_output=True, text=True)
        self.assertIn("served", from_here.stdout, from_here.stderr)

    def test_images_are_loaded_now_and_into_nodes_that_come_later(self):
        busybox = Path(world("tool", "busybox").strip()).read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            image = Image("localhost/loaded:1", ["/bin/sh"]).add_directory("bin").add_file("bin/sh", busybox, 0o755).add_file("bin/sleep", busybox, 0o755)
            image.write(f"{folder}/loaded.tar")
            self.assertIn("localhost/loaded:1", self.other("load", f"{folder}/loaded.tar"))
            write_oci_archive(f"{folder}/oci.tar", "localhost/oci:1")
            self.assertIn("localhost/oci:1", self.other("load", f"{folder}/oci.tar"))
        self.other("node", "add", 7)
        for node in (1, 7):
            names = self.other("exec", node, "ctr", "-n", "k8s.io", "images", "ls", "-q")
            self.assertLessEqual({"localhost/loaded:1", "localhost/oci:1", "localhost/busybox:1"}, set(names.split()))
        self.other.run_pod("loaded", "exec sleep 1000", node=7, image="localhost/loaded:1")

    def test_a_bare_node_has_no_criu_and_the_distributions_runc(self):
        self.one("exec", 2, "sh", "-c", "command -v criu", code=127)
        self.assertIn("runc version 1.1", self.one("exec", 2, "runc", "--version"))
        self.assertIn("runc version 1.4", self.one("exec", 1, "runc", "--version"))
        self.assertRegex(self.one("exec", 1, "criu", "--version"), r"Version: 4\.[2-9]")

    def test_criu_checkpoints_a_process_of_another_user(self):
        self.one.run_pod("other-user", "while :; do sleep 0.1; done", node=1, runAsUser=1000)
        image = "/run/checkpoint"
        self.one("exec", 1, "runc", "--root", "/run/containerd/runc/k8s.io", "checkpoint", "--leave-running", "--manage-cgroups-mode", "ignore",
                 "--image-path", f"{image}/img", "--work-path", f"{image}/work", self.one.container_of("other-user"))
        self.assertIn("pstree.img", self.one("exec", 1, "ls", f"{image}/img"))


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("tw-fault")
        cls.addClassCleanup(cls.cluster, "down")
        cls.cluster("up", "--nodes", 2)

    def kubelet_says(self, n):
        return self.cluster.kubectl("get", "node", f"node{n}", "-o", "jsonpath={.status.nodeInfo.bootID} {.status.conditions[?(@.type=='Ready')].status}").split()

    def test_a_killed_node_boots_with_its_disk_and_another_boot_id(self):
        before = self.kubelet_says(2)[0]
        self.assertEqual(before, self.cluster("exec", 2, "cat", "/proc/sys/kernel/random/boot_id").strip())
        self.cluster("exec", 2, "sh", "-c", "echo kept > /var/kept; echo lost > /run/lost")
        self.cluster("node", "kill", 2)
        self.assertEqual(self.cluster.node(2)["state"], "off")
        self.cluster("exec", 2, "true", code=1)
        self.cluster("node", "start", 2)
        after, ready = self.kubelet_says(2)
        self.assertEqual(ready, "True")
        self.assertNotEqual(after, before)
        self.assertEqual(self.cluster("exec", 2, "cat", "/var/kept"), "kept\n")
        self.cluster("exec", 2, "cat", "/run/lost", code=1)

    def test_a_program_on_a_node_can_reboot_it(self):
        before = self.kubelet_says(1)[0]
        self.cluster("exec", 1, "systemctl", "reboot", code=None)
        eventually(lambda: self.kubelet_says(1)[0] != before and self.kubelet_says(1)[1] == "True", 60, "node 1 is Ready in another boot")
        self.assertEqual(self.kubelet_says(1)[0], self.cluster.node(1)["bootID"])

    def freeze(self, pod):
        self.cluster.run_pod(pod, "while :; do sleep 1; done", node=2)
        self.cluster("exec", 2, "runc", "--root", "/run/containerd/runc/k8s.io", "pause", self.cluster.container_of(pod))

    def test_a_node_with_a_frozen_container_reboots_and_dies_at_once(self):
        before = self.kubelet_says(2)[0]
        self.freeze("frozen-at-reboot")
        self.cluster("exec", 2, "systemctl", "reboot", code=None)
        eventually(lambda: self.kubelet_says(2)[0] != before and self.kubelet_says(2)[1] == "True", 60, "node 2 is Ready in another boot")
        self.freeze("frozen-at-kill")
        began = time.monotonic()
        self.cluster("node", "kill", 2)
        self.assertLess(time.monotonic() - began, 5)
        self.cluster("node", "start", 2)

    def test_a_node_is_waited_for_alone(self):
        self.cluster("node", "partition", 1)
        began = time.monotonic()
        self.cluster("node", "kill", 2)
        self.cluster("node", "start", 2)
        self.cluster("node", "reboot", 2)
        self.cluster("node", "reboot", 1)
        self.assertLess(time.monotonic() - began, 40)
        self.cluster("node", "heal", 1)
        eventually(lambda: self.kubelet_says(1)[1] == "True", 60, "the node is Ready again")

    def test_a_partitioned_node_is_not_ready_until_it_is_healed(self):
        self.cluster.run_pod("alone", "while :; do date +%s > /data/now; sleep 0.2; done", node=2)
        self.cluster("node", "partition", 2)
        self.assertEqual(self.cluster.node(2)["state"], "partitioned")
        eventually(lambda: self.kubelet_says(2)[1] != "True", 60, "the node is NotReady")
        running = self.cluster("exec", 2, "ctr", "-n", "k8s.io", "tasks", "ls")
        self.assertIn("RUNNING", running)
        self.cluster("node", "heal", 2)
        eventually(lambda: self.kubelet_says(2)[1] == "True", 60, "the node is Ready again")


def write_oci_archive(path, reference):
    """The smallest OCI archive: an empty layer under a name."""
    layer = io.BytesIO()
    tarfile.open(fileobj=layer, mode="w").close()
    blobs = {}

    def blob(content, kind):
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    layer = blob(layer.getvalue(), "layer.v1.tar")
    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}).encode(), "config.v1+json")
    manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer]}).encode(), "manifest.v1+json")
    index = {"schemaVersion": 2, "manifests": [{**manifest, "annotations": {"io.containerd.image.name": reference}}]}
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode(), **blobs}
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    unittest.main(verbosity=2)
