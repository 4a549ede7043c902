"""What the command prints while it works: to standard error, so that answers on standard output can be piped."""

import sys
import threading
import time

PROGRESS_EVERY_S = 5


def say(text):
    print(text, file=sys.stderr, flush=True)


def minutes(seconds):
    seconds = round(seconds)
    return f"{seconds} s" if seconds < 100 else f"{seconds // 60} min {seconds % 60:02} s"


class Progress:
    """A line every few seconds for something that takes long: `with Progress("building x", usual_s) as p: p.note = …`."""

    def __init__(self, what, usual_s):
        self.what, self.usual_s, self.note = what, usual_s, ""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self):
        self.began = time.monotonic()
        say(f"{self.what} (usually about {minutes(self.usual_s)})")
        self._thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self._done.set()
        self._thread.join()
        if kind is None:
            say(f"{self.what}: done in {minutes(time.monotonic() - self.began)}")

    def _tick(self):
        while not self._done.wait(PROGRESS_EVERY_S):
            note = f", {self.note}" if self.note else ""
            say(f"  … {minutes(time.monotonic() - self.began)} of about {minutes(self.usual_s)}{note}")
