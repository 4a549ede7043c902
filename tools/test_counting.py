"""The driver of the tests counts what ran, and nothing that did not."""

import importlib.machinery
import importlib.util
import unittest
from pathlib import Path

_loader = importlib.machinery.SourceFileLoader("driver", str(Path(__file__).resolve().parent.parent / "tests/run"))
driver = importlib.util.module_from_spec(importlib.util.spec_from_loader("driver", _loader))
_loader.exec_module(driver)


def count(output, code=0, least=0):
    return driver.Count(driver.Step("step", "true", least=least), output, code, {"allowed"})


class Counting(unittest.TestCase):
    def test_cargo_and_unittest_and_checks_are_added_up(self):
        counted = count("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured\n"
                        "Ran 4 tests in 1.0s\n\nOK\nchart: 5 checks, 0 failed\n", least=12)
        self.assertEqual((counted.passed, counted.failed), (12, 0))

    def test_failures_are_counted_and_a_bad_exit_is_never_green(self):
        self.assertEqual(count("Ran 4 tests in 1.0s\n\nFAILED (failures=1, errors=1)\n", 1).failed, 2)
        self.assertEqual(count("chart: 5 checks, 2 failed\n", 1).failed, 2)
        self.assertEqual(count("nothing", 1).failed, 1)
        self.assertEqual(count("test result: ok. 3 passed; 0 failed; 0 ignored", 101).failed, 1)

    def test_a_runner_that_ran_nothing_fails(self):
        for output in ("test result: ok. 0 passed; 0 failed; 0 ignored; 30 filtered out", "Ran 0 tests in 0.0s\n\nOK\n", "chart: 0 checks, 0 failed", ""):
            self.assertEqual(count(output, least=1).failed, 1, output)

    def test_a_step_without_a_runner_counts_as_one(self):
        self.assertEqual((count("done").passed, count("done").failed), (1, 0))

    def test_a_skip_is_said_and_allowed_or_it_fails(self):
        ok = "test result: ok. 3 passed; 0 failed; 0 ignored\n"
        self.assertEqual(count("test a::b ... SKIP allowed: there is none\nok\n" + ok).failed, 0)
        self.assertEqual(count("SKIP strange: there is none\n" + ok).failed, 1)
        self.assertEqual(count("test result: ok. 3 passed; 0 failed; 2 ignored\n").failed, 1)
        self.assertEqual(count("Ran 4 tests in 1.0s\n\nOK (skipped=1)\n").failed, 1)
        self.assertEqual(count("SKIP allowed: x\nRan 4 tests in 1.0s\n\nOK (skipped=1)\n").failed, 0)

    def test_results_are_found_behind_a_test_s_name(self):
        self.assertEqual(driver.RESULT.findall("test a ... RESULT x=1\nok\nRESULT y=2\n"), ["RESULT x=1", "RESULT y=2"])


if __name__ == "__main__":
    unittest.main()
