"""Pods created at a constant rate through a real API server, without keeping them (dry run): what failed, what is unsized, how long."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from .api import Refused

WORKERS = 32


class Creations:
    """The outcome. Times count from the moment at which a creation was meant to begin."""

    def __init__(self):
        self.times, self.failed, self.unsized, self.first_failure = [], 0, 0, None
        self._lock = threading.Lock()

    def add(self, seconds, failure=None, is_sized=True):
        with self._lock:
            self.times.append(seconds)
            self.failed += failure is not None
            self.unsized += failure is None and not is_sized
            self.first_failure = self.first_failure or failure

    def rate(self, seconds):
        return (len(self.times) - self.failed) / seconds

    def at(self, quantile):
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


def create(api, path, make_pod, judge, rate, seconds):
    """`make_pod(i)` is created, `judge(pod)` says whether what came back has its share. Returns when all have an answer."""
    outcome, began = Creations(), time.monotonic()

    def one(i):
        intended = began + i / rate
        time.sleep(max(0.0, intended - time.monotonic()))
        try:
            pod = json.loads(api.text("POST", f"{path}?dryRun=All", json.dumps(make_pod(i))))
            outcome.add(time.monotonic() - intended, is_sized=judge(pod))
        except (OSError, Refused) as error:
            outcome.add(time.monotonic() - intended, str(error))

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(one, range(rate * seconds)))
    took = time.monotonic() - began
    return outcome, took
