import gzip
import io
import json
import os
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import elf
import image_content
import pack_image
from testing_image import elf_program

CRATE = {"name": "holdfast", "version": "1.2.3", "license": "Apache-2.0"}
CREATED = "2026-01-02T03:04:05Z"


class PackImage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def program(self, name="holdfast", **header):
        path = self.folder / name
        path.write_bytes(elf_program(**header))
        return path

    def packed(self, *programs):
        return pack_image.pack("localhost/holdfast:1.2.3", list(programs), b"{}", CRATE, CREATED)

    def test_runs_the_first_program_as_a_user_without_rights(self):
        config = self.packed(self.program(), self.program("holdfast-runtime")).config()
        self.assertEqual(config["config"]["Entrypoint"], ["/usr/local/bin/holdfast"])
        self.assertEqual(config["config"]["User"], "65533:65533")
        self.assertEqual(config["config"]["Labels"]["org.opencontainers.image.version"], "1.2.3")
        self.assertEqual(config["created"], CREATED)

    def test_holds_both_programs_the_user_the_certificates_and_the_bill_of_materials(self):
        image = self.packed(self.program(), self.program("holdfast-runtime"))
        members = {}
        for layer in json.loads(image.manifest)["layers"]:
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(image.blobs[layer["digest"]]))) as tar:
                members.update({each.name: (each.mode, tar.extractfile(each).read()) for each in tar if each.isfile()})
        self.assertEqual(members["usr/local/bin/holdfast"][0], 0o755)
        self.assertIn("usr/local/bin/holdfast-runtime", members)
        self.assertIn(b"holdfast:x:65533:65533:", members["etc/passwd"][1])
        self.assertIn(b"BEGIN CERTIFICATE", members["etc/ssl/certs/ca-certificates.crt"][1])
        self.assertEqual(members["usr/share/sbom/holdfast.spdx.json"][1], b"{}")

    def test_docker_gets_the_same_files(self):
        root = self.folder / "root"
        program = self.program()
        pack_image.unpack(root, [program], b"{}")
        packed = image_content.base() + image_content.programs([program], b"{}")
        self.assertEqual({entry.path for entry in packed}, {str(path.relative_to(root)) for path in root.rglob("*")})
        self.assertEqual((root / "tmp").stat().st_mode & 0o7777, 0o1777)
        self.assertEqual((root / "usr/local/bin/holdfast").stat().st_mode & 0o7777, 0o755)

    def test_the_architecture_is_the_programs(self):
        self.assertEqual(self.packed(self.program(machine=183)).config()["architecture"], "arm64")
        self.assertEqual(self.packed(self.program(machine=62)).config()["architecture"], "amd64")

    def test_programs_for_different_machines_are_refused(self):
        with self.assertRaisesRegex(elf.NotPackable, "amd64, arm64"):
            self.packed(self.program(), self.program("holdfast-runtime", machine=183))

    def test_a_program_that_needs_a_loader_is_refused(self):
        with self.assertRaisesRegex(elf.NotPackable, "dynamic loader"):
            self.packed(self.program(program_headers=(1, 3)))
        self.packed(self.program(program_headers=(1, 2)))

    def test_a_real_dynamic_program_is_refused(self):
        with self.assertRaisesRegex(elf.NotPackable, "dynamic loader"):
            elf.architecture("/bin/sh")

    def test_a_script_is_refused(self):
        path = self.folder / "holdfast"
        path.write_text("#!/bin/sh\n")
        with self.assertRaisesRegex(elf.NotPackable, "no 64-bit little-endian ELF"):
            self.packed(path)

    def test_missing_certificates_are_named_with_their_package(self):
        with self.assertRaisesRegex(image_content.Missing, "install the package ca-certificates"):
            image_content.base(self.folder / "nothing.crt")

    def test_the_date_is_the_one_that_was_asked_for_or_the_last_commits(self):
        with mock.patch.dict(os.environ, {"SOURCE_DATE_EPOCH": "1700000000"}):
            self.assertEqual(pack_image.source_date(), 1700000000)
        with mock.patch.dict(os.environ, {"SOURCE_DATE_EPOCH": ""}):
            log = ["git", "-C", str(pack_image.CHECKOUT), "log", "-1", "--format=%ct"]
            self.assertEqual(str(pack_image.source_date()), subprocess.check_output(log, text=True).strip())


if __name__ == "__main__":
    unittest.main()
