"""Pods are created all the time, as the DaemonSet controller makes them, while certificates change and replicas end.

A real installation: the chart, two replicas on two nodes, its Service. No creation may fail, and none may come without its share but
in the moment after a SIGKILL.
"""

import re
import time
from collections import Counter as Tally
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import creations, paper
from . import population as p
from .control_plane import ControlPlane, wait
from .pods import Counter
from .replicas import Certificates, Replicas

# An API server that did this much of what was asked for does all of it: the last answers come after the end.
SUSTAINED = 0.97
REPAIRED_WITHIN_S = 30
FAILED_OPEN = "Failed calling webhook, failing open"


class Sizes:
    def __init__(self, quick):
        self.nodes, self.rate = 40, 50 if quick else 200
        self.measured_s, self.rotation_s, self.kill_s = (3, 15, 10) if quick else (15, 60, 20)
        # DaemonSets whose pods are kept, one after the other around each SIGKILL.
        self.sets, self.apart_s = 16, 0.1
        # At most so often, if nothing slips through; a node on paper takes so many pods of all of them.
        self.kills = 4


def run(root, name, archive, image, quick, keep):
    """Figures for the last line; prints the rest."""
    plane, sizes = ControlPlane(root, name), Sizes(quick)
    try:
        print(f"\n== certificates change, replicas end: two nodes, {sizes.nodes} on paper", flush=True)
        plane.up(kwok=sizes.nodes, nodes=2)
        replicas = Replicas(plane)
        replicas.install(archive, image)
        storm = Storm(plane, replicas, sizes)
        storm.prepare()
        storm.without_webhook()
        storm.terminated()
        storm.killed()
        return storm.figures
    finally:
        if not keep:
            plane.world("down")


class Storm:
    def __init__(self, plane, replicas, sizes):
        self.plane, self.api, self.replicas, self.sizes = plane, plane.api, replicas, sizes
        self.figures, self.owner, self.rate = {}, None, sizes.rate
        [component] = [c for c in plane.status()["components"] if c["name"] == "kube-apiserver"]
        self.log = Path(component["log"])

    def prepare(self):
        self.plane.ensure("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": p.NAMESPACE}})
        wait("the namespace's account", 30, lambda: self.plane.there(f"/api/v1/namespaces/{p.NAMESPACE}/serviceaccounts/default"))
        self.plane.kubectl("delete", "daemonset", "--all", "-n", p.NAMESPACE)
        self.plane.ensure(p.TEMPLATES, paper.template("bench-storm"))
        self.owner = self.api.call("POST", p.DAEMONSETS, paper.daemonset("bench-storm", "bench-storm", paper.NOWHERE))

    def without_webhook(self):
        """What the API server sustains when it does not ask us."""
        self._sizing("disabled", is_sized=False)
        outcome, took = self._create(self.sizes.measured_s)
        sustained = outcome.rate(took)
        self.rate = self.sizes.rate if sustained >= SUSTAINED * self.sizes.rate else int(sustained)
        print(f"  without the webhook: {self.sizes.rate}/s asked for, {_told(outcome, took)}; so {self.rate}/s from here on", flush=True)
        self._sizing("enabled", is_sized=True)
        self.figures.update(storm_rate_without=sustained, storm_p99_ms_without=outcome.at(0.99) * 1000)

    def terminated(self):
        """Certificates change; in the middle the leader is told to go."""
        certificates, mark = Certificates(self.replicas), self._mark()
        with ThreadPoolExecutor(1) as pool:
            began = time.monotonic()
            creating = pool.submit(self._create, self.sizes.rotation_s)
            time.sleep(self.sizes.rotation_s / 3)
            leader, _ = wait("a leader to end", 30, self.replicas.leader)
            self.replicas.terminate(leader)
            told = f"SIGTERM to {leader['metadata']['name']} at {time.monotonic() - began:.1f} s"
            outcome, took = creating.result()
        certificates.end()
        changes = {name: len(seen) - 1 for name, seen in certificates.leaves.items()}
        print(f"  certificates and SIGTERM: {_told(outcome, took)}; {told}; leaves changed {changes}; trusted {' -> '.join('+'.join(sorted(b)) for b in certificates.bundles)}", flush=True)
        self._explain(outcome, mark, began)
        self.figures.update(storm_rate=outcome.rate(took), storm_p99_ms=outcome.at(0.99) * 1000, storm_failed=outcome.failed, storm_unsized=outcome.unsized,
                            leaf_changes=certificates.leaf_changes, leaf_changes_of_one=certificates.leaf_changes_of_one, ca_rollovers=certificates.roll_overs)
        wait("two replicas again", 60, self.replicas.are_two)

    def killed(self):
        """The leader's process dies, again and again until a pod that stays has slipped through: only then can a repair be seen."""
        self.figures.update(kills=0, kill_failed=0, kill_unsized=0, kill_unsized_ms=0.0, kill_kept_unsized=0)
        while self.figures["kills"] < self.sizes.kills and not self.figures["kill_kept_unsized"]:
            wait("two replicas", 90, self.replicas.are_two)
            killed = self._kill_one(self.figures["kills"])
            # A kubelet starts what was killed a second time later: the next one is another pod.
            self.replicas.terminate(killed)

    def _kill_one(self, at):
        """Certificates go on changing; the leader's process dies, and around that moment DaemonSets bring pods that stay. Which pod it was."""
        leader, _ = wait("a leader to kill", 60, self.replicas.leader)
        wave = f"storm-{at}"
        mark, counter = self._mark(), Counter(self.api, p.PODS, f"wave={wave}", paper.has_share)
        with ThreadPoolExecutor(2) as pool:
            began = time.monotonic()
            creating = pool.submit(self._create, self.sizes.kill_s)
            time.sleep(self.sizes.kill_s / 4)
            bringing = pool.submit(self._bring_sets, wave)
            wait("pods that stay", 60, lambda: counter.check() and counter.created >= self.sizes.nodes // 2, 0.01)
            killed = self.replicas.kill(leader)
            bringing.result()
            outcome, took = creating.result()
        expected = self.sizes.sets * self.sizes.nodes
        wait(f"{expected} pods", 120, lambda: counter.check() and counter.created >= expected)
        print(f"  SIGKILL to {leader['metadata']['name']} at {killed - began:.1f} s: {_told(outcome, took)}", flush=True)
        print(f"  {expected} pods that stay came until {counter.last_created - killed:.1f} s after it", flush=True)
        self._await_repair(counter, killed)
        counter.end()
        self._explain(outcome, mark, began)
        told = self.figures
        told.update(kills=at + 1, kill_failed=told["kill_failed"] + outcome.failed, kill_unsized=told["kill_unsized"] + outcome.unsized,
                    kill_unsized_ms=max(told["kill_unsized_ms"], outcome.unsized_ms()), kill_kept_unsized=told["kill_kept_unsized"] + counter.unsized_at_creation)
        self._tell_repair(counter, killed)
        return leader

    def _await_repair(self, counter, killed):
        deadline = killed + REPAIRED_WITHIN_S
        while counter.unsized and time.monotonic() < deadline:
            time.sleep(0.1)

    def _tell_repair(self, counter, killed):
        if not counter.unsized_at_creation:
            print(f"  of {counter.created} pods that stay, none was created without its share: no repair could be seen", flush=True)
            return
        if not counter.unsized and counter.last_repaired is None:
            print(f"  of {counter.created} pods that stay, {counter.unsized_at_creation} were created without their share, and are gone: no repair could be seen", flush=True)
            return
        # Never repaired is not a number of seconds.
        repaired = float("inf") if counter.unsized else max(0.0, counter.last_repaired - killed)
        print(f"  of {counter.created} pods that stay, {counter.unsized_at_creation} were created without their share, {counter.unsized} have none now; last repair {repaired:.1f} s after the SIGKILL", flush=True)
        self.figures.update(kill_repaired_s=repaired)

    def _bring_sets(self, wave):
        for i in range(self.sizes.sets):
            self.api.call("POST", p.DAEMONSETS, paper.daemonset(f"bench-kept-{wave}-{i}", "bench-storm", wave=wave))
            time.sleep(self.sizes.apart_s)

    def _pod(self, i):
        return paper.pod_of(self.owner, paper.node_name(i % self.sizes.nodes))

    def _create(self, seconds):
        return creations.create(self.api, p.PODS, self._pod, paper.has_share, self.rate, seconds)

    def _sizing(self, value, is_sized):
        """Says by the namespace's label whether we are asked; the API server hears of it some time later."""
        self.plane.kubectl("label", "--overwrite", f"namespace/{p.NAMESPACE}", f"holdfast.dev/sizing={value}")
        one = lambda: paper.has_share(self.api.call("POST", f"{p.PODS}?dryRun=All", self._pod(0)))
        wait(f"pods {'with' if is_sized else 'without'} their share", 60, lambda: one() == is_sized)

    def _mark(self):
        return self.log.stat().st_size

    def _explain(self, outcome, mark, began):
        """Whatever went wrong: when, and what the API server and Holdfast said of it."""
        if outcome.first_failure:
            print(f"    first failure: {outcome.first_failure}", flush=True)
        if outcome.unsized_at:
            moments = sorted(moment - began for moment, _, _ in outcome.unsized_at)
            print(f"    unsized from {moments[0]:.3f} to {moments[-1]:.3f} s; warnings: {dict(Tally(str(w) for _, _, w in outcome.unsized_at).most_common(5))}", flush=True)
        with open(self.log, "rb") as log:
            log.seek(mark)
            said = reasons(log.read().decode(errors="replace"))
        for reason, (count, first) in said.items():
            print(f"    the API server did without us {count} times, first at {first}: {reason}", flush=True)


def reasons(log):
    """{why the API server did without a webhook: (how often, when first)}, from its log."""
    found = {}
    for line in log.splitlines():
        if FAILED_OPEN in line:
            why = line.split(FAILED_OPEN, 1)[1]
            # Each connection has a port of its own here, and the same one there.
            why = re.sub(r"[0-9.]+:\d+->", "", why.split(": ", 1)[-1])[-300:]
            count, first = found.get(why, (0, line.split()[1]))
            found[why] = (count + 1, first)
    return dict(sorted(found.items(), key=lambda item: -item[1][0])[:10])


def _told(outcome, took):
    return f"{outcome.rate(took):.0f}/s done, p99 {outcome.at(0.99) * 1000:.0f} ms, {outcome.failed} failed, {outcome.unsized} unsized"
