import unittest

import values_table

SCHEMA = {"properties": {
    "global": {"type": "object"},
    "replicas": {"description": "How many.", "type": "integer"},
    "image": {"properties": {"tag": {"description": "a | b"}}},
}}
DEFAULTS = {"replicas": 2, "image": {"tag": ""}}


class ValuesTable(unittest.TestCase):
    def test_has_a_line_for_every_value_with_its_default(self):
        self.assertEqual(values_table.table(SCHEMA, DEFAULTS).splitlines()[2:], [
            "| `image.tag` |  | a \\| b |",
            "| `replicas` | `2` | How many. |",
        ])

    def test_a_value_without_a_description_is_an_error(self):
        schema = {"properties": {"image": {"properties": {"tag": {"type": "string"}}}}}
        with self.assertRaisesRegex(values_table.Incomplete, "no `description` for image.tag"):
            values_table.table(schema, DEFAULTS)

    def test_a_value_without_a_default_is_an_error(self):
        with self.assertRaisesRegex(values_table.Incomplete, "values.yaml has no image.tag"):
            values_table.table(SCHEMA, {"replicas": 2, "image": {}})

    def test_only_the_table_of_the_readme_changes(self):
        readme = f"above\n{values_table.BEGIN}\nold\n{values_table.END}\nbelow\n"
        new = values_table.into_readme(readme, SCHEMA, DEFAULTS)
        self.assertTrue(new.startswith(f"above\n{values_table.BEGIN}\n| value |"), new)
        self.assertTrue(new.endswith(f"| How many. |\n{values_table.END}\nbelow\n"), new)
        with self.assertRaises(values_table.Incomplete):
            values_table.into_readme("no marks", SCHEMA, DEFAULTS)


if __name__ == "__main__":
    unittest.main()
