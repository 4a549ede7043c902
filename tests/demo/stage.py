"""What every scene of the demo stands on: the cluster, the installed program, and waiting for something to become true."""

import hashlib
import json
import os
import subprocess
import time

IMAGE = "localhost/holdfast:demo"
NAMESPACE = "holdfast-system"


def tell(line):
    print(f"\n== {line}", flush=True)


class Stage:
    namespace = NAMESPACE

    def __init__(self, root, name):
        self.root, self.name = root, name
        self.kubeconfig = self.kubectl_path = None

    def prepare(self):
        """Idempotent: a second demo on a cluster that is up takes seconds."""
        self._shown("tests/setup")
        self._shown("tests/world/world", "--name", self.name, "up", "--nodes", "2")
        self._shown("make", "--no-print-directory", "image", f"IMG={IMAGE}")
        self.world("load", "dist/holdfast.tar")
        self.kubeconfig = self.world("kubeconfig").strip()
        self.kubectl_path = self.world("tool", "kubectl").strip()
        self.deploy()
        self.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/holdfast", "--timeout=120s")
        self.wait("a leader", 40, self.leader)
        # A pod that is Ready is in its Service a moment later; pods of a first DaemonSet should not be quicker.
        self.wait("an answer of the webhooks", 20, self.is_asked)

    def deploy(self, *values):
        """Installs the chart with these values, or changes it to them."""
        # The image's name stays the same from demo to demo; its content rolls the Deployment out anew.
        content = hashlib.sha256((self.root / "dist/holdfast.tar").read_bytes()).hexdigest()[:16]
        values = " ".join(["--set-string", f"podAnnotations.packed={content}", *values])
        self.run("make", "--no-print-directory", "deploy", f"IMG={IMAGE}", f"ARGS={values}")

    def run(self, *words):
        env = {"KUBECONFIG": self.kubeconfig} if self.kubeconfig else {}
        done = subprocess.run(words, cwd=self.root, env={**os.environ, **env}, capture_output=True, text=True, check=True)
        return done.stdout

    def _shown(self, *words):
        """For what takes long: its progress is the user's."""
        subprocess.run(words, cwd=self.root, check=True)

    def world(self, *words):
        return self.run("tests/world/world", "--name", self.name, *words)

    def kubectl(self, *words, stdin=None):
        done = subprocess.run([self.kubectl_path, *words], env={**os.environ, "KUBECONFIG": self.kubeconfig}, input=stdin, capture_output=True, text=True, check=True)
        return done.stdout

    def get(self, *words):
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def leader(self):
        """The pod that leads and is ready, or None."""
        holder = self.holder()
        return next((pod for pod in self.managers() if pod["metadata"]["name"] == holder), None)

    def holder(self):
        """Whose name stands in the Lease; None before there is one."""
        name = "jsonpath={.spec.holderIdentity}"
        return self.kubectl("get", "lease", "holdfast", "-n", NAMESPACE, "--ignore-not-found", "-o", name).strip() or None

    def is_asked(self):
        """Whether the API server asks our webhooks: a template that does not exist is worth a warning."""
        daemonset = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: rehearsal, annotations: {flexdaemonsets.xai/resource-template: none-of-that-name}}
spec:
  selector: {matchLabels: {app: rehearsal}}
  template:
    metadata: {labels: {app: rehearsal}}
    spec: {containers: [{name: pause, image: "registry.k8s.io/pause:3.10"}]}
"""
        words = [self.kubectl_path, "apply", "--dry-run=server", "-f", "-"]
        env = {**os.environ, "KUBECONFIG": self.kubeconfig}
        return "none-of-that-name" in subprocess.run(words, env=env, input=daemonset, capture_output=True, text=True, check=True).stderr

    def managers(self):
        pods = self.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=manager")["items"]
        ready = lambda pod: any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        return [pod for pod in pods if ready(pod) and "deletionTimestamp" not in pod["metadata"]]

    def wait(self, what, seconds, condition):
        """The first true answer, and after how many seconds it came."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            answer = condition()
            if answer:
                return answer, time.monotonic() - began
            time.sleep(0.2)
        raise TimeoutError(f"waited {seconds} s for {what}")
