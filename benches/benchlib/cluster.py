"""The measurements through an API server: real DaemonSets, real controllers, nodes on paper.

Holdfast runs on this machine, the API server asks it at the world's host address, by the webhook configurations that are deployed.
"""

import json
import time

from . import creations, figures, paper, webhooks
from . import population as p
from .control_plane import ControlPlane, wait
from .pods import Counter
from .servers import Holdfast, certificates

MANIFESTS = "manifests/default"
CREATED_WITHIN_S = 600
REPAIRED_WITHIN_S = 60


class Sizes:
    def __init__(self, quick):
        self.nodes, self.some_nodes, self.sets = (40, 10, 5) if quick else (500, 50, 100)
        self.rate, self.seconds = (20, 3) if quick else (200, 20)


def run(root, name, programs, folder, quick, keep, manifests=None):
    """Figures for the last line; prints the rest."""
    if not programs.has_webhooks():
        raise SystemExit("bench: `holdfast serve` of this build has no --webhook-bind-address: there is nothing that an API server could ask.")
    plane, sizes = ControlPlane(root, name), Sizes(quick)
    holdfast = None
    try:
        print(f"\n== through an API server, {sizes.nodes} nodes on paper", flush=True)
        plane.up(kwok=sizes.nodes)
        plane.prepare(programs)
        host = plane.status()["hostAddress"]
        directory = certificates(folder / "cluster-certs", host)
        holdfast = Holdfast(programs, None, directory, folder / "holdfast-cluster.log", plane.kubeconfig, host)
        wait("holdfast to lead", 60, lambda: holdfast.check() and plane.leader() == "bench")
        through = Through(plane, sizes)
        through.without_webhooks()
        through.configure(root / (manifests or MANIFESTS), holdfast.address, (directory / "ca.crt").read_bytes())
        through.with_webhooks()
        return through.figures
    finally:
        if holdfast:
            holdfast.end()
        if not keep:
            plane.world("down")


class Through:
    def __init__(self, plane, sizes):
        self.plane, self.api, self.sizes = plane, plane.api, sizes
        self.figures, self.webhooks = {}, []

    def without_webhooks(self):
        """What the machine does without us: the same DaemonSet, the same creations."""
        seconds, _ = self._one_set("bench-without", None)
        outcome, took = self._creations("bench-owner-without", None)
        self.figures.update(pods_without_s=seconds, creations_rate_without=outcome.rate(took), creations_p99_ms_without=outcome.at(0.99) * 1000)

    def configure(self, manifests, address, authority):
        objects = webhooks.readdressed(webhooks.deployed(self.plane, manifests), address, authority)
        self.webhooks = webhooks.names(objects)
        if not self.webhooks:
            raise SystemExit(f"bench: {manifests} holds no webhook configuration for pods")
        self.plane.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        # The API server takes a configuration up some time after it was written.
        set_ = paper.daemonset("bench-probe", self._template("bench-probe"), paper.NOWHERE)
        owner = self.api.call("POST", p.DAEMONSETS, set_)
        ask = lambda: paper.has_share(self.api.call("POST", f"{p.PODS}?dryRun=All", paper.pod_of(owner, paper.node_name(0))))
        wait("the API server to ask the webhook", 60, ask)

    def with_webhooks(self):
        before = self._durations()
        seconds, counter = self._one_set("bench-one", self._template("bench-one"))
        buckets, total = webhooks.difference(self._durations(), before)
        calls = max(buckets.values(), default=0)
        self.figures.update(pods_s=seconds, pods_unsized=counter.unsized_at_creation, webhook_calls=calls)
        if calls:
            quantiles = {f"webhook_p{q}_ms": figures.percentile_of_buckets(buckets, q / 100) * 1000 for q in (50, 99)}
            self.figures.update(**quantiles, webhook_mean_ms=total / calls * 1000)
        outcome, took = self._creations("bench-owner", self._template("bench-owner"))
        self.figures.update(creations_rate=outcome.rate(took), creations_p99_ms=outcome.at(0.99) * 1000, creations_failed=outcome.failed, creations_unsized=outcome.unsized)
        self._many_sets("first", templates_first=True, from_node=0)
        self._many_sets("last", templates_first=False, from_node=self.sizes.some_nodes)

    def _one_set(self, name, template_name):
        """A DaemonSet over all nodes: seconds until all its pods exist (and, with a template, have their share)."""
        counter = Counter(self.api, p.PODS, f"app={name}", paper.has_share)
        began = time.monotonic()
        self.api.call("POST", p.DAEMONSETS, paper.daemonset(name, template_name))
        wait(f"{self.sizes.nodes} pods", CREATED_WITHIN_S, lambda: counter.check() and counter.created >= self.sizes.nodes and (template_name is None or not counter.unsized))
        ended = max(filter(None, (counter.last_created, counter.last_repaired)))
        counter.end()
        print(f"  {name}: {counter.created} pods after {ended - began:.1f} s, {counter.unsized_at_creation} without their share at creation, {counter.unsized} at the end", flush=True)
        self._remove(f"daemonset/{name}", f"app={name}")
        return ended - began, counter

    def _creations(self, name, template_name):
        owner = self.api.call("POST", p.DAEMONSETS, paper.daemonset(name, template_name, paper.NOWHERE))
        pod = lambda i: paper.pod_of(owner, paper.node_name(i % self.sizes.nodes))
        outcome, took = creations.create(self.api, p.PODS, pod, paper.has_share, self.sizes.rate, self.sizes.seconds)
        print(f"  {name}: {self.sizes.rate}/s asked for, {outcome.rate(took):.0f}/s done, p99 {outcome.at(0.99) * 1000:.1f} ms, {outcome.failed} failed, {outcome.unsized} unsized"
              f"{', first failure: ' + outcome.first_failure if outcome.first_failure else ''}", flush=True)
        return outcome, took

    def _many_sets(self, order, templates_first, from_node):
        """Many new DaemonSets and their templates in one file, in this order, on nodes of their own."""
        sizes, label = self.sizes, f"bench-{order}"
        self.plane.kubectl("label", "--overwrite", *(f"node/{paper.node_name(i)}" for i in range(from_node, from_node + sizes.some_nodes)), f"bench={label}")
        names = [f"{label}-{i:03}" for i in range(sizes.sets)]
        templates, sets = [paper.template(name) for name in names], [paper.daemonset(name, name, {"bench": label}, wave=label) for name in names]
        counter = Counter(self.api, p.PODS, f"wave={label}", paper.has_share)
        began = time.monotonic()
        self.plane.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": templates + sets if templates_first else sets + templates}))
        applied, expected = time.monotonic(), sizes.sets * sizes.some_nodes
        wait(f"{expected} pods", CREATED_WITHIN_S, lambda: counter.check() and counter.created >= expected)
        deadline = time.monotonic() + REPAIRED_WITHIN_S
        while counter.unsized and time.monotonic() < deadline:
            time.sleep(0.1)
        counter.end()
        # Repair can begin when template and pod are both there.
        repaired = max(0.0, counter.last_repaired - applied) if counter.last_repaired else 0.0
        print(f"  {sizes.sets} DaemonSets, templates {order}: applied in {applied - began:.1f} s, {counter.created} pods after {counter.last_created - began:.1f} s; "
              f"without their share {counter.unsized_at_creation} at creation, {counter.unsized} at the end; last repair {repaired:.1f} s after the apply", flush=True)
        prefix = "templates_first" if templates_first else "sets_first"
        self.figures.update({f"{prefix}_unsized": counter.unsized_at_creation, f"{prefix}_left": counter.unsized})
        if not templates_first:
            # Never repaired is not a number of seconds.
            self.figures["sets_first_repaired_s"] = float("inf") if counter.unsized else repaired

    def _template(self, name):
        self.api.call("POST", p.TEMPLATES, paper.template(name))
        return name

    def _durations(self):
        return webhooks.durations(self.api.text("GET", "/metrics"), self.webhooks)

    def _remove(self, what, selector):
        self.plane.kubectl("-n", p.NAMESPACE, "delete", what, "--wait=false")
        wait("the pods to go", CREATED_WITHIN_S, lambda: not self.api.get(f"{p.PODS}?labelSelector={selector}&limit=1")["items"], 0.5)
