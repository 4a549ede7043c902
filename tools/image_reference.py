"""Image names as users write them, and as container runtimes and registries want them.

    python3 tools/image_reference.py helm IMG        flags that make the chart run this image
    python3 tools/image_reference.py kustomize IMG   an `images:` entry that makes the manifests run it
"""

import re
import sys
from dataclasses import dataclass

# What the chart and the manifests call the image until someone names another (charts/holdfast/values.yaml).
DEFAULT_REPOSITORY = "localhost/holdfast"

DOMAIN = r"(?:localhost|(?:[a-zA-Z0-9-]+\.)+[a-zA-Z0-9-]+|[a-zA-Z0-9-]+(?=:)|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
REFERENCE = re.compile(
    rf"(?:(?P<domain>{DOMAIN})/)?(?P<path>{PATH})"
    r"(?::(?P<tag>[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class BadReference(ValueError):
    """Not the name of an image."""


@dataclass(frozen=True)
class Reference:
    """An image name in full: no part is left to be guessed."""

    domain: str
    path: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text):
        if text != text.strip():
            raise BadReference(f"{text!r} has a blank at its end or beginning; remove it")
        match = REFERENCE.fullmatch(text)
        if not match:
            raise BadReference(f"{text!r} is no image name; write it like registry.example.com/team/holdfast:v1")
        domain, path, tag, digest = match.group("domain", "path", "tag", "digest")
        if not domain:
            # As Docker, containerd and the kubelet read short names.
            domain = "docker.io"
            path = path if "/" in path else f"library/{path}"
        if not tag and not digest:
            tag = "latest"
        return cls(domain, path, tag or "", digest or "")

    @property
    def repository(self):
        return f"{self.domain}/{self.path}"

    def __str__(self):
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def helm_flags(reference):
    return (f"--set-string=image.repository={reference.repository} "
            f"--set-string=image.tag={reference.tag} --set-string=image.digest={reference.digest}")


def kustomize_entry(reference):
    lines = ["images:", f"  - name: {DEFAULT_REPOSITORY}", f"    newName: {reference.repository}"]
    if reference.digest:
        lines.append(f"    digest: {reference.digest}")
    else:
        lines.append(f"    newTag: {reference.tag!r}")
    return "\n".join(lines)


def main(arguments):
    forms = {"helm": helm_flags, "kustomize": kustomize_entry}
    if len(arguments) != 2 or arguments[0] not in forms:
        sys.exit("usage: python3 tools/image_reference.py helm|kustomize IMG")
    try:
        print(forms[arguments[0]](Reference.parse(arguments[1])))
    except BadReference as error:
        sys.exit(f"IMG: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
