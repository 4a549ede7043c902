"""The scenes of the demo, in order. Each later capability adds one."""

import json
import subprocess


def two_managers(stage):
    """One of two managers leads; its node loses power; the other one takes over."""
    leader, _ = stage.wait("a leader", 40, stage.leader)
    node = leader["spec"]["nodeName"]
    print(f"  {leader['metadata']['name']} leads, on {node}.")
    stage.world("node", "kill", node.removeprefix("node"))
    print(f"  {node} has lost power.")

    def another():
        now = stage.holder()
        return now if now and now != leader["metadata"]["name"] else None

    name, seconds = stage.wait("another leader", 45, another)
    print(f"  {name} leads, {seconds:.1f} s later.")
    stage.world("node", "start", node.removeprefix("node"))
    print(f"  {node} has booted again.")


# A node's cores and GiB, and what its pod has to ask for: 10 % and 15 % of them, at least 250m, at most 32Gi.
SIZES = [("two-cores", 2, 8, "250m", "1288490188"), ("eight-cores", 8, 32, "800m", "5153960755"), ("sixty-four-cores", 64, 256, "6400m", "32Gi")]


def _paper_node(name, cores, gibibytes):
    """A node that exists only in the API: kwok keeps it Ready and lets its pods run on paper."""
    size = {"cpu": str(cores), "memory": f"{gibibytes}Gi", "ephemeral-storage": "100Gi", "pods": "110"}
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"demo": "sizes"}, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]},
        "status": {"allocatable": size, "capacity": size},
    }


SHARES = """
apiVersion: flexdaemonsets.xai/v1alpha1
kind: FlexDaemonsetTemplate
metadata: {name: a-tenth}
spec: {cpuPercentage: 10, memoryPercentage: 15, minCPU: 250m, maxMemory: 32Gi}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: sizes, annotations: {flexdaemonsets.xai/resource-template: a-tenth}}
spec:
  selector: {matchLabels: {app: sizes}}
  template:
    metadata: {labels: {app: sizes}}
    spec:
      nodeSelector: {demo: sizes}
      tolerations: [{key: kwok.x-k8s.io/node, operator: Exists}]
      containers: [{name: agent, image: "registry.k8s.io/pause:3.10"}]
"""


def one_daemonset_on_nodes_of_three_sizes(stage):
    """One DaemonSet asks for 10 % of the CPU and 15 % of the memory of whatever node it is on, at least 250m, at most 32Gi."""
    stage.world("up", "--nodes", "2", "--kwok", "1")
    for name, cores, gibibytes, *_ in SIZES:
        stage.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(_paper_node(name, cores, gibibytes)))
    stage.kubectl("apply", "-f", "-", stdin=SHARES)

    def pods():
        found = {pod["spec"].get("nodeName"): pod for pod in stage.get("pods", "-l", "app=sizes")["items"]}
        return found if all(name in found for name, *_ in SIZES) else None

    found, _ = stage.wait("a pod on each node", 60, pods)
    print(f"  {'NODE':<18} {'CORES':>5} {'MEMORY':>7}   {'POD ASKS FOR':<16}")
    for name, cores, gibibytes, *share in SIZES:
        asked = found[name]["spec"]["containers"][0]["resources"]["requests"]
        print(f"  {name:<18} {cores:>5} {gibibytes:>5}Gi   cpu {asked['cpu']:<7} memory {asked['memory']}")
        if [asked["cpu"], asked["memory"]] != share:
            raise ValueError(f"the pod on {name} should ask for {' and '.join(share)}")
    stage.wait("the count", 20, lambda: stage.get("fdt", "a-tenth").get("status", {}).get("pods", {}).get("sized") == len(SIZES))
    print("\n".join("  " + line for line in stage.kubectl("get", "fdt", "a-tenth").splitlines()))
    stage.kubectl("delete", "daemonset/sizes", "fdt/a-tenth")
    stage.kubectl("delete", "node", *(name for name, *_ in SIZES))


def a_template_that_cannot_be(stage):
    """A template of shares that cannot be meant is refused with a sentence."""
    template = """
apiVersion: flexdaemonsets.xai/v1alpha1
kind: FlexDaemonsetTemplate
metadata: {name: demo}
spec: {cpuPercentage: 10, minCPU: "2", maxCPU: "1"}
"""
    try:
        stage.kubectl("apply", "-f", "-", stdin=template)
    except subprocess.CalledProcessError as refusal:
        print(f"  {refusal.stderr.strip()}")
        return
    raise TimeoutError("a template whose least CPU is above its most was accepted")


COUNTER = """
apiVersion: v1
kind: Pod
metadata: {name: counter}
spec:
  runtimeClassName: holdfast
  terminationGracePeriodSeconds: 1
  containers:
    - name: c
      image: localhost/busybox:1
      imagePullPolicy: Never
      command: [sh, -c, 'i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.1; done']
"""
KEPT = """
apiVersion: holdfast.dev/v1alpha1
kind: Checkpoint
metadata: {name: counted}
spec: {podName: counter}
"""


def a_state_that_is_kept(stage):
    """A program that counts is frozen, kept with its memory, and let go: it counts on as if nothing had been."""
    stage.deploy("--set", "agent.enabled=true", "--set", "agent.peers.diskReserve=1")
    stage.kubectl("-n", stage.namespace, "rollout", "status", "daemonset/holdfast-agent", "--timeout=180s")
    stage.kubectl("apply", "-f", "-", stdin=COUNTER)
    stage.kubectl("wait", "pod/counter", "--for=condition=Ready", "--timeout=90s")

    def count():
        text = stage.kubectl("exec", "counter", "--", "cat", "/count").strip()
        return int(text) if text else 0

    stage.wait("it to count", 20, lambda: count() > 5)
    before = count()
    stage.kubectl("apply", "-f", "-", stdin=KEPT)

    def kept():
        status = stage.get("checkpoint", "counted").get("status", {})
        if status.get("phase") == "Failed":
            raise TimeoutError(f"the checkpoint failed: {status['conditions'][0]['message']}")
        return status if status.get("phase") == "Succeeded" else None

    status, _ = stage.wait("the checkpoint", 60, kept)
    print("\n".join("  " + line for line in stage.kubectl("get", "checkpoints").splitlines()))
    stage.wait("it to count on", 20, lambda: count() > before + 5)
    print(f"  It stood still for {status['frozenMillis']} ms, had counted to {before} before, and is at {count()} now.")
    stage.kubectl("delete", "checkpoint/counted", "pod/counter", "--timeout=60s")


COUNTERS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: counters}
spec:
  selector: {matchLabels: {app: counters}}
  template:
    metadata: {labels: {app: counters}}
    spec:
      runtimeClassName: holdfast
      terminationGracePeriodSeconds: 1
      containers:
        - name: c
          image: localhost/busybox:1
          imagePullPolicy: Never
          command: [sh, -c, 'i=0; name=$(head -c 8 /proc/sys/kernel/random/uuid); while :; do i=$((i+1)); echo $name $i > /new; mv /new /count; sleep 0.1; done']
"""
MOVE = """
apiVersion: holdfast.dev/v1alpha1
kind: Migration
metadata: {name: counters}
spec: {podName: %s}
"""


def a_program_that_goes_elsewhere(stage):
    """A program that counts goes to another node with its memory, and counts on there."""
    stage.kubectl("apply", "-f", "-", stdin=COUNTERS)
    stage.kubectl("rollout", "status", "deployment/counters", "--timeout=90s")

    def pod():
        pods = [one for one in stage.get("pods", "-l", "app=counters")["items"] if "deletionTimestamp" not in one["metadata"]]
        return pods[0] if len(pods) == 1 else None

    def told():
        """The name that the program has chosen when it began, in its memory alone; and how far it has counted."""
        name, count = stage.kubectl("exec", pod()["metadata"]["name"], "--", "cat", "/count").split()
        return name, int(count)

    stage.wait("it to count", 20, lambda: told()[1] > 5)
    start, (name, before) = pod(), told()
    print(f"  {start['metadata']['name']} on {start['spec']['nodeName']}: the program, which has named itself {name}, has counted to {before}.")
    stage.kubectl("apply", "-f", "-", stdin=MOVE % start["metadata"]["name"])

    def moved():
        status = stage.get("migration", "counters").get("status", {})
        if status.get("phase") in ("Failed", "RolledBack"):
            raise TimeoutError(f"the move failed: {status['conditions'][0]['message']}")
        return status if status.get("phase") == "Succeeded" else None

    status, _ = stage.wait("the migration", 120, moved)
    print("\n".join("  " + line for line in stage.kubectl("get", "migrations").splitlines()))
    end, _ = stage.wait("one pod", 30, pod)
    stage.wait("it to count on", 20, lambda: told()[1] > before)
    same, after = told()
    if same != name:
        raise ValueError(f"another program counts there: {same}")
    print(f"  {end['metadata']['name']} on {end['spec']['nodeName']}: {same} is at {after} now: it stood still for {status['frozenMillis']} ms.")
    stage.kubectl("delete", "migration/counters", "deployment/counters", "--timeout=60s")


ALL = [one_daemonset_on_nodes_of_three_sizes, a_template_that_cannot_be, a_state_that_is_kept, a_program_that_goes_elsewhere, two_managers]
