import re
import tomllib
import unittest
from unittest import mock

import pack_image

DOCKERFILE = (pack_image.CHECKOUT / "Dockerfile").read_text()


class Dockerfile(unittest.TestCase):
    """Docker and the archive make the same image."""

    def said(self, pattern):
        found = re.search(pattern, DOCKERFILE, re.MULTILINE)
        self.assertIsNotNone(found, f"the Dockerfile has no {pattern}")
        return found.group(1)

    def test_compiles_with_the_pinned_toolchain(self):
        pinned = tomllib.loads((pack_image.CHECKOUT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
        self.assertTrue(pinned.startswith(self.said(r"^FROM rust:([0-9.]+)-")), pinned)

    def test_runs_as_the_same_user_the_same_program_in_the_same_environment(self):
        with mock.patch("elf.architecture", return_value="amd64"), mock.patch("image_content.programs", return_value=[]):
            program = pack_image.Path("/usr/local/bin/holdfast")
            config = pack_image.pack("localhost/a:b", [program], b"", {"name": "a", "version": "1"}, "").config()["config"]
        self.assertEqual(self.said(r"^USER (.*)$"), config["User"])
        self.assertEqual(self.said(r"^ENTRYPOINT \[(.*)\]$"), f'"{config["Entrypoint"][0]}"')
        self.assertEqual(self.said(r"^ENV (.*)$").split(), config["Env"])
        self.assertEqual(self.said(r"^WORKDIR (/)$"), config["WorkingDir"])

    def test_builds_the_programs_that_the_makefile_names(self):
        makefile = (pack_image.CHECKOUT / "Makefile").read_text()
        programs = re.search(r"^PROGRAMS := (.*)$", makefile, re.MULTILINE).group(1).split()
        built = re.findall(r"--bin (\S+?);?(?=[ \n])", DOCKERFILE)
        self.assertEqual(built, programs)
        for program in programs:
            self.assertIn(f"/target/$target/release/{program}", DOCKERFILE)


if __name__ == "__main__":
    unittest.main()
