"""The way of those who carry checkpoints as images: the kubelet writes an archive, an image is made of it, and it is copied to the other
node. What restores it there is not counted, so it looks better than it is. The program stands still, or what it does is lost, from the
moment of the archive on."""

import time

from ..control_plane import wait
from .ticker import IMAGE

NAMESPACE = "bench-archive"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
# As whom the API server asks kubelets.
ASKER = "kube-apiserver-kubelet-client"
PLACE = "/var/lib/holdfast-bench/archive"


class Archive:
    def __init__(self, plane, ticker):
        self.plane = plane
        plane.world("load", str(ticker.archive))
        plane.ensure("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        plane.ensure(f"{RBAC}/clusterroles", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "bench-archive"},
                                              "rules": [{"apiGroups": [""], "resources": ["nodes/checkpoint"], "verbs": ["create"]}]})
        plane.ensure(f"{RBAC}/clusterrolebindings", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "bench-archive"},
                                                     "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "bench-archive"},
                                                     "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": ASKER}]})
        wait("the namespace's account", 30, lambda: plane.there(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"))

    def freeze(self, size):
        pod = {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "archived", "namespace": NAMESPACE},
            "spec": {"nodeName": "node1", "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
                     "containers": [{"name": "c", "image": IMAGE, "imagePullPolicy": "Never", "command": ["/ticker", str(size), "/proc/self/fd/1"]}]},
        }
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        self.plane.api.call("POST", pods, pod)
        try:
            wait("the program to begin", 90, lambda: "begun" in self.plane.logs(NAMESPACE, "archived"))
            began = time.monotonic()
            answer = self.plane.api.call("POST", f"/api/v1/nodes/node1/proxy/checkpoint/{NAMESPACE}/archived/c")
            written = time.monotonic()
            [archive] = answer["items"]
            self.plane.node(1, f"mkdir -p {PLACE} && gzip --stdout {archive} > {PLACE}/image.gz && rm {archive}")
            zipped = time.monotonic()
            # As a registry would have it, without one: there and on the other node's disk.
            self.plane.between(1, f"{PLACE}/image.gz", 2, f"{PLACE}/image.gz")
            copied = time.monotonic()
        finally:
            self.plane.kubectl("delete", "pod", "archived", "-n", NAMESPACE, "--grace-period=0", "--force", "--wait")
            for node in (1, 2):
                self.plane.node(node, f"rm -rf {PLACE}")
        return copied - began, {"kubelet": written - began, "image": zipped - written, "copy": copied - zipped}
