"""Turn what `holdfast crds` prints into one file for each CRD, and a kustomization that lists them.

The chart takes these files as they are, and `kubectl apply -k` takes the folder. There is no YAML parser in Python's
standard library, and none is needed: the text is cut at its document marks and each part's name is read from the one
place where it may stand.

    holdfast crds | python3 tools/split_crds.py DIR
"""

import re
import sys
from pathlib import Path

DOCUMENT_MARK = re.compile(r"^---[ \t]*\n", re.MULTILINE)
METADATA = re.compile(r"^metadata:\n((?:[ \t]+.*\n)+)", re.MULTILINE)
NAME = re.compile(r"^  name: ([a-z0-9.-]+)\n", re.MULTILINE)

KUSTOMIZATION = """\
# Written by `make manifests`. The CRDs by themselves: `kubectl apply -k` this folder.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
labels:
  - pairs:
      app.kubernetes.io/name: holdfast
      app.kubernetes.io/part-of: holdfast
resources:
"""


class NotACrd(ValueError):
    """A document that the chart could not take."""


def split(text):
    """{file name: text} of the CRDs in `text`, named PLURAL.GROUP.yaml."""
    files = {}
    for document in DOCUMENT_MARK.split(text):
        if not document.strip():
            continue
        document = document.strip("\n") + "\n"
        name = name_of(document)
        if name + ".yaml" in files:
            raise NotACrd(f"two CRDs are named {name}: `holdfast crds` must print each once")
        files[name + ".yaml"] = document
    if not files:
        raise NotACrd("no CRD to be read: `holdfast crds` printed nothing")
    return files


def name_of(document):
    first = document.splitlines()[0]
    if not re.search(r"^kind: CustomResourceDefinition$", document, re.MULTILINE):
        raise NotACrd(f"a document that is no CustomResourceDefinition, beginning {first!r}")
    metadata = METADATA.findall(document)
    if len(metadata) != 1:
        raise NotACrd(f"{len(metadata)} top-level `metadata:` blocks where the chart needs one, in {first!r}")
    names = NAME.findall(metadata[0])
    if len(names) != 1 or "." not in names[0]:
        raise NotACrd(f"no name of the form PLURAL.GROUP in the metadata:\n{metadata[0]}")
    for key in ("labels", "annotations"):
        # The chart adds both; twice the same key would be no YAML.
        if re.search(rf"^  {key}:", metadata[0], re.MULTILINE):
            raise NotACrd(f"{names[0]} has {key} of its own; the chart adds them (templates/crds.yaml)")
    return names[0]


def write(files, folder):
    """Make `folder` hold exactly `files` and their kustomization."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = dict(files)
    wanted["kustomization.yaml"] = KUSTOMIZATION + "".join(f"  - {name}\n" for name in sorted(files))
    for old in folder.glob("*.yaml"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)


def main(arguments):
    if len(arguments) != 1:
        sys.exit("usage: holdfast crds | python3 tools/split_crds.py DIR")
    try:
        write(split(sys.stdin.read()), Path(arguments[0]))
    except NotACrd as error:
        sys.exit(f"split_crds: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
