"""Holdfast as its chart installs it: two replicas on two nodes, whose certificates change all the time; and how one is ended."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
import time

from .api import Refused
from .control_plane import wait

NAMESPACE = "holdfast-system"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SELECTOR = "app.kubernetes.io/name=holdfast"
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations?fieldSelector=metadata.name%3Dholdfast"
# The shortest that the program takes: a leaf is replaced when two thirds of its life are over, an authority every 24 s.
LIVES = ["--leaf-lifetime=3s", "--ca-lifetime=36s", "--ca-grace=6s"]
# A leaf lives for whole seconds, so this sees each.
LOOK_AGAIN_S = 0.4


class Replicas:
    def __init__(self, plane):
        self.plane, self.api = plane, plane.api

    def install(self, archive, image):
        self.plane.world("load", str(archive))
        named = subprocess.run([sys.executable, str(self.plane.root / "tools/image_reference.py"), "helm", image], check=True, capture_output=True, text=True).stdout.split()
        # The image's name stays the same when another is packed: a new name of the pods makes them anew.
        command = [self.plane.world("tool", "helm").strip(), "upgrade", "--install", "holdfast", str(self.plane.root / "charts/holdfast"), "--namespace", NAMESPACE, "--create-namespace",
                   *named, "--set-json", f"extraArgs={json.dumps(LIVES)}", "--set-string", f"podAnnotations.bench={time.time():.0f}", "--wait", "--timeout", "120s"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={**os.environ, "KUBECONFIG": self.plane.kubeconfig})
        if done.returncode:
            raise SystemExit(f"bench: helm could not install the chart: {done.stderr.strip()}")
        wait("two replicas on two nodes", 60, lambda: self.are_two())
        wait("a leader", 60, lambda: self.leader())

    def running(self):
        return [pod for pod in self.api.get(f"{PODS}?labelSelector={SELECTOR}")["items"] if "deletionTimestamp" not in pod["metadata"]]

    def are_two(self):
        ready = [pod for pod in self.running() if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))]
        return len(ready) == 2 and len({pod["spec"]["nodeName"] for pod in ready}) == 2

    def leader(self):
        """Its pod; none while nobody leads who is there."""
        name = self.plane.leader()
        return next((pod for pod in self.running() if pod["metadata"]["name"] == name), None)

    def terminate(self, pod):
        """As a drain does it: SIGTERM, and what the Deployment makes of it."""
        self.api.call("DELETE", f"{PODS}/{pod['metadata']['name']}")

    def kill(self, pod):
        """SIGKILL to its process. The kubelet starts another one in the same pod. Returns the moment."""
        container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        node = pod["spec"]["nodeName"].removeprefix("node")
        self.plane.world("exec", node, "ctr", "-n", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", container)
        return time.monotonic()


class Certificates:
    """Follows what is served and what is trusted, from before the first change."""

    def __init__(self, replicas):
        self._replicas, self._lock, self._is_over = replicas, threading.Lock(), threading.Event()
        self.leaves, self.bundles = {}, []
        for item in replicas.api.get(CONFIGURATION)["items"]:
            self.saw("ADDED", item)
        self._watch = replicas.api.watch(CONFIGURATION, self.saw)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def saw(self, _kind, configuration):
        """What API servers trust now: the fingerprints of its authorities."""
        bundle = frozenset(fingerprints(configuration["webhooks"][0]["clientConfig"].get("caBundle", "")))
        with self._lock:
            if not self.bundles or self.bundles[-1] != bundle:
                self.bundles.append(bundle)

    def _follow(self):
        while not self._is_over.wait(LOOK_AGAIN_S):
            for pod in self._replicas.running():
                self._look(pod["metadata"]["name"])

    def _look(self, name):
        try:
            metrics = self._replicas.api.text("GET", f"{PODS}/{name}:8080/proxy/metrics")
        except (OSError, Refused):
            return  # it is not there yet, or no more
        until = expiry(metrics)
        if until:
            seen = self.leaves.setdefault(name, [])
            if not seen or seen[-1] != until:
                seen.append(until)

    def end(self):
        self._is_over.set()
        self._thread.join(30)
        self._watch.end()
        if self._watch.broken:
            raise SystemExit(f"bench: the webhook configuration was not followed: {self._watch.broken}")

    @property
    def leaf_changes(self):
        return sum(len(seen) - 1 for seen in self.leaves.values())

    @property
    def leaf_changes_of_one(self):
        """Of the replica that was there all the time."""
        return max((len(seen) - 1 for seen in self.leaves.values()), default=0)

    @property
    def roll_overs(self):
        return roll_overs(self.bundles)


def fingerprints(bundle):
    """Of each certificate in the base64 of a caBundle, shortened."""
    text = base64.b64decode(bundle).decode()
    bodies = [part.split("-----END")[0] for part in text.split("-----BEGIN CERTIFICATE-----")[1:]]
    return {hashlib.sha256(base64.b64decode(body)).hexdigest()[:8] for body in bodies}


def roll_overs(bundles):
    """How often an authority gave way to another by way of both: old; old and new; new."""
    count, settled = 0, None
    came_by_both = False
    for bundle in bundles:
        if len(bundle) == 1:
            count += settled is not None and settled != bundle and came_by_both
            settled, came_by_both = bundle, False
        elif settled is not None:
            came_by_both = settled < bundle
    return count


def expiry(metrics):
    """Until when a replica's leaf is valid, by its own metrics."""
    name = 'holdfast_webhook_certificate_expiry_seconds{certificate="leaf"} '
    return next((line[len(name):] for line in metrics.splitlines() if line.startswith(name)), None)
