import unittest

from image_reference import BadReference, Reference, helm_flags, kustomize_entry

DIGEST = "sha256:" + "0123456789abcdef" * 4


class ImageReference(unittest.TestCase):
    def test_short_names_are_completed_as_container_runtimes_do(self):
        for short, full in {
            "holdfast": "docker.io/library/holdfast:latest",
            "holdfast:v1": "docker.io/library/holdfast:v1",
            "team/holdfast:v1": "docker.io/team/holdfast:v1",
            "localhost/holdfast:v1": "localhost/holdfast:v1",
            "localhost:5000/holdfast": "localhost:5000/holdfast:latest",
            "registry:5000/a/b:v1": "registry:5000/a/b:v1",
            "127.0.0.1:5000/holdfast:v1": "127.0.0.1:5000/holdfast:v1",
            "registry.example.com/a/b_c-d:v1": "registry.example.com/a/b_c-d:v1",
            f"registry.example.com/a@{DIGEST}": f"registry.example.com/a@{DIGEST}",
            f"registry.example.com/a:v1@{DIGEST}": f"registry.example.com/a:v1@{DIGEST}",
        }.items():
            with self.subTest(short):
                self.assertEqual(str(Reference.parse(short)), full)

    def test_what_is_no_name_is_refused_with_a_sentence(self):
        for wrong in ["", "Holdfast", "a b", "a:b:c", "https://registry.example.com/a", "a:", "a@sha256:12", "-a", "a//b"]:
            with self.subTest(wrong), self.assertRaisesRegex(BadReference, "no image name"):
                Reference.parse(wrong)

    def test_a_blank_at_the_end_is_named_as_such(self):
        with self.assertRaisesRegex(BadReference, "blank"):
            Reference.parse("holdfast:v1 ")

    def test_the_chart_gets_repository_and_tag_apart(self):
        flags = helm_flags(Reference.parse("localhost:5000/holdfast:v1"))
        self.assertIn("image.repository=localhost:5000/holdfast ", flags)
        self.assertIn("image.tag=v1 ", flags)

    def test_kustomize_gets_a_tag_that_looks_like_a_number_as_text(self):
        self.assertIn("newTag: '1.0'", kustomize_entry(Reference.parse("registry.example.com/holdfast:1.0")))
        self.assertIn(f"digest: {DIGEST}", kustomize_entry(Reference.parse(f"registry.example.com/holdfast@{DIGEST}")))


if __name__ == "__main__":
    unittest.main()
