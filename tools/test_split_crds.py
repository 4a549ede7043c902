import tempfile
import unittest
from pathlib import Path

import split_crds


def crd(name, more="", kind="CustomResourceDefinition"):
    return f"apiVersion: apiextensions.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n{more}spec:\n  scope: Cluster\n"


class SplitCrds(unittest.TestCase):
    def test_each_document_becomes_a_file_named_after_it(self):
        text = f"---\n{crd('as.example.dev')}---\n{crd('bs.example.dev')}\n"
        self.assertEqual(split_crds.split(text), {
            "as.example.dev.yaml": crd("as.example.dev"), "bs.example.dev.yaml": crd("bs.example.dev")})

    def test_a_rule_inside_a_text_does_not_cut_it(self):
        text = crd("as.example.dev") + "  description: |\n    above\n    ---\n    below\n"
        self.assertEqual(split_crds.split(text), {"as.example.dev.yaml": text})

    def test_what_the_chart_could_not_take_is_refused(self):
        for text, why in {
            "": "printed nothing",
            crd("as.example.dev", kind="Deployment"): "no CustomResourceDefinition",
            crd("as.example.dev") + "---\n" + crd("as.example.dev"): "two CRDs",
            crd("nodot"): "PLURAL.GROUP",
            crd("as.example.dev", "  labels:\n    a: b\n"): "labels of its own",
            crd("as.example.dev", "  annotations:\n    a: b\n"): "annotations of its own",
            crd("as.example.dev").replace("metadata:\n", "metadata: # ours\n"): "0 top-level",
        }.items():
            with self.subTest(why), self.assertRaisesRegex(split_crds.NotACrd, why):
                split_crds.split(text)

    def test_the_folder_holds_these_and_no_others_afterwards(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            split_crds.write({"old.example.dev.yaml": "old"}, folder)
            split_crds.write({"new.example.dev.yaml": "new"}, folder)
            self.assertEqual(sorted(path.name for path in folder.iterdir()), ["kustomization.yaml", "new.example.dev.yaml"])
            self.assertTrue((folder / "kustomization.yaml").read_text().endswith("resources:\n  - new.example.dev.yaml\n"))


if __name__ == "__main__":
    unittest.main()
