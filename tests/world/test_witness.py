"""The witness's judge catches what it is there for: each thing that must not be is planted once."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from witness import SECOND, Witness, main  # noqa: E402


def record(incarnation, counter, moment=None, slot="s"):
    return f"{slot} {incarnation} {counter} {counter * SECOND if moment is None else moment}\n"


def kinds(*records, **end):
    witness = Witness()
    witness.read("".join(records))
    witness.end(**end)
    return [violation.kind for violation in witness.violations]


class Judged(unittest.TestCase):
    def test_one_program_that_counts_is_well_however_long_it_stood_still(self):
        records = [record("a", 1), record("a", 2), record("a", 3, 900 * SECOND)]
        self.assertEqual(kinds(*records, incarnations=1, none_after=5, now=901 * SECOND), [])

    def test_slots_have_nothing_to_do_with_each_other(self):
        self.assertEqual(kinds(record("a", 1, slot="x"), record("b", 7, slot="y"), record("a", 2, slot="x"), record("b", 8, slot="y"), incarnations=1), [])

    def test_two_copies_of_one_program_are_two(self):
        self.assertEqual(kinds(record("a", 4), record("a", 5), record("a", 5), record("a", 6), record("a", 6)), ["two", "two"])

    def test_two_programs_by_turns_are_two(self):
        self.assertEqual(kinds(record("a", 4), record("b", 1), record("a", 5)), ["two"])

    def test_a_copy_that_lags_behind_is_seen_too(self):
        self.assertEqual(kinds(record("a", 4), record("a", 5), record("a", 6), record("a", 5), record("a", 7)), ["rewind", "unseen"])

    def test_an_older_state_is_a_rewind(self):
        self.assertEqual(kinds(record("a", 8), record("a", 9), record("a", 5), record("a", 6)), ["rewind"])

    def test_who_counts_where_nobody_sees_it_is_noticed(self):
        self.assertEqual(kinds(record("a", 1), record("a", 3)), ["unseen"])

    def test_a_program_that_starts_anew_is_counted(self):
        records = [record("a", 8), record("b", 1)]
        self.assertEqual(kinds(*records, incarnations=2), [])
        self.assertEqual(kinds(*records, incarnations=1), ["fresh"])

    def test_none_is_noticed(self):
        self.assertEqual(kinds(record("a", 8), none_after=5, now=14 * SECOND), ["none"])
        self.assertEqual(kinds(record("a", 8), none_after=5, now=13 * SECOND), [])
        self.assertEqual(kinds(none_after=5, now=1), ["none"])

    def test_what_is_no_record_is_not_passed_over(self):
        for text in ("s a 1\n", "s a one 1\n", "s a 1 1", "s  a 1 1\n", "\n"):
            self.assertEqual(kinds(text), ["unreadable"], text)


class Asked(unittest.TestCase):
    def judge(self, text, *words):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "records"
            path.write_text(text)
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                code = main([str(path), *words])
            return code, said.getvalue().splitlines()

    def test_says_how_much_is_wrong_and_where(self):
        code, said = self.judge(record("a", 1) + record("a", 1))
        self.assertEqual(code, 1)
        self.assertEqual(said, ["two: line 2: s: a has written 1 twice", "records=2 incarnations=1 violations=1"])

    def test_goes_on_where_it_was(self):
        code, said = self.judge(record("a", 1) + record("a", 1) + record("a", 2), "--from", "2", "--incarnations", "1")
        self.assertEqual((code, said), (0, ["records=2 incarnations=1 violations=0"]))


if __name__ == "__main__":
    unittest.main()
