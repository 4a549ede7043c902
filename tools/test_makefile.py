import re
import subprocess
import unittest
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
MAKEFILE = (CHECKOUT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z][a-z-]*):(?!=)", MAKEFILE, re.MULTILINE)
# What the users of the earlier projects type.
KNOWN = """help build manager run test install uninstall deploy undeploy deploy-manifests undeploy-manifests build-installer
docker-build docker-push manifests fmt lint clean
generate-certs clean-certs""".split()
TOOLS = ["HELM=/bin/true", "KUBECTL=/bin/true", "KUBECONFORM=/bin/true"]


def make(*arguments):
    return subprocess.run(["make", "--no-print-directory", "-C", CHECKOUT, *arguments], capture_output=True, text=True)


class Makefile(unittest.TestCase):
    def test_help_is_the_default_and_lists_every_target_once(self):
        said = make().stdout
        listed = re.findall(r"^  ([a-z-]+) +\S", said, re.MULTILINE)
        self.assertEqual(sorted(listed), sorted(TARGETS))
        self.assertEqual(said, make("help").stdout)

    def test_the_targets_that_users_know_are_there(self):
        self.assertLessEqual(set(KNOWN), set(TARGETS))

    def test_no_target_is_mistaken_for_a_file(self):
        self.assertEqual(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE), TARGETS)

    def test_every_recipe_can_be_read(self):
        for target in TARGETS:
            if target == "docker-push":
                continue
            done = make("-n", target, *TOOLS)
            self.assertEqual(done.returncode, 0, f"make -n {target}: {done.stderr}")

    def test_no_recipe_runs_make_again(self):
        # Such a line is carried out even by `make -n`, and loses its place under `make -j`.
        self.assertNotIn("$(MAKE)", MAKEFILE)

    def test_pushing_wants_to_know_where_to(self):
        done = make("docker-push")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("make docker-push IMG=", done.stderr)

    def test_certificates_are_made_for_the_overlay(self):
        for overlay, names in {
            "default": "--service 'holdfast' --namespace 'holdfast-system' --secret 'holdfast-tls'",
            "flexdaemonsets": "--service 'flexdaemonsets-webhook-svc' --namespace 'flexdaemonsets-system'"
                              " --secret 'flexdaemonsets-webhook-tls'",
        }.items():
            self.assertIn(names, make("-n", "generate-certs", f"OVERLAY={overlay}").stdout)
        self.assertIn("--service 'mine'", make("-n", "generate-certs", "SERVICE=mine").stdout)

    def test_no_variable_ends_in_a_blank(self):
        # A comment after a value makes the blank before it part of the value.
        wrong = re.findall(r"^\S+ *[:?]?=.*(?:[ \t]|[ \t]#.*)$", MAKEFILE, re.MULTILINE)
        self.assertEqual(wrong, [])

    def test_what_is_not_needed_is_not_looked_for(self):
        done = make("-n", "lint", "PATH=/usr/bin:/bin")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
