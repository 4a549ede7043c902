"""Calls to Helm, and YAML read through it: Python's standard library has no YAML parser, Helm has one."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

# A helm built from its Go module alone does not know a Kubernetes version, so the oldest supported one is named.
KUBE_VERSION = "1.33.0"
RELEASE = "holdfast"
NAMESPACE = "holdfast-system"


class HelmFailed(RuntimeError):
    """Helm refused; the message is what it printed."""


def run(helm, *arguments):
    done = subprocess.run([helm, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise HelmFailed(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def template(helm, chart, *arguments):
    """The chart's objects as YAML text, each after a line `# Source: holdfast/templates/FILE`."""
    return run(helm, "template", RELEASE, chart, "--namespace", NAMESPACE, "--kube-version", KUBE_VERSION, *arguments)


def sources(rendered):
    """[(template's file name, text)] of what `template` printed, in its order."""
    parts = []
    for document in ("\n" + rendered).split("\n---\n"):
        mark, _, body = document.strip("\n").partition("\n")
        if mark.startswith("# Source: "):
            parts.append((Path(mark.removeprefix("# Source: ")).name, body.strip("\n") + "\n"))
    return parts


def documents(helm, text):
    """The objects in a YAML text, as Python values."""
    chart = {
        "objects.yaml": text,
        "templates/objects.yaml":
            '{{- range regexSplit "(?m)^---[ \\t]*$" (.Files.Get "objects.yaml") -1 }}\n'
            "---\n{{ fromYaml . | toJson }}\n{{- end }}\n",
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, content in {"Chart.yaml": "apiVersion: v2\nname: read\nversion: 0.0.0\n", **chart}.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        found = [json.loads(line) for line in template(helm, folder).splitlines() if line.startswith("{")]
    for each in found:
        if set(each) == {"Error"}:
            raise HelmFailed(f"not to be read as YAML: {each['Error']}")
    return [each for each in found if each]


def default_values(helm, chart):
    """The chart's values.yaml, as a Python value."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "chart")
        shutil.copytree(chart, copy, ignore=shutil.ignore_patterns("templates", "values.schema.json"))
        (copy / "templates").mkdir()
        (copy / "templates" / "values.yaml").write_text("{{ toJson .Values }}\n")
        return json.loads(template(helm, copy).splitlines()[-1])
