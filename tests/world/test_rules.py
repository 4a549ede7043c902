"""What the world decides without a machine: keys, addresses, the lock, names. Run by test_world.py; needs no root."""

import json
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from worldlib import addresses, cache, cgroups, command, images, packagelock, packing, parts, programs  # noqa: E402
from worldlib.images import Image  # noqa: E402
from worldlib.refusal import BadUsage, Refusal  # noqa: E402

WORLD = str(Path(__file__).resolve().parent / "world")
DIGEST = "0123456789abcdef" * 4
HYBRID = """\
24 1 0:21 / /sys/fs/cgroup rw - tmpfs tmpfs rw
25 24 0:22 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
26 24 0:23 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
27 24 0:24 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
28 99 0:22 / /elsewhere/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
"""


class Keys(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.pin = self.folder / "go.mod"
        self.pin.write_text("require x v1.0.0\n")

    def test_the_same_pin_and_flags_give_the_same_key(self):
        self.assertEqual(cache.key([self.pin], ["-trimpath"]), cache.key([self.pin], ["-trimpath"]))

    def test_another_pin_gives_another_key(self):
        before = cache.key([self.pin], [])
        self.pin.write_text("require x v1.0.1\n")
        self.assertNotEqual(before, cache.key([self.pin], []))

    def test_other_flags_or_another_go_give_another_key(self):
        self.assertNotEqual(cache.key([self.pin], ["-s", "go1.26.0"]), cache.key([self.pin], ["-s", "go1.26.1"]))
        self.assertNotEqual(cache.key([self.pin], ["ab", "c"]), cache.key([self.pin], ["a", "bc"]))

    def test_every_program_has_a_pin_with_a_version(self):
        for program in programs.PROGRAMS.values():
            with self.subTest(program.name):
                self.assertRegex(program.version, r"^v\d+\.\d+\.\d+$")
                self.assertTrue((program.pin / "go.sum").exists())

    def test_kubernetes_says_its_own_version(self):
        self.assertIn("gitVersion=v1.35.", " ".join(programs.PROGRAMS["kube-1.35"].flags()))
        self.assertIn("gitMinor=36", " ".join(programs.PROGRAMS["kube-1.36"].flags()))


class Addresses(unittest.TestCase):
    def test_no_two_worlds_share_an_address(self):
        worlds = [addresses.Addresses(f"w{k}", k) for k in range(addresses.MAX_WORLDS)]
        nets = [net for w in worlds for net in (w.subnet, w.pods, w.paper_pods)]
        self.assertEqual(len(nets), len(set(nets)))
        self.assertTrue(all(len(w.host_link) <= 15 and len(w.tap(200)) <= 15 for w in worlds))

    def test_the_index_is_the_lowest_that_is_free(self):
        self.assertEqual(addresses.free_index(set(), []), 0)
        self.assertEqual(addresses.free_index({0, 2}, []), 1)
        self.assertIsNone(addresses.free_index(set(range(16)), []))

    def test_an_index_whose_network_this_machine_routes_elsewhere_is_passed_over(self):
        self.assertEqual(addresses.free_index(set(), ["10.77.0.0/24", "10.129.3.0/24"]), 2)
        self.assertIsNone(addresses.free_index(set(), ["10.0.0.0/8"]))

    def test_names_that_cannot_be_files_or_namespaces_are_refused(self):
        for name in ("", "Upper", "a/b", "-a", "a" * 31, "a-n1", ".."):
            with self.subTest(name), self.assertRaises(BadUsage):
                addresses.check_name(name)
        self.assertEqual(addresses.check_name("my-world"), "my-world")


class Lock(unittest.TestCase):
    def test_what_is_written_is_read_again(self):
        trees = {"node": {"runc": ("1.1.15+ds1-2+b4", DIGEST)}, "criu": {"criu": ("4.2.1-1", DIGEST)}}
        self.assertEqual(packagelock.parse(packagelock.as_text(trees)), trees)

    def test_a_line_that_is_no_package_is_refused_with_its_number(self):
        with self.assertRaisesRegex(Refusal, "line 2"):
            packagelock.parse("[node]\nrunc 1.1.15\n")

    def test_newer_versions_are_named_and_other_bytes_are_refused(self):
        locked = {"a": ("1", DIGEST), "b": ("1", DIGEST)}
        said, forged = packagelock.differences(locked, {"a": ("2", DIGEST), "b": ("1", DIGEST[::-1]), "c": ("1", DIGEST)})
        self.assertEqual(said, ["a 1 -> 2", "c 1 (not in the lock)"])
        self.assertEqual(forged, ["b"])

    def test_the_lock_in_the_repository_names_what_the_nodes_need(self):
        trees = packagelock.read()
        self.assertLessEqual({"containerd", "runc", "etcd-server", "containernetworking-plugins"}, set(trees["node"]))
        self.assertIn("criu", trees["criu"])
        self.assertNotIn("criu", trees["node"])


class Cgroups(unittest.TestCase):
    def test_each_hierarchy_is_found_once(self):
        found = {str(h.mount): (h.is_v2, h.controllers) for h in cgroups.hierarchies(HYBRID)}
        self.assertEqual(found["/sys/fs/cgroup/cpu,cpuacct"], (False, ("cpu", "cpuacct")))
        self.assertEqual(found["/sys/fs/cgroup/systemd"], (False, ("name=systemd",)))
        self.assertTrue(found["/sys/fs/cgroup/unified"][0])
        self.assertEqual(len(found), 3)


class Words(unittest.TestCase):
    def test_a_pair_that_cannot_work_is_refused_with_a_sentence(self):
        with self.assertRaisesRegex(BadUsage, "1.36 needs containerd 2"):
            parts.check_pair("1.36", "containerd-1.7")
        self.assertEqual(command.main(["up", "--name", "tw-never", "--k8s", "1.36", "--runtime", "containerd-1.7"]), 2)

    def test_each_kubernetes_has_its_runtime(self):
        self.assertEqual(parts.check_pair("1.35", None), "containerd-1.7")
        self.assertEqual(parts.check_pair("1.36", None), "containerd-2")
        self.assertEqual(parts.check_pair("1.35", "containerd-2"), "containerd-2")

    def test_the_name_is_taken_before_and_after_the_verb(self):
        words = command.parser()
        self.assertEqual(words.parse_args(["--name", "a", "status"]).name, "a")
        self.assertEqual(words.parse_args(["status", "--name", "b"]).name, "b")
        self.assertEqual(words.parse_args(["--name", "a", "node", "kill", "2"]).name, "a")
        self.assertEqual(words.parse_args(["node", "kill", "2", "--name", "b"]).name, "b")

    def test_amounts_to_reserve_are_checked(self):
        self.assertEqual(command.parser().parse_args(["node", "add", "3", "--reserve", "cpu=500m,memory=1Gi"]).reserve, {"cpu": "500m", "memory": "1Gi"})
        self.assertEqual(subprocess.run([WORLD, "node", "add", "3", "--reserve", "nonsense"], capture_output=True).returncode, 2)

    def test_what_runs_on_a_node_keeps_its_own_flags(self):
        self.assertEqual(command.parser().parse_args(["exec", "1", "ls", "-l", "--all"]).words, ["ls", "-l", "--all"])


class Images(unittest.TestCase):
    def test_the_same_content_gives_the_same_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a", "b"):
                Image("localhost/x:1", ["/x"]).add_file("x", b"content", 0o755).add_link("y", "x").write(f"{folder}/{name}")
            self.assertEqual(Path(folder, "a").read_bytes(), Path(folder, "b").read_bytes())

    def test_an_image_of_a_program_starts_it_with_what_a_pod_says(self):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder, "x")
            program.write_bytes(b"content")
            images.write_program(program, Path(folder))
            with tarfile.open(Path(folder, "x.tar")) as archive:
                manifest = json.load(archive.extractfile("manifest.json"))[0]
                config = json.load(archive.extractfile(manifest["Config"]))["config"]
            self.assertEqual((manifest["RepoTags"], config["Entrypoint"], config["User"]), (["localhost/x:1"], ["/x"], "65532"))

    def test_a_tree_is_packed_without_what_nobody_reads(self):
        with tempfile.TemporaryDirectory() as folder:
            tree, archive = Path(folder, "tree"), Path(folder, "x.tar")
            for name in ("bin/x", "usr/share/doc/x/copyright", "var/log/dpkg.log", "dev/null-not"):
                Path(tree, name).parent.mkdir(parents=True)
                Path(tree, name).write_text(name)
            Path(tree, "sbin").symlink_to("bin")
            packing.pack(tree, "localhost/x:1", {"var/log/x": (0o1777, 7, 8)}, archive)
            first = archive.read_bytes()
            packing.pack(tree, "localhost/x:1", {"var/log/x": (0o1777, 7, 8)}, archive)
            self.assertEqual(archive.read_bytes(), first)
            with tarfile.open(archive) as outer:
                layer = next(entry for entry in outer.getmembers() if entry.name.endswith("/layer.tar"))
                with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                    entries = {entry.name: entry for entry in inner.getmembers()}
            self.assertTrue({"bin/x", "sbin", "usr/share", "tmp", "dev", "var/log/x"} <= set(entries), entries)
            self.assertFalse({"usr/share/doc", "var/log/dpkg.log", "dev/null-not"} & set(entries), entries)
            self.assertEqual((entries["var/log/x"].mode, entries["var/log/x"].uid, entries["var/log/x"].gid), (0o1777, 7, 8))


if __name__ == "__main__":
    unittest.main()
