import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import case_table

TOOL = Path(case_table.__file__)
ALL = "".join(f"#[test]\nfn {case}_holds() {{}}\n" for case in case_table.CASES)


class CaseTable(unittest.TestCase):
    def run_tool(self, checkout, *arguments):
        return subprocess.run([sys.executable, str(TOOL), *arguments, "--checkout", str(checkout)], capture_output=True, text=True)

    def checkout(self, folder, rust):
        for name in ("src", "tests", "tools", "docs"):
            (Path(folder) / name).mkdir()
        (Path(folder) / "src/a.rs").write_text(rust)
        (Path(folder) / case_table.PAGE).write_text(f"above\n{case_table.BEGIN}\nold\n{case_table.END}\nbelow\n")
        return Path(folder)

    def test_a_name_may_begin_with_several_cases(self):
        for name, expected in {
            "fx_07_containers": ["fx_07"],
            "fx_02_03_the_scheduler": ["fx_02", "fx_03"],
            "f05_f06_a_pod": ["f05", "f06"],
            "f12_fx_14_twice": ["f12", "fx_14"],
            "fx_13_29_percent": ["fx_13", "fx_29"],
            "fx_13_100_millicores": ["fx_13"],
            "fixes_it": [],
        }.items():
            self.assertEqual(case_table.ids(name), expected, name)

    def test_finds_tests_of_both_languages_and_no_others(self):
        tests = case_table.shown({
            "src/a.rs": "#[test]\nfn fx_01_alone() {}\nfn f01() {}\n// see fx_02_it\n    #[tokio::test]\n    #[allow(\n        x,\n        reason = \"y [z]\"\n    )]\n    async fn f02_served() {}\n",
            "tests/b.py": "    def test_fx_03_sizes(self):\n",
        })
        self.assertEqual({case: found for case, found in tests.items() if found}, {
            "fx_01": [("fx_01_alone", "src/a.rs")], "f02": [("f02_served", "src/a.rs")], "fx_03": [("fx_03_sizes", "tests/b.py")]})

    def test_a_case_that_is_none_is_an_error(self):
        with self.assertRaisesRegex(case_table.Wrong, "a.rs: the test fx_16_more names the case fx_16"):
            case_table.shown({"a.rs": "#[test]\nfn fx_16_more() {}"})

    def test_what_nobody_runs_shows_nothing(self):
        for rust in ("fn fx_01_helper() {}", "#[test]\n#[ignore = \"slow\"]\nfn fx_01_slow() {}", "#[cfg(unix)]\nfn fx_01_other() {}", "#[test]\nfn one() {}\nfn fx_01_below() {}"):
            with self.assertRaisesRegex(case_table.Wrong, "no test runner runs it"):
                case_table.shown({"a.rs": rust})

    def test_only_the_table_of_the_page_changes(self):
        tests = case_table.shown({"src/a.rs": ALL})
        new = case_table.into_page(f"above\n{case_table.BEGIN}\nold\n{case_table.END}\nbelow\n", tests)
        self.assertTrue(new.startswith(f"above\n{case_table.BEGIN}\n| case |"), new)
        self.assertIn("| FX-7 | Containers and native sidecars share one share; an init container fits into it | [`fx_07_holds`](../src/a.rs) |\n", new)
        self.assertTrue(new.endswith(f"(../src/a.rs) |\n{case_table.END}\nbelow\n"), new)
        with self.assertRaises(case_table.Wrong):
            case_table.into_page("no marks", tests)

    def test_a_stale_table_fails_until_it_is_written(self):
        with tempfile.TemporaryDirectory() as folder:
            checkout = self.checkout(folder, ALL)
            stale = self.run_tool(checkout, "check")
            self.assertEqual(stale.returncode, 1)
            self.assertIn("make cases", stale.stderr)
            self.assertEqual(self.run_tool(checkout, "write").returncode, 0)
            self.assertEqual(self.run_tool(checkout, "check").returncode, 0)

    def test_a_case_without_a_test_fails_unless_that_is_allowed(self):
        with tempfile.TemporaryDirectory() as folder:
            checkout = self.checkout(folder, ALL.replace("f11_", "later_"))
            self.run_tool(checkout, "write")
            self.assertIn("| **no test yet** |", (checkout / case_table.PAGE).read_text())
            refused, allowed = self.run_tool(checkout, "check"), self.run_tool(checkout, "check", "--allow-missing")
            self.assertEqual((refused.returncode, allowed.returncode), (1, 0))
            self.assertIn("no test shows F11:", allowed.stdout)


if __name__ == "__main__":
    unittest.main()
