"""The world that the benchmark runs on: its control plane, filled with objects, and then made quiet."""

import json
import os
import signal
import subprocess
import time

from . import machine
from . import population as p
from .api import Api, Refused

# What would work on thousands of nodes that never report: they are not measured, and would take the cores from what is.
NOT_NEEDED = ("kube-controller-manager", "kube-scheduler")


class ControlPlane:
    """A world, without real nodes where nothing has to run on one."""

    def __init__(self, root, name):
        self.root, self.name = root, name
        self.kubeconfig = self.api = self.kubectl_path = None
        self.nodes, self.owners = 0, []

    def up(self, kwok=0, nodes=0, runtime=None):
        self.world("up", "--nodes", str(nodes), "--kwok", str(kwok), *(["--runtime", runtime] if runtime else []))
        self.kubeconfig, self.kubectl_path = self.world("kubeconfig").strip(), self.world("tool", "kubectl").strip()
        self.api = Api(self.kubeconfig)

    def world(self, *words):
        done = subprocess.run([str(self.root / "tests/world/world"), "--name", self.name, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"bench: `world --name {self.name} {' '.join(words)}` failed: {done.stderr.strip()}")
        return done.stdout

    def node(self, number, script, stdin=None):
        """What a script says on a node."""
        done = subprocess.run(self._on(number, script), input=stdin, stdin=None if stdin else subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            raise SystemExit(f"bench: `{script}` failed on node {number}: {done.stderr.decode().strip()}")
        return done.stdout.decode()

    def between(self, source, path, target, place):
        """A file goes from one node to another, and onto its disk."""
        with subprocess.Popen(self._on(source, f"cat {path}"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as reading:
            subprocess.run(self._on(target, f"mkdir -p $(dirname {place}) && cat > {place} && sync {place}"), stdin=reading.stdout, check=True)

    def _on(self, number, script):
        return [str(self.root / "tests/world/world"), "--name", self.name, "exec", str(number), "sh", "-c", script]

    def logs(self, namespace, pod, container=None):
        """What a container wrote; nothing while it has not begun."""
        words = [self.kubectl_path, "logs", "-n", namespace, pod, *(["-c", container] if container else [])]
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "KUBECONFIG": self.kubeconfig})
        return done.stdout

    def status(self):
        return json.loads(self.world("status", "-o", "json"))

    def kubectl(self, *words, stdin=None):
        done = subprocess.run([self.kubectl_path, *words], input=stdin, capture_output=True, text=True, env={**os.environ, "KUBECONFIG": self.kubeconfig})
        if done.returncode:
            raise SystemExit(f"bench: `kubectl {' '.join(words)}` failed: {done.stderr.strip()}")
        return done.stdout

    def prepare(self, programs):
        """CRDs and namespaces, and the account that pods need."""
        self.kubectl("apply", "--server-side", "-f", "-", stdin=programs.crds())
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        for namespace in ("holdfast-system", p.NAMESPACE):
            self.ensure("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        wait("the namespace's account", 30, lambda: self.there(f"/api/v1/namespaces/{p.NAMESPACE}/serviceaccounts/default"))

    def ensure(self, collection, item):
        try:
            return self.api.call("POST", collection, item)
        except Refused as refused:
            if refused.status != 409:
                raise
            return None

    def there(self, path):
        try:
            return self.api.get(path)
        except Refused:
            return None

    def end_what_is_not_needed(self):
        for component in self.status()["components"]:
            if component["name"] in NOT_NEEDED and component["running"]:
                os.kill(component["pid"], signal.SIGTERM)
                wait(f"the end of {component['name']}", 30, lambda: not os.path.exists(f"/proc/{component['pid']}"))

    def keep_to(self, cores):
        for pid in self.pids():
            machine.keep_to(pid, cores)

    def pids(self):
        return [component["pid"] for component in self.status()["components"] if component["running"]]

    def add_nodes(self, upto):
        self.api.create_all([(p.NODES, p.node(i)) for i in range(self.nodes, upto)])
        self.nodes = upto

    def add_shares(self, templates, daemonsets):
        self.api.create_all([(p.TEMPLATES, p.template(i)) for i in range(templates)])
        self.owners = self.api.create_all([(p.DAEMONSETS, p.daemonset(i)) for i in range(daemonsets)])

    def add_pods(self, count):
        self.api.create_all([(p.PODS, p.pod(i, self.nodes, self.owners)) for i in range(count)])

    def write_population(self, path):
        path.write_text(json.dumps(p.for_driver(self.nodes, self.owners)))

    def leader(self):
        lease = self.there("/apis/coordination.k8s.io/v1/namespaces/holdfast-system/leases/holdfast")
        return lease and lease["spec"].get("holderIdentity")


def wait(what, seconds, condition, pause=0.1):
    """The first true answer, and after how many seconds it came."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        answer = condition()
        if answer:
            return answer, time.monotonic() - began
        time.sleep(pause)
    raise SystemExit(f"bench: waited {seconds} s for {what}")
