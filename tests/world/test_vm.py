#!/usr/bin/env python3
"""The emulated node: `python3 tests/world/test_vm.py`. Slow (no KVM), so it is not part of the ordinary tests."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from test_world import Cluster, eventually  # noqa: E402


class EmulatedNode(unittest.TestCase):
    """One world with a native node and an emulated one, for all of these tests."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("tw-vm")
        cls.addClassCleanup(cls.cluster, "down")
        cls.cluster("up", "--nodes", 1)
        cls.cluster("node", "add", 2, "--machine", "vm")

    def reported(self):
        return self.cluster.kubectl("get", "node", "node2", "-o", "jsonpath={.status.nodeInfo.bootID} {.status.conditions[?(@.type=='Ready')].status}").split()

    def test_it_has_a_kernel_of_its_own_and_cgroup_v2(self):
        self.assertNotEqual(self.cluster("exec", 1, "uname", "-r"), self.cluster("exec", 2, "uname", "-r"))
        self.assertEqual(self.cluster("exec", 2, "stat", "-fc", "%T", "/sys/fs/cgroup").strip(), "cgroup2fs")
        self.assertIn("Looks good", self.cluster("exec", 2, "sh", "-c", "criu check 2>&1"))
        self.cluster("exec", 2, "sh", "-c", "exit 5", code=5)

    def test_a_pod_runs_there_and_is_reached_from_a_native_node(self):
        self.cluster.run_pod("there", "mkdir /www; echo emulated > /www/index.html; exec httpd -f -p 8080 -h /www", node=2)
        self.cluster.run_pod("here", "sleep 1000", node=1)
        address = self.cluster.kubectl("get", "pod", "there", "-o", "jsonpath={.status.podIP}")
        eventually(lambda: self.cluster.kubectl("exec", "here", "--", "wget", "-qO-", "-T", "5", f"http://{address}:8080", check=False) == "emulated\n", 60, "the pod answers")

    def test_a_reboot_gives_another_boot_id(self):
        before, ready = self.reported()
        self.assertEqual(ready, "True")
        self.cluster("exec", 2, "sh", "-c", "echo kept > /var/kept")
        self.cluster("node", "reboot", 2)
        after, ready = self.reported()
        self.assertEqual(ready, "True")
        self.assertNotEqual(after, before)
        self.assertEqual(self.cluster("exec", 2, "cat", "/var/kept", "/proc/sys/kernel/random/boot_id").split(), ["kept", after])

    def test_commands_get_in_while_it_is_partitioned(self):
        self.cluster("node", "partition", 2)
        self.assertEqual(self.cluster("exec", 2, "hostname").strip(), "node2")
        self.cluster("node", "heal", 2)
        eventually(lambda: self.reported()[1] == "True", 90, "the node is Ready")

    def test_it_sees_the_witness_directory(self):
        self.cluster("exec", 2, "sh", "-c", "echo from the guest > /witness/guest")
        self.assertEqual(self.cluster("exec", 1, "cat", "/witness/guest"), "from the guest\n")

    def test_it_says_what_its_kubelet_wrote(self):
        self.assertIn("kubelet", self.cluster("logs", "node", 2))


if __name__ == "__main__":
    unittest.main(verbosity=2)
