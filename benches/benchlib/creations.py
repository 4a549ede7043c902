"""Pods created at a constant rate through a real API server, without keeping them (dry run): what failed, what is unsized, how long."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

from .api import Refused

WORKERS = 32


class Creations:
    """The outcome. Times count from the moment at which a creation was meant to begin."""

    def __init__(self):
        self.times, self.failed, self.first_failure = [], 0, None
        # When, by the monotonic clock, which, and what the API server said beside the answer.
        self.unsized_at = []
        self._lock = threading.Lock()

    def add(self, seconds, failure=None):
        with self._lock:
            self.times.append(seconds)
            self.failed += failure is not None
            self.first_failure = self.first_failure or failure

    def add_unsized(self, i, warnings):
        with self._lock:
            self.unsized_at.append((time.monotonic(), i, warnings))

    @property
    def unsized(self):
        return len(self.unsized_at)

    def rate(self, seconds):
        return (len(self.times) - self.failed) / seconds

    def at(self, quantile):
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]

    def unsized_ms(self):
        """From the first that came without its share to the last."""
        moments = [moment for moment, _, _ in self.unsized_at]
        return (max(moments) - min(moments)) * 1000 if moments else 0.0


def create(api, path, make_pod, judge, rate, seconds):
    """`make_pod(i)` is created, `judge(pod)` says whether what came back has its share. Returns when all have an answer."""
    outcome, began = Creations(), time.monotonic()

    def one(i):
        intended = began + i / rate
        time.sleep(max(0.0, intended - time.monotonic()))
        try:
            text, warnings = api.answer("POST", f"{path}?dryRun=All", json.dumps(make_pod(i)))
        except (OSError, HTTPException, Refused) as error:
            outcome.add(time.monotonic() - intended, str(error) or repr(error))
            return
        outcome.add(time.monotonic() - intended)
        if not judge(json.loads(text)):
            outcome.add_unsized(i, warnings)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(one, range(rate * seconds)))
    took = time.monotonic() - began
    return outcome, took
