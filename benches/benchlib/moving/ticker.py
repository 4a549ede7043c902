"""The program that stands still, and what it says of it."""

import sys

IMAGE = "localhost/bench-ticker:1"


class Ticker:
    def __init__(self, root, program, folder):
        if not program.exists():
            raise SystemExit(f"bench: {program} is not there: run it by `make bench-migration`, which builds it.")
        self.program, self.archive = program, folder / "ticker.tar"
        sys.path.insert(0, str(root / "tests/world"))
        from worldlib.images import Image
        image = Image(IMAGE, command=["/ticker"])
        image.add_file("ticker", program.read_bytes(), 0o755).write(self.archive)


def longest(text, after=0.0):
    """Seconds of the longest gap that ended later than this moment; none where there is none yet. A wrong sum ends the benchmark."""
    if "sum wrong" in text:
        raise SystemExit("bench: the program's memory is not what it was")
    gaps = [line.split() for line in text.splitlines() if line.startswith("gap ")]
    found = [int(length) / 1e6 for _, end, length in gaps if int(end) / 1e6 > after]
    return max(found, default=None)
