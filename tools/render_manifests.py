"""Write everything in the checkout that is generated from the program and the chart, or check that it is current.

    holdfast crds | python3 tools/render_manifests.py write --helm HELM
    holdfast crds | python3 tools/render_manifests.py check --helm HELM

Generated are: charts/holdfast/files/crds/ from the CRDs on standard input; manifests/*/ from the chart and the
values.yaml in each folder; the table of values in the chart's README.
"""

import argparse
import difflib
import json
import shutil
import sys
import tempfile
from pathlib import Path

import helm
import split_crds
import values_table

CHECKOUT = Path(__file__).resolve().parent.parent
CHART = Path("charts/holdfast")
CRDS = CHART / "files/crds"
MANIFESTS = Path("manifests")

NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: holdfast
    app.kubernetes.io/part-of: holdfast
    # {why}
    pod-security.kubernetes.io/enforce: {level}
    pod-security.kubernetes.io/audit: {level}
    pod-security.kubernetes.io/warn: {level}
"""

STRICTEST = {"level": "restricted", "why": "The manager meets the strictest level; nothing else has a reason to be here."}
# Overlays with agents, which freeze and dump other pods' processes.
LEVELS = {"state": {"level": "privileged", "why": "The agents need all rights on their nodes. Let nobody else make pods here."}}

# Overlays that live somewhere else than all the others.
NAMESPACES = {"flexdaemonsets": "flexdaemonsets-system"}

# What Helm looks after; to others it would be a false statement.
HELMS_OWN = ("helm.sh/chart:", "app.kubernetes.io/managed-by: Helm")


def overlays(checkout):
    """The folders of manifests/ that are rendered: those that say with which values."""
    return sorted(path.parent.name for path in (checkout / MANIFESTS).glob("*/values.yaml"))


def generated(checkout, helm_program, crds):
    """{path in the checkout: text} of every generated file."""
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder, "holdfast")
        shutil.copytree(checkout / CHART, chart)
        split_crds.write(split_crds.split(crds), chart / "files/crds")
        files = {CRDS / path.name: path.read_text() for path in (chart / "files/crds").glob("*.yaml")}
        for overlay in overlays(checkout):
            values = checkout / MANIFESTS / overlay / "values.yaml"
            # The last --namespace counts.
            rendered = helm.template(helm_program, chart, "--values", values, "--namespace", namespace(overlay))
            for name, text in kustomization(overlay, helm.sources(rendered)).items():
                files[MANIFESTS / overlay / name] = text
        readme = (checkout / CHART / "README.md").read_text()
        schema = json.loads((chart / "values.schema.json").read_text())
        defaults = helm.default_values(helm_program, chart)
        files[CHART / "README.md"] = values_table.into_readme(readme, schema, defaults)
    return files


def namespace(overlay):
    return NAMESPACES.get(overlay, helm.NAMESPACE)


def kustomization(overlay, sources):
    """{file name: text} of one folder of manifests/."""
    files = {"namespace.yaml": "# Written by `make manifests`.\n" + NAMESPACE.format(name=namespace(overlay), **LEVELS.get(overlay, STRICTEST))}
    for source, text in sources:
        head = f"# Rendered by `make manifests` from charts/holdfast/templates/{source} and values.yaml beside this file.\n"
        body = "".join(line for line in text.splitlines(keepends=True) if not line.strip().startswith(HELMS_OWN))
        files[source] = f"{files[source]}---\n{body}" if source in files else head + body
    resources = ["../crds", "namespace.yaml", *sorted(set(files) - {"namespace.yaml"})]
    files["kustomization.yaml"] = (
        f"# Written by `make manifests`. Install it with: kubectl apply -k manifests/{overlay}\n"
        "apiVersion: kustomize.config.k8s.io/v1beta1\n"
        "kind: Kustomization\n"
        "resources:\n" + "".join(f"  - {name}\n" for name in resources)
    )
    return files


def left_over(checkout, files):
    """Generated files of former times: nothing writes them any more."""
    folders = [CRDS, *(MANIFESTS / overlay for overlay in overlays(checkout))]
    there = {path.relative_to(checkout) for folder in folders for path in (checkout / folder).glob("*.yaml")}
    return sorted(path for path in there - set(files) if path.name != "values.yaml")


def write(checkout, files):
    for path in left_over(checkout, files):
        (checkout / path).unlink()
        print(f"removed {path}")
    for path, text in sorted(files.items()):
        target = checkout / path
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            print(f"wrote {path}")


def differences(checkout, files):
    """One unified diff over all files: what is committed against what should be."""
    lines = []
    for path, text in [*sorted(files.items()), *((path, "") for path in left_over(checkout, files))]:
        target = checkout / path
        old = target.read_text() if target.exists() else ""
        lines += difflib.unified_diff(
            old.splitlines(keepends=True), text.splitlines(keepends=True), f"committed/{path}", f"generated/{path}")
    return "".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["write", "check"])
    parser.add_argument("--helm", default="helm")
    arguments = parser.parse_args()
    try:
        files = generated(CHECKOUT, arguments.helm, sys.stdin.read())
    except (helm.HelmFailed, split_crds.NotACrd, values_table.Incomplete) as error:
        sys.exit(f"render_manifests: {error}")
    if arguments.what == "write":
        write(CHECKOUT, files)
        return
    difference = differences(CHECKOUT, files)
    if difference:
        print(difference, end="")
        sys.exit("Generated files are not what the program and the chart make of them (above). Run: make manifests")
    print(f"{len(files)} generated files are current")


if __name__ == "__main__":
    main()
