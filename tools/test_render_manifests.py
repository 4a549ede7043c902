import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import helm
import render_manifests

RENDERED = """---
# Source: holdfast/templates/role.yaml
kind: Role
metadata:
  labels:
    app.kubernetes.io/managed-by: Helm
    helm.sh/chart: holdfast-0.1.0
    app.kubernetes.io/name: holdfast
---
# Source: holdfast/templates/service.yaml
kind: Service
---
# Source: holdfast/templates/role.yaml
kind: RoleBinding
"""


class RenderManifests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.checkout = Path(folder.name)
        (self.checkout / "manifests/default").mkdir(parents=True)
        (self.checkout / "manifests/default/values.yaml").write_text("")

    def overlay(self):
        return render_manifests.kustomization("default", helm.sources(RENDERED))

    def test_each_template_becomes_a_file_without_what_only_helm_may_say(self):
        files = self.overlay()
        self.assertEqual(sorted(files), ["kustomization.yaml", "namespace.yaml", "role.yaml", "service.yaml"])
        body = files["role.yaml"].split("\n", 1)[1]
        self.assertEqual(body, "kind: Role\nmetadata:\n  labels:\n    app.kubernetes.io/name: holdfast\n---\nkind: RoleBinding\n")

    def test_the_kustomization_lists_crds_namespace_and_every_file(self):
        listed = self.overlay()["kustomization.yaml"].partition("resources:\n")[2]
        self.assertEqual(listed, "  - ../crds\n  - namespace.yaml\n  - role.yaml\n  - service.yaml\n")

    def test_an_overlay_may_live_in_a_namespace_of_its_own(self):
        for overlay, name in [("default", "holdfast-system"), ("flexdaemonsets", "flexdaemonsets-system")]:
            files = render_manifests.kustomization(overlay, helm.sources(RENDERED))
            self.assertIn(f"\n  name: {name}\n", files["namespace.yaml"])

    def written(self):
        files = {Path("manifests/default") / name: text for name, text in self.overlay().items()}
        with contextlib.redirect_stdout(io.StringIO()):
            render_manifests.write(self.checkout, files)
        return files

    def test_what_was_written_is_current(self):
        self.assertEqual(render_manifests.differences(self.checkout, self.written()), "")

    def test_a_changed_a_missing_and_a_left_over_file_show_in_the_diff(self):
        files = self.written()
        folder = self.checkout / "manifests/default"
        (folder / "role.yaml").write_text("changed\n")
        (folder / "service.yaml").unlink()
        (folder / "former.yaml").write_text("left over\n")
        shown = render_manifests.differences(self.checkout, files)
        for line in ["-changed", "+kind: Role", "+kind: Service", "-left over"]:
            self.assertIn(f"\n{line}\n", shown)

    def test_writing_removes_what_is_left_over_and_keeps_the_values(self):
        self.written()
        (self.checkout / "manifests/default/former.yaml").write_text("left over\n")
        self.written()
        self.assertFalse((self.checkout / "manifests/default/former.yaml").exists())
        self.assertTrue((self.checkout / "manifests/default/values.yaml").exists())


if __name__ == "__main__":
    unittest.main()
