"""The programs built from Go modules, each from its own pinned go.mod and go.sum in `pins/`.

Each is laid out as a file tree of a node (usr/local/bin/…), so that a node's root is an overlay of such trees.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache as remembered
from pathlib import Path

from . import cache
from .refusal import ProbeFailed, Refusal
from .report import Progress

PINS = Path(__file__).resolve().parent.parent / "pins"
KUBE_COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")


@dataclass(frozen=True)
class Program:
    """How one pinned thing is built: packages into `folder`, `version_at` are the linker's names for the version."""

    name: str
    module: str
    packages: tuple
    usual_s: int
    version_at: tuple = ()
    version_prefix: str = "v"
    tags: str = ""
    folder: str = "usr/local/bin"
    one_for_all: bool = False
    data: tuple = ()  # files and folders of the module that are wanted at run time, into usr/local/share/<name>

    @property
    def pin(self):
        return PINS / self.name

    @property
    def version(self):
        """As the pin says, for example v1.35.4."""
        found = re.search(rf"^(?:require )?\s*{re.escape(self.module)} (v\S+)", (self.pin / "go.mod").read_text(), re.M)
        if not found:
            raise Refusal(f"{self.pin}/go.mod does not require {self.module}: restore it from git.")
        return found[1]

    def flags(self):
        version = self.version
        symbols = [f"-X {name}={self.version_prefix}{version[1:]}" for name in self.version_at]
        if self.one_for_all:
            base, (_, minor, _) = "k8s.io/component-base/version", version.split(".")
            symbols = [f"-X {base}.gitVersion={version}", f"-X {base}.gitMajor=1", f"-X {base}.gitMinor={minor}"]
        tags = ["-tags", self.tags] if self.tags else []
        return ["-trimpath", *tags, "-ldflags", " ".join(["-s", "-w", *symbols])]

    def sources(self):
        shared = [PINS / "kube" / "main.go"] if self.one_for_all else []
        return [self.pin / "go.mod", self.pin / "go.sum", *self.pin.glob("main.go"), *shared]

    def key(self):
        return cache.key(self.sources(), [*self.flags(), *self.packages, self.folder, *self.data, go_version()])

    def obtain(self):
        return cache.obtain(self.name, self.key(), self._build)

    def tools(self):
        return KUBE_COMPONENTS if self.one_for_all else tuple(p.rsplit("/", 1)[-1] for p in self._commands())

    def _commands(self):
        # A command of a major version's module root ("…/helm/v3") is still called by the folder before it.
        return [re.sub(r"/v\d+$", "", p) for p in self.packages]

    def _build(self, into):
        source, folder = into / "source", into / self.folder
        folder.mkdir(parents=True)
        source.mkdir()
        for file in self.sources():
            shutil.copy(file, source)
        if self.one_for_all:
            self._compile(source, folder / "kube", ["."])
            for component in KUBE_COMPONENTS:
                (folder / component).symlink_to("kube")
        else:
            self._compile(source, f"{folder}/", list(self.packages))
        self._copy_data(source, into / "usr/local/share" / self.name)
        shutil.rmtree(source)

    def _copy_data(self, source, share):
        if not self.data:
            return
        found = subprocess.run(["go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", self.module], cwd=source, check=True, capture_output=True, text=True)
        share.mkdir(parents=True)
        for file in self.data:
            wanted = Path(found.stdout.strip()) / file
            copy = shutil.copytree if wanted.is_dir() else shutil.copyfile
            copy(wanted, share / wanted.name)

    def _compile(self, source, output, packages):
        command = ["go", "build", "-v", "-o", str(output), *self.flags(), *packages]
        with Progress(f"building {self.name} {self.version} from Go modules", self.usual_s) as progress:
            lines = _follow(command, source, progress)
        if lines is not None:
            raise Refusal(f"{self.name} {self.version} could not be built; the compiler's last words: {' / '.join(lines[-6:])}")


def _follow(command, source, progress):
    """Runs a build, counting what the compiler names; its last lines if it failed, else None."""
    env = {**os.environ, "GOFLAGS": "-mod=readonly", "GOWORK": "off", "CGO_ENABLED": "1"}
    lines, compiled, fetched = [], 0, 0
    with subprocess.Popen(command, cwd=source, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as build:
        try:
            for line in build.stderr:
                lines.append(line.rstrip())
                if line.startswith("go: downloading"):
                    fetched += 1
                else:
                    compiled += 1
                progress.note = f"{fetched} modules fetched, {compiled} packages compiled"
        except BaseException:
            build.terminate()
            raise
    return lines if build.returncode else None


@remembered
def go_version():
    try:
        return subprocess.run(["go", "env", "GOVERSION", "GOARCH"], cwd="/", check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        raise ProbeFailed("Go is not installed: install Go 1.26 or later from go.dev or by apt, and see that `go version` runs.") from None


_CONTAINERD = "github.com/containerd/containerd/v2"
_RUNC = "github.com/opencontainers/runc"
_CERT_MANAGER = "github.com/cert-manager/cert-manager"
PROGRAMS = {
    program.name: program
    for program in (
        Program("kube-1.35", "k8s.io/kubernetes", (), 420, one_for_all=True),
        Program("kube-1.36", "k8s.io/kubernetes", (), 360, one_for_all=True),
        Program("containerd", _CONTAINERD, tuple(f"{_CONTAINERD}/cmd/{c}" for c in ("containerd", "ctr", "containerd-shim-runc-v2")), 80,
                version_at=(f"{_CONTAINERD}/version.Version",), version_prefix=""),
        Program("runc", _RUNC, (_RUNC,), 15, version_at=("main.version",), version_prefix="", tags="seccomp", folder="usr/local/sbin"),
        Program("helm", "helm.sh/helm/v3", ("helm.sh/helm/v3/cmd/helm",), 60, version_at=("helm.sh/helm/v3/internal/version.version",)),
        Program("kwok", "sigs.k8s.io/kwok", ("sigs.k8s.io/kwok/cmd/kwok",), 60, version_at=("sigs.k8s.io/kwok/pkg/consts.Version",), version_prefix="",
                data=tuple(f"kustomize/stage/{s}.yaml" for s in ("node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease",
                                                                 "pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete"))),
        Program("kubeconform", "github.com/yannh/kubeconform", ("github.com/yannh/kubeconform/cmd/kubeconform",), 15,
                version_at=("main.version",)),
        # Without the C library, for its image has none.
        Program("cert-manager", _CERT_MANAGER, ("holdfast.dev/world/cert-manager",), 120, version_at=(f"{_CERT_MANAGER}/pkg/util.AppVersion",),
                tags="netgo,osusergo", data=("deploy/charts/cert-manager",)),
    )
}
