import json
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import kube_schemas

DEFINITIONS = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {"type": "object", "properties": {"name": {"type": "string"}}},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string"},
    "example.Inner": {"type": "object", "properties": {"again": {"$ref": "#/definitions/example.Inner"}}},
    "example.Unused": {"type": "object"},
    "example.Thing": {
        "type": "object",
        "properties": {
            "metadata": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
            "spec": {"$ref": "#/definitions/example.Inner"},
        },
        "x-kubernetes-group-version-kind": [{"group": "example.dev", "version": "v1", "kind": "Thing"},
                                            {"group": "", "version": "v1", "kind": "Thing"}],
    },
}
CRD = {"spec": {"group": "example.dev", "names": {"kind": "Own"}, "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {
    "type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]}}


class KubeSchemas(unittest.TestCase):
    def test_an_object_takes_no_unknown_fields_at_any_depth(self):
        inner = {"type": "object", "properties": {"a": {"type": "string"}}}
        schema = kube_schemas.closed({"properties": {"list": {"type": "array", "items": inner},
                                                     "map": {"type": "object", "additionalProperties": inner}}})
        self.assertIs(schema["additionalProperties"], False)
        self.assertIs(schema["properties"]["list"]["items"]["additionalProperties"], False)
        self.assertIs(schema["properties"]["map"]["additionalProperties"]["additionalProperties"], False)

    def test_what_is_said_to_be_open_stays_open(self):
        self.assertNotIn("additionalProperties", kube_schemas.closed({"type": "object"}))
        preserved = {"properties": {"a": {}}, "x-kubernetes-preserve-unknown-fields": True}
        self.assertNotIn("additionalProperties", kube_schemas.closed(preserved))

    def test_numbers_or_names_null_and_bounds_are_translated(self):
        self.assertEqual(kube_schemas.closed({"type": "string", "format": "int-or-string"}), kube_schemas.EITHER)
        self.assertEqual(kube_schemas.closed({"x-kubernetes-int-or-string": True}), kube_schemas.EITHER)
        self.assertEqual(kube_schemas.closed({"type": "string", "nullable": True}), {"anyOf": [{"type": "string"}, {"type": "null"}]})
        self.assertEqual(kube_schemas.closed({"minimum": 0, "exclusiveMinimum": True}), {"exclusiveMinimum": 0})

    def test_a_field_named_like_a_keyword_is_a_field(self):
        schema = kube_schemas.closed({"properties": {"description": {"type": "string"}, "items": {"type": "array"}}})
        self.assertEqual(sorted(schema["properties"]), ["description", "items"])

    def test_each_kind_has_a_schema_with_what_it_refers_to_and_nothing_else(self):
        schemas = kube_schemas.kubernetes(DEFINITIONS)
        self.assertEqual(sorted(schemas), ["example.dev/v1/thing.json", "meta.json", "v1/v1/thing.json"])
        thing = schemas["example.dev/v1/thing.json"]
        self.assertIn("example.Inner", thing["definitions"])
        self.assertNotIn("example.Unused", thing["definitions"])
        self.assertEqual(thing["allOf"][1]["properties"]["apiVersion"], {"const": "example.dev/v1"})
        self.assertEqual(schemas["v1/v1/thing.json"]["allOf"][1]["properties"]["apiVersion"], {"const": "v1"})

    def test_a_kind_of_ours_has_metadata_and_is_closed(self):
        meta = kube_schemas.kubernetes(DEFINITIONS)["meta.json"]
        own = kube_schemas.custom([CRD], meta)["example.dev/v1/own.json"]
        self.assertIs(own["allOf"][0]["additionalProperties"], False)
        self.assertEqual(own["allOf"][0]["properties"]["metadata"], {"$ref": meta["$ref"]})
        self.assertIn(kube_schemas.META, own["definitions"])

    def test_the_version_is_the_one_that_is_pinned(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("require (\n\tk8s.io/kubectl v0.0.0\n\tk8s.io/kubernetes v1.35.4\n)\n")
            file.flush()
            self.assertEqual(kube_schemas.pinned_version(Path(file.name)), "v1.35.4")
        with self.assertRaisesRegex(kube_schemas.NoSchemas, "does not name a version"):
            kube_schemas.pinned_version(Path("/dev/null"))

    def test_they_are_made_once_for_a_version(self):
        with tempfile.TemporaryDirectory() as name:
            source = Path(name, "swagger.json")
            source.write_text(json.dumps({"definitions": DEFINITIONS}))
            with mock.patch("kube_schemas.openapi", return_value=source) as asked:
                first = kube_schemas.cached("v1.35.4", Path(name))
                self.assertEqual(first, kube_schemas.cached("v1.35.4", Path(name)))
                self.assertNotEqual(first, kube_schemas.cached("v1.36.3", Path(name)))
            self.assertEqual(asked.call_count, 2)
            self.assertTrue((first / "example.dev/v1/thing.json").exists())
            self.assertEqual(len(list(Path(name).glob("schemas-*"))), 2)

    def test_a_download_that_fails_is_told(self):
        failed = subprocess.CompletedProcess([], 1, "", "no such version")
        with mock.patch("subprocess.run", return_value=failed):
            with self.assertRaisesRegex(kube_schemas.NoSchemas, "no such version"):
                kube_schemas.openapi("v0.0.0")


if __name__ == "__main__":
    unittest.main()
