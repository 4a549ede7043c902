import unittest

import sbom


def crate(name, **more):
    return {"id": name, "name": name, "version": "1.0.0", "license": "MIT", **more}


def needs(name, *kinds):
    return {"pkg": name, "dep_kinds": [{"kind": kind} for kind in kinds]}


METADATA = {
    "packages": [crate("holdfast"), crate("used", license="MIT / Apache-2.0"), crate("deep"), crate("builder"),
                 crate("tester"), crate("deeptester")],
    "resolve": {"root": "holdfast", "nodes": [
        {"id": "holdfast", "deps": [needs("used", None, "dev"), needs("builder", "build"), needs("tester", "dev")]},
        {"id": "used", "deps": [needs("deep", None)]},
        {"id": "deep", "deps": []},
        {"id": "builder", "deps": []},
        {"id": "tester", "deps": [needs("deeptester", None)]},
        {"id": "deeptester", "deps": []},
    ]},
}
CHECKSUMS = {("used", "1.0.0"): "ab" * 32}


def document(program=b"program"):
    debian = {"ca-certificates": "2025", "libc6-dev": None}
    return sbom.document(METADATA, CHECKSUMS, {"holdfast": program}, debian, "2026-01-02T03:04:05Z")


class Sbom(unittest.TestCase):
    def packages(self):
        return {each["name"]: each for each in document()["packages"]}

    def relations(self):
        return {(each["spdxElementId"], each["relationshipType"], each["relatedSpdxElement"]) for each in document()["relationships"]}

    def test_lists_what_is_built_in_and_not_what_only_tests_use(self):
        self.assertEqual(set(self.packages()), {"holdfast", "used", "deep", "builder", "ca-certificates"})

    def test_tells_what_needs_what(self):
        found = self.relations()
        self.assertIn(("SPDXRef-Crate-holdfast-1.0.0", "DEPENDS_ON", "SPDXRef-Crate-used-1.0.0"), found)
        self.assertIn(("SPDXRef-Crate-builder-1.0.0", "BUILD_DEPENDENCY_OF", "SPDXRef-Crate-holdfast-1.0.0"), found)
        self.assertIn(("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Crate-holdfast-1.0.0"), found)
        self.assertIn(("SPDXRef-Crate-holdfast-1.0.0", "CONTAINS", "SPDXRef-Debian-ca-certificates-2025"), found)

    def test_every_relation_is_between_things_that_are_there(self):
        value = document()
        there = {"SPDXRef-DOCUMENT", *(each["SPDXID"] for each in value["packages"] + value["files"])}
        for subject, _, other in self.relations():
            self.assertLessEqual({subject, other}, there)

    def test_tells_checksum_licence_and_where_to_look_it_up(self):
        used = self.packages()["used"]
        self.assertEqual(used["checksums"], [{"algorithm": "SHA256", "checksumValue": "ab" * 32}])
        self.assertEqual(used["licenseDeclared"], "MIT OR Apache-2.0")
        self.assertEqual(used["externalRefs"][0]["referenceLocator"], "pkg:cargo/used@1.0.0")

    def test_the_namespace_changes_with_the_content_only(self):
        self.assertEqual(document()["documentNamespace"], document()["documentNamespace"])
        self.assertNotEqual(document()["documentNamespace"], document(b"other")["documentNamespace"])

    def test_a_date_is_written_as_the_format_wants(self):
        self.assertEqual(sbom.timestamp(0), "1970-01-01T00:00:00Z")


if __name__ == "__main__":
    unittest.main()
