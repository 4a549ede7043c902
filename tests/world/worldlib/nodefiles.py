"""What a node is told: the files of its topmost read-only layer, written anew before each start.

A change that a program on the node makes to one of them goes to the node's own disk and stays, as on any machine.
"""

import json
import shutil
import uuid
from pathlib import Path

from .addresses import API_PORT, DNS_SERVICE
from .certificates import Identity, Keys, kubeconfig

SCRIPTS = Path(__file__).resolve().parent / "node"
PAUSE = "registry.k8s.io/pause:3.10"
# A node renews its lease every quarter of this; it fits the control plane's grace (controlplane.NODE_GRACE_S).
LEASE_S = 12
CONTAINERD_1_7 = f"""\
version = 2
imports = ["/etc/containerd/conf.d/*.toml"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = SYSTEMD_CGROUP
"""
CONTAINERD_2 = f"""\
version = 3
imports = ["/etc/containerd/conf.d/*.toml"]
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE}"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = SYSTEMD_CGROUP
"""


def kubelet_config(cgroup_driver, reserved):
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock", "cgroupDriver": cgroup_driver, "failCgroupV1": False,
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/etc/kubernetes/pki/kubelet-serving.crt", "tlsPrivateKeyFile": "/etc/kubernetes/pki/kubelet-serving.key",
        "clusterDNS": [DNS_SERVICE], "clusterDomain": "cluster.local", "failSwapOn": False,
        "nodeStatusUpdateFrequency": "4s", "nodeLeaseDurationSeconds": LEASE_S, "runtimeRequestTimeout": "10m",
        # The machine's disk and memory are shared by all nodes: no node empties itself because of the others.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"}, "imageGCHighThresholdPercent": 100,
        "systemReserved": reserved, "enforceNodeAllocatable": ["pods"],
        # A node in namespaces is not the owner of the kernel's settings nor of its file system's quota.
        "localStorageCapacityIsolation": False, "oomScoreAdj": 0, "protectKernelDefaults": False,
    }


def kube_proxy_config(world, mode):
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": mode, "clusterCIDR": world.at.pods,
        "clientConnection": {"kubeconfig": "/etc/kubernetes/kube-proxy.kubeconfig"}, "oomScoreAdj": 0,
        # These sysctls belong to the machine, not to a network namespace.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def pod_network(at, n):
    """Pods have routed addresses: nothing is masqueraded between nodes, nor on the way to the control plane and this machine."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": at.pods_of(n)}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": ipam}
    return {"cniVersion": "1.0.0", "name": "world", "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]}


def node_keys(world, n):
    name, keys = f"node{n}", Keys(world.dir / "pki")
    keys.issue(name, "ca", Identity(f"system:node:{name}", groups=("system:nodes",)))
    keys.issue(f"{name}-serving", "ca", Identity(f"system:node:{name}", groups=("system:nodes",), answers_to=(name, world.at.node(n)), is_client=False))
    return keys


def write(world, n, into, is_emulated=False):
    """Writes node N's files below `into`, laid out as in its root."""
    cgroup_driver = "systemd" if is_emulated else "cgroupfs"
    name, spec, at, keys = f"node{n}", world.nodes[n], world.at, node_keys(world, n)
    shutil.rmtree(into, ignore_errors=True)
    containerd = CONTAINERD_2 if world.record["runtime"] == "containerd-2" else CONTAINERD_1_7
    files = {
        "etc/machine-id": uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{world.name}").hex + "\n", "etc/hostname": f"{name}\n", "etc/hosts": f"127.0.0.1 localhost\n{at.node(n)} {name}\n", "etc/resolv.conf": f"nameserver {DNS_SERVICE}\n",
        "etc/containerd/config.toml": containerd.replace("SYSTEMD_CGROUP", str(cgroup_driver == "systemd").lower()),
        "etc/cni/net.d/10-world.conflist": json.dumps(pod_network(at, n), indent=2),
        "etc/kubernetes/kubelet.yaml": json.dumps(kubelet_config(cgroup_driver, spec["reserve"]), indent=2),
        "etc/kubernetes/kube-proxy.yaml": json.dumps(kube_proxy_config(world, world.record["proxy_mode"]), indent=2),
        "etc/kubernetes/kubelet.kubeconfig": kubeconfig(at.server, keys, "ca", name, world.name),
        "etc/kubernetes/kube-proxy.kubeconfig": kubeconfig(at.server, keys, "ca", "kube-proxy", world.name),
        "etc/kubernetes/pki/ca.crt": keys.certificate("ca").read_text(),
        "etc/kubernetes/pki/kubelet-serving.crt": keys.certificate(f"{name}-serving").read_text(),
        "etc/kubernetes/pki/kubelet-serving.key": keys.key(f"{name}-serving").read_text(),
        "usr/local/lib/holdfast-world/node.conf": f"API_HOST={at.control}\nAPI_PORT={API_PORT}\nNODE_IP={at.node(n)}\nNODE_NAME={name}\n",
    }
    if not is_emulated:
        files["usr/local/lib/holdfast-world/init"] = (SCRIPTS / "init.sh").read_text()
        files["usr/local/bin/systemctl"] = (SCRIPTS / "systemctl.sh").read_text()
    for path, text in files.items():
        file = into / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        is_secret = path.endswith((".key", ".kubeconfig"))
        file.chmod(0o600 if is_secret else 0o755 if path.startswith("usr/local/") else 0o644)
