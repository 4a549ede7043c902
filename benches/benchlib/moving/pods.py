"""Pods that Holdfast moves between two nodes: one of a Deployment, and one that nobody owns."""

import json
import os
import subprocess
import sys
import time
from datetime import datetime

from ..control_plane import wait
from .ticker import IMAGE, longest

NAMESPACE = "bench"
SYSTEM = "holdfast-system"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
MIGRATIONS = f"/apis/holdfast.dev/v1alpha1/namespaces/{NAMESPACE}/migrations"
OVER = ("Succeeded", "Failed", "RolledBack")


class Moves:
    def __init__(self, plane, ticker):
        self.plane, self.api, self.number = plane, plane.api, 0
        plane.world("load", str(ticker.archive))

    def install(self, archive, image):
        self.plane.world("load", str(archive))
        named = subprocess.run([sys.executable, str(self.plane.root / "tools/image_reference.py"), "helm", image], check=True, capture_output=True, text=True).stdout.split()
        command = [self.plane.world("tool", "helm").strip(), "upgrade", "--install", "holdfast", str(self.plane.root / "charts/holdfast"), "--namespace", SYSTEM, "--create-namespace", *named,
                   "--set", "agent.enabled=true", "--set", "agent.peers.diskReserve=1", "--set-string", f"podAnnotations.bench={time.time():.0f}", "--wait", "--timeout", "180s"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={**os.environ, "KUBECONFIG": self.plane.kubeconfig})
        if done.returncode:
            raise SystemExit(f"bench: helm could not install the chart: {done.stderr.strip()}")
        self.plane.kubectl("-n", SYSTEM, "rollout", "status", "daemonset/holdfast-agent", "--timeout=180s")
        self.plane.ensure("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        wait("the namespace's account", 30, lambda: self.plane.there(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"))

    def begin(self, size, containers=1):
        """A Deployment with one pod, whose containers hold so much each."""
        self.end()
        spec = _pod(size, containers)
        deployment = {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ticker"},
            "spec": {"selector": {"matchLabels": {"app": "ticker"}}, "template": {"metadata": {"labels": {"app": "ticker"}}, "spec": spec}},
        }
        self.plane.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(deployment))
        wait("the program to begin", 120, lambda: "begun" in self._text("ticker"), 0.5)

    def end(self):
        self.plane.kubectl("delete", "-n", NAMESPACE, "deployment/ticker", "pod/bare", "--wait", "--ignore-not-found")
        self.plane.kubectl("delete", "-n", NAMESPACE, "migrations", "--all", "--wait")
        wait("no pods", 60, lambda: not self.api.get(PODS)["items"])

    def freeze(self, _size):
        return self._move("ticker")

    def freeze_bare(self, size):
        """A pod of its own each time."""
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "labels": {"app": "bare"}}, "spec": _pod(size, 1)}
        self.plane.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(pod))
        wait("the program to begin", 120, lambda: "begun" in self._text("bare"), 0.5)
        try:
            return self._move("bare")
        finally:
            self.plane.kubectl("delete", "-n", NAMESPACE, "pod/bare", "--wait")

    def _move(self, app):
        self.number += 1
        pod, began = self._pod(app), time.time()
        name = f"move-{self.number}"
        self.api.call("POST", MIGRATIONS, {"apiVersion": "holdfast.dev/v1alpha1", "kind": "Migration", "metadata": {"name": name}, "spec": {"podName": pod["metadata"]["name"]}})
        status, _ = wait("the move", 180, lambda: self._over(name), 0.2)
        if status["phase"] != "Succeeded":
            raise SystemExit(f"bench: the move ended {status['phase']}: {json.dumps(status.get('conditions'))}")
        took, _ = wait("a tick after the move", 60, lambda: longest(self._text(app), began))
        parts = {"told": status["frozenMillis"] / 1000, "MiB": status["bytes"] / (1 << 20)}
        if status.get("times"):
            parts.update(_spans(status["times"]))
        return took, parts

    def _over(self, name):
        status = self.api.get(f"{MIGRATIONS}/{name}").get("status", {})
        return status if status.get("phase") in OVER else None

    def _pod(self, app):
        found = [pod for pod in self.api.get(f"{PODS}?labelSelector=app%3D{app}")["items"] if "deletionTimestamp" not in pod["metadata"]]
        return found[0] if len(found) == 1 else None

    def _text(self, app):
        pod = self._pod(app)
        return self.plane.logs(NAMESPACE, pod["metadata"]["name"], "c0") if pod else ""


def _pod(size, containers):
    return {
        "runtimeClassName": "holdfast", "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
        "containers": [{"name": f"c{number}", "image": IMAGE, "imagePullPolicy": "Never", "command": ["/ticker", str(size), "/proc/self/fd/1"]} for number in range(containers)],
    }


def _spans(times):
    """Seconds from one phase to the next, while it stood still."""
    known = {one["phase"]: datetime.fromisoformat(one["at"]).timestamp() for one in times}
    spans = (("to verified", "Frozen", "Verified"), ("restore", "Verified", "Restored"))
    return {name: known[end] - known[begin] for name, begin, end in spans if begin in known and end in known}
