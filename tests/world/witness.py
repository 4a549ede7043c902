#!/usr/bin/env python3
"""Judges what a program wrote about itself into a file that all nodes share: never two, never none, never backwards.

    witness.py RECORDS [--incarnations 1] [--none-after 30] [--from LINE]

A record is one line, appended by one write: `SLOT INCARNATION COUNTER NANOSECONDS`. A program draws its incarnation when it starts and keeps
it in memory, and so does a copy of it; its counter goes up by one with each record. The time is CLOCK_REALTIME, which is the same on all
nodes of a world: they are namespaces of one kernel. The order is that of the file.

Knows nothing of Holdfast. Exit code 1 if anything is wrong; the last line says how much.
"""

import argparse
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Violation:
    """What must not be, and where it is to be seen."""

    kind: str
    line: int
    sentence: str


@dataclass
class Slot:
    """What was seen of a place that one program may have at a time."""

    now: str = ""
    former: set = field(default_factory=set)
    counters: dict = field(default_factory=dict)
    last_seen: int = 0


class Witness:
    """Reads records in their order."""

    def __init__(self):
        self.slots, self.violations, self.records = {}, [], 0

    def say(self, kind, line, sentence):
        self.violations.append(Violation(kind, line, sentence))

    def read(self, text, begin=1):
        lines = text.split("\n")
        # A write that has just begun is none yet: all of a record comes at once, its line feed too.
        if lines[-1]:
            self.say("unreadable", begin + len(lines) - 1, f"the last record has no end: {lines[-1][:80]!r}")
        for number, line in enumerate(lines[:-1], begin):
            self.record(number, line)

    def record(self, number, line):
        words = line.split(" ")
        if len(words) != 4 or not all(words) or not (words[2].isdecimal() and words[3].isdecimal()):
            self.say("unreadable", number, f"this is no record: {line[:80]!r}")
            return
        self.records += 1
        name, incarnation, counter, moment = words[0], words[1], int(words[2]), int(words[3])
        slot = self.slots.setdefault(name, Slot())
        slot.last_seen = max(slot.last_seen, moment)
        if incarnation != slot.now:
            if incarnation in slot.former:
                self.say("two", number, f"{name}: {incarnation} writes again after {slot.now} has begun")
            if slot.now:
                slot.former.add(slot.now)
            slot.now = incarnation
        self.count(number, name, slot, incarnation, counter)

    def count(self, number, name, slot, incarnation, counter):
        before = slot.counters.get(incarnation)
        slot.counters[incarnation] = counter
        if before is None or counter == before + 1:
            return
        if counter == before:
            self.say("two", number, f"{name}: {incarnation} has written {counter} twice")
        elif counter < before:
            self.say("rewind", number, f"{name}: {incarnation} writes {counter} after {before}")
        else:
            self.say("unseen", number, f"{name}: {incarnation} writes {counter} after {before}: somebody counted where nobody saw it")

    def end(self, incarnations=None, none_after=None, now=None):
        """What can be said only of all of it: how often a program began, and whether one is left."""
        for name, slot in sorted(self.slots.items()):
            if incarnations is not None and len(slot.counters) > incarnations:
                self.say("fresh", 0, f"{name}: {len(slot.counters)} programs have begun, and not {incarnations}")
            if none_after is not None and now - slot.last_seen > none_after * SECOND:
                self.say("none", 0, f"{name}: no record for {(now - slot.last_seen) / SECOND:.1f} s")
        if none_after is not None and not self.slots:
            self.say("none", 0, "there is no record at all")


def main(words):
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("records", type=Path)
    arguments.add_argument("--incarnations", type=int, help="so many programs may have begun in a slot, one after the other")
    arguments.add_argument("--none-after", type=float, metavar="SECONDS", help="so long there may have been no record until now")
    arguments.add_argument("--from", type=int, default=1, dest="begin", metavar="LINE", help="what stands before was judged already")
    arguments = arguments.parse_args(words)
    text = arguments.records.read_text()
    text = "\n".join(text.split("\n")[arguments.begin - 1:])
    witness = Witness()
    witness.read(text, arguments.begin)
    witness.end(arguments.incarnations, arguments.none_after, time.time_ns())
    for violation in witness.violations:
        print(f"{violation.kind}: line {violation.line}: {violation.sentence}")
    begun = sum(len(slot.counters) for slot in witness.slots.values())
    print(f"records={witness.records} incarnations={begun} violations={len(witness.violations)}")
    return 1 if witness.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
