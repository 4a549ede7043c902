"""Pods as they come into being: whether each has its share, at its creation and afterwards."""

import threading
import time
from fractions import Fraction
from functools import lru_cache

UNITS = {"": 1, "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
         "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
# What a share is counted in: thousandths of a CPU, bytes.
GRAIN = {"cpu": Fraction(1, 1000)}


@lru_cache(10_000)
def quantity(text):
    """A Kubernetes quantity, without exponents."""
    digits = text.rstrip("numkMGTKi")
    return Fraction(digits) * UNITS[text[len(digits):]]


def has_share(pod, allocatable, percentages):
    """Whether a pod's requests come to these percentages of this allocatable: {resource: …} both."""
    for resource, percentage in percentages.items():
        try:
            amounts = [quantity(c["resources"]["requests"][resource]) for c in pod["spec"]["containers"]]
        except KeyError:
            return False
        grain = GRAIN.get(resource, 1)
        # However many containers there are: together they have the whole share, to the last thousandth and byte.
        if sum(amounts) != quantity(allocatable[resource]) * percentage // (100 * grain) * grain:
            return False
    return True


class Counter:
    """Watches the pods of a label from before there is one. `judge(pod)` says whether a pod has its share."""

    def __init__(self, api, path, selector, judge):
        self._judge, self._lock = judge, threading.Lock()
        self.created, self.unsized_at_creation, self._unsized = 0, 0, set()
        self.last_created = self.last_repaired = None
        self._watch = api.watch(f"{path}?labelSelector={selector}", self.saw)

    def saw(self, kind, pod):
        name, now = pod["metadata"]["name"], time.monotonic()
        with self._lock:
            if kind == "DELETED":
                self._unsized.discard(name)
                return
            is_sized = self._judge(pod)
            if kind == "ADDED":
                self.created += 1
                self.last_created = now
                self.unsized_at_creation += not is_sized
            if not is_sized:
                self._unsized.add(name)
            elif name in self._unsized:
                self._unsized.discard(name)
                self.last_repaired = now

    @property
    def unsized(self):
        with self._lock:
            return len(self._unsized)

    def check(self):
        if self._watch.broken:
            raise SystemExit(f"bench: pods were not counted: {self._watch.broken}")
        return True

    def end(self):
        self._watch.end()
