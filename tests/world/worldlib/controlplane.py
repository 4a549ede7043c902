"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler in the world's own network namespace, as kubeadm sets them."""

from . import network, processes
from .addresses import FIRST_SERVICE, SERVICES
from .api import NotFound
from .certificates import Identity, Keys, kubeconfig
from .refusal import Refusal

ETCD = "http://127.0.0.1:2379"
ORDER = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
# A node that says nothing is NotReady after this long, not after the usual 50 s: faults are tested here all day.
NODE_GRACE_S = 20
AUDIT_POLICY = """\
# Who called what, for every request; what was written, for every write but of secrets and tokens.
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  resources: [{group: "", resources: [secrets, serviceaccounts/token]}, {group: authentication.k8s.io}]
- level: Request
  verbs: [create, update, patch, delete, deletecollection]
- level: Metadata
"""


def identities(at):
    """{certificate: (authority, whom it names)} of the control plane."""
    api_names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost")
    return {
        "apiserver": ("ca", Identity("kube-apiserver", answers_to=(*api_names, "127.0.0.1", at.control, FIRST_SERVICE), is_client=False)),
        "apiserver-kubelet-client": ("ca", Identity("kube-apiserver-kubelet-client")),
        "front-proxy-client": ("front-proxy-ca", Identity("front-proxy-client")),
        "controller-manager": ("ca", Identity("system:kube-controller-manager")),
        "scheduler": ("ca", Identity("system:kube-scheduler")),
        "kube-proxy": ("ca", Identity("system:kube-proxy")),
        "kwok": ("ca", Identity("holdfast-world:kwok")),
        "admin": ("ca", Identity("admin", groups=("system:masters",))),
    }


def make_keys(world):
    keys = Keys(world.dir / "pki")
    keys.authority("ca")
    keys.authority("front-proxy-ca")
    keys.signing_key("service-account")
    for name, (authority, identity) in identities(world.at).items():
        keys.issue(name, authority, identity)
        if authority == "ca" and name not in ("apiserver", "apiserver-kubelet-client"):
            target = world.dir / ("admin.kubeconfig" if name == "admin" else f"pki/{name}.kubeconfig")
            target.touch(mode=0o600)
            target.write_text(kubeconfig(world.at.server, keys, "ca", name, world.name))
    (world.dir / "pki" / "audit-policy.yaml").write_text(AUDIT_POLICY)
    return keys


def audit_log(world):
    return world.dir / "log" / "audit.log"


def commands(world, programs):
    """{component: command line}; `programs` says where the things of this world are."""
    at, pki, kube = world.at, world.dir / "pki", programs["kube"] / "usr/local/bin"
    config = {name: str(pki / f"{name}.kubeconfig") for name in ("controller-manager", "scheduler")}
    delegated = {name: [f"--{use}-kubeconfig={path}" for use in ("authentication", "authorization")] for name, path in config.items()}
    front = [f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt"]
    return {
        "etcd": [str(programs["debian"] / "usr/bin/etcd"), f"--data-dir={world.dir}/etcd", f"--listen-client-urls={ETCD}",
                 f"--advertise-client-urls={ETCD}", "--listen-peer-urls=http://127.0.0.1:2380", "--unsafe-no-fsync"],
        "kube-apiserver": [
            f"{kube}/kube-apiserver", f"--etcd-servers={ETCD}", f"--advertise-address={at.control}", "--bind-address=0.0.0.0", "--secure-port=6443",
            f"--service-cluster-ip-range={SERVICES}", "--allow-privileged=true", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            "--enable-bootstrap-token-auth=true", f"--client-ca-file={pki}/ca.crt", f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
            f"--service-account-key-file={pki}/service-account.key", f"--service-account-signing-key-file={pki}/service-account.key",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt", f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
            f"--kubelet-certificate-authority={pki}/ca.crt", "--kubelet-preferred-address-types=InternalIP",
            *front, "--requestheader-allowed-names=front-proxy-client", "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki}/front-proxy-client.crt", f"--proxy-client-key-file={pki}/front-proxy-client.key", "--enable-aggregator-routing=true",
            f"--audit-policy-file={pki}/audit-policy.yaml", f"--audit-log-path={audit_log(world)}", "--audit-log-maxsize=200", "--audit-log-maxbackup=2"],
        "kube-controller-manager": [
            f"{kube}/kube-controller-manager", f"--kubeconfig={config['controller-manager']}", *delegated["controller-manager"], "--bind-address=127.0.0.1",
            "--controllers=*,bootstrap-signer-controller,token-cleaner-controller", "--use-service-account-credentials=true", "--leader-elect=false",
            "--kube-api-qps=200", "--kube-api-burst=400",
            f"--client-ca-file={pki}/ca.crt", f"--root-ca-file={pki}/ca.crt", f"--cluster-signing-cert-file={pki}/ca.crt", f"--cluster-signing-key-file={pki}/ca.key",
            f"--service-account-private-key-file={pki}/service-account.key", *front, f"--service-cluster-ip-range={SERVICES}", f"--cluster-cidr={at.pods}",
            "--allocate-node-cidrs=false", "--node-monitor-period=2s", f"--node-monitor-grace-period={NODE_GRACE_S}s"],
        "kube-scheduler": [
            f"{kube}/kube-scheduler", f"--kubeconfig={config['scheduler']}", *delegated["scheduler"], "--bind-address=127.0.0.1", "--leader-elect=false"],
    }


def start(world, programs, api):
    """Starts what does not run, in order, and returns the names of what it started."""
    started = []
    for name, command in commands(world, programs).items():
        if name == "kube-controller-manager":
            wait_for_api(world, api)
        if not world.is_running(name):
            launch(world, name, command)
            started.append(name)
    return started


def launch(world, name, command):
    """One daemon of the world's namespace, remembered."""
    world.remember(name, processes.start([*network.inside(world.at.netns), *command], world.log(name), world.cgroup.part("control").entry(), cwd=str(world.dir)))


def wait_for_api(world, api, deadline_s=90):
    def ready_or_dead():
        return api.is_ready() or not (world.is_running("kube-apiserver") and world.is_running("etcd"))

    if not processes.wait_until(ready_or_dead, deadline_s) or not api.is_ready():
        part = "etcd" if not world.is_running("etcd") else "kube-apiserver"
        raise Refusal(f"The API server did not become ready: {part}'s last words: {last_words(world.log(part))}")


def wait_for_accounts(api, deadline_s=60):
    """Until the controllers have made what every pod needs: the default service account."""
    def there():
        try:
            return api.get("/api/v1/namespaces/default/serviceaccounts/default")
        except NotFound:
            return None

    if not processes.wait_until(there, deadline_s):
        raise Refusal("No default service account was made: `world logs kube-controller-manager` shows why.")


def last_words(log, lines=3):
    try:
        return " / ".join(log.read_text(errors="replace").strip().splitlines()[-lines:])
    except FileNotFoundError:
        return "none"


def cluster_role_binding(name, role, user):
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]}


def grant_access(api):
    """The API server's own certificate may use the kubelets; Kubernetes makes all other bindings itself."""
    binding = cluster_role_binding("holdfast-world:kubelet-api-admin", "system:kubelet-api-admin", "kube-apiserver-kubelet-client")
    api.ensure("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
