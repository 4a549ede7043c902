import hashlib
import json
import shutil
import tempfile
import unittest
from pathlib import Path

import elf
import image_content
import node_parts
import pack_image
from testing_image import elf_program


class NodeParts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_names_each_file_with_its_digest_and_mode(self):
        node_parts.put(self.folder, "bin/runc", b"program", 0o755)
        listed = node_parts.listed(self.folder, ["bin/runc"])
        self.assertEqual(listed, {"bin/runc": {"sha256": hashlib.sha256(b"program").hexdigest(), "mode": 0o755}})

    def test_finds_a_library_through_the_links_of_a_tree(self):
        upper, lower = self.folder / "upper", self.folder / "lower"
        node_parts.put(lower, "usr/lib/x86_64-linux-gnu/libx.so.1.2", b"library")
        (lower / "usr/lib/x86_64-linux-gnu/libx.so.1").symlink_to("libx.so.1.2")
        self.assertEqual(node_parts.find_library([upper, lower], "libx.so.1").read_bytes(), b"library")
        with self.assertRaisesRegex(node_parts.Refusal, "libgone.so"):
            node_parts.find_library([upper, lower], "libgone.so")

    def test_knows_whose_a_file_is(self):
        node_parts.put(self.folder, "var/lib/dpkg/status", b"Package: libx\nStatus: install ok installed\nVersion: 1-2\n")
        node_parts.put(self.folder, "var/lib/dpkg/info/libx:amd64.list", b"/.\n/lib/libx.so.1\n")
        self.assertEqual(node_parts.owned(self.folder, {"usr/lib/libx.so.1"}), {"libx": "1-2"})
        self.assertEqual(node_parts.owned(self.folder, {"usr/lib/liby.so.1"}), {})

    def test_reads_what_a_real_program_needs(self):
        program = Path(shutil.which("python3")).resolve()
        self.assertTrue(any(name.startswith("libc.so") for name in elf.needed(program)), elf.needed(program))
        self.assertIn("ld-linux", elf.interpreter(program))
        static = self.folder / "static"
        static.write_bytes(elf_program())
        self.assertEqual((elf.needed(static), elf.interpreter(static)), ([], ""))

    def test_the_image_has_them_as_a_layer_of_their_own(self):
        parts = self.folder / "parts"
        node_parts.put(parts, "bin/runc", b"runc", 0o755)
        node_parts.put(parts, "manifest.json", json.dumps({"packages": {"criu": "4.2.1-1"}}).encode())
        program = self.folder / "holdfast"
        program.write_bytes(elf_program())
        crate = {"name": "holdfast", "version": "1.2.3"}
        image = pack_image.pack("localhost/holdfast:1.2.3", [program], b"{}", crate, "2026-01-02T03:04:05Z", parts)
        config = image.config()
        self.assertEqual(len(config["history"]), len(config["rootfs"]["diff_ids"]))
        self.assertEqual(len(config["history"]), 3)
        entries = {entry.path: entry for entry in image_content.node_parts(parts)}
        self.assertEqual(entries["usr/local/share/holdfast/node/bin/runc"].mode, 0o755)
        self.assertIsNone(entries["usr/local/share/holdfast"].content)
        self.assertEqual(pack_image.brought(parts), {"criu": "4.2.1-1"})
        self.assertEqual(pack_image.brought(None), {})


if __name__ == "__main__":
    unittest.main()
