"""Check the chart and the manifests without a cluster: `make check-chart`.

Every value set in charts/holdfast/ci/ is linted, rendered and held against the schemas of Kubernetes and of our CRDs;
every one in ci/bad/ must be refused with the message that its first line expects; the objects must keep the rules
below. Prints a line for each check and ends with how many failed.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import chart_rules
import helm
import kube_schemas

CHECKOUT = Path(__file__).resolve().parent.parent
CHART = CHECKOUT / "charts/holdfast"
PINS = CHECKOUT / "tests/world/pins"


class Checks:
    """Runs checks and remembers what failed."""

    def __init__(self):
        self.done = 0
        self.failed = 0

    def check(self, name, problem):
        """`problem`: what is wrong, or nothing."""
        self.done += 1
        if problem:
            self.failed += 1
            print(f"FAILED  {name}\n" + "\n".join(f"        {line}" for line in str(problem).splitlines()))
        else:
            print(f"ok      {name}")


def value_sets():
    """{name: arguments for Helm}, the chart's own defaults first."""
    files = sorted(CHART.glob("ci/*.yaml"))
    return {"defaults": [], **{path.stem: ["--values", path] for path in files}}


def lint(helm_program, arguments):
    try:
        helm.run(helm_program, "lint", "--strict", "--kube-version", helm.KUBE_VERSION, CHART, *arguments)
        return ""
    except helm.HelmFailed as error:
        return error


def refusal(helm_program, path):
    """What is wrong with how a bad value set is answered."""
    first = path.read_text().splitlines()[0]
    expected = first.removeprefix("# expect: ")
    if first == expected or not expected.strip():
        return "its first line must say what Helm answers: # expect: PART OF THE MESSAGE"
    try:
        helm.template(helm_program, CHART, "--values", path)
        return "Helm takes it"
    except helm.HelmFailed as error:
        return "" if expected in str(error) else f"expected {expected!r}, but Helm said:\n{error}"


def kubeconform(program, folders, text):
    """What kubeconform finds wrong. An object without a schema is an error too."""
    locations = [part for folder in folders for part in ("-schema-location", f"{folder}/{kube_schemas.LOCATION}")]
    done = subprocess.run([program, "-strict", "-summary", *locations, "-"], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        return done.stdout + done.stderr
    seen = re.search(r"(\d+) resources? found", done.stdout)
    return "" if seen and int(seen.group(1)) else f"kubeconform saw no object: {done.stdout}"


def versions():
    """The chart's two versions are Cargo.toml's."""
    cargo = tomllib.loads((CHECKOUT / "Cargo.toml").read_text())["package"]["version"]
    chart = (CHART / "Chart.yaml").read_text()
    wrong = [line for line in re.findall(r"^(?:version|appVersion):.*$", chart, re.MULTILINE) if line.split()[1].strip('"') != cargo]
    return f"Cargo.toml says {cargo}, charts/holdfast/Chart.yaml says {', '.join(wrong)}" if wrong else ""


def kustomized(kubectl, folder):
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    if done.returncode != 0:
        raise helm.HelmFailed(f"kubectl kustomize {folder}: {done.stderr.strip()}")
    return done.stdout


def schema_folders(version, helm_program, aside):
    """Kubernetes' kinds, ours, and what other projects' kinds we make."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "holdfast")
    kubernetes = kube_schemas.cached(version, caches)
    crds = [each for path in CHART.glob("files/crds/*.*.*.yaml") for each in helm.documents(helm_program, path.read_text())]
    meta = kube_schemas.read(kubernetes / "meta.json")
    kube_schemas.write_all(kube_schemas.custom(crds, meta), aside)
    return [kubernetes, aside, CHECKOUT / "tools/schemas"]


def run(tools, checks):
    checks.check("versions agree", versions())
    rendered = {}
    for name, arguments in value_sets().items():
        checks.check(f"lint: {name}", lint(tools.helm, arguments))
        rendered[name] = helm.template(tools.helm, CHART, *arguments)
    for path in sorted(CHART.glob("ci/bad/*.yaml")):
        checks.check(f"refused: {path.stem}", refusal(tools.helm, path))
    for folder in sorted(path.parent for path in (CHECKOUT / "manifests").glob("*/kustomization.yaml")):
        rendered[f"manifests/{folder.name}"] = kustomized(tools.kubectl, folder)
    for pin in sorted(PINS.glob(tools.kube)):
        with tempfile.TemporaryDirectory() as aside:
            version = kube_schemas.pinned_version(pin / "go.mod")
            folders = schema_folders(version, tools.helm, Path(aside))
            for name, text in rendered.items():
                checks.check(f"schemas of {version}: {name}", kubeconform(tools.kubeconform, folders, text))
    program = tools.holdfast.split() if tools.holdfast else None
    for name, text in rendered.items():
        objects = helm.documents(tools.helm, text)
        for rule, problem in chart_rules.broken(objects, program):
            checks.check(f"{rule}: {name}", problem)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--helm", default="helm")
    parser.add_argument("--kubectl", default="kubectl")
    parser.add_argument("--kubeconform", default="kubeconform")
    parser.add_argument("--holdfast", default="", help="the program, to ask it for its flags")
    parser.add_argument("--kube", default="kube-1.*", help="which pins below tests/world/pins to take schemas from")
    checks = Checks()
    try:
        run(parser.parse_args(), checks)
    except (helm.HelmFailed, kube_schemas.NoSchemas, OSError) as error:
        sys.exit(f"check_chart: {error}")
    print(f"chart: {checks.done} checks, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
