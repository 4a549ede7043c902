"""`debian.lock`: every Debian package that goes into a file tree, with version and sha256.

Debian's archive keeps one version per suite: when it has only a newer one, that is said and taken. A package of the locked
version with other bytes is refused.
"""

import re
from pathlib import Path

from .refusal import Refusal
from .report import say

LOCK = Path(__file__).resolve().parent.parent / "debian.lock"
HEAD = "# Debian's packages in the file trees of nodes and machines: name, version, sha256. Written by `world build --update-lock`."


def parse(text):
    """{tree: {package: (version, sha256)}} from sections `[tree]` of lines `package version sha256`."""
    trees, current = {}, None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        section = re.fullmatch(r"\[([\w.-]+)\]", line)
        words = line.split()
        if section:
            current = trees.setdefault(section[1], {})
        elif current is not None and len(words) == 3 and re.fullmatch(r"[0-9a-f]{64}", words[2]):
            current[words[0]] = (words[1], words[2])
        else:
            raise Refusal(f"debian.lock line {number} is not `[tree]` or `package version sha256`: restore the file from git.")
    return trees


def as_text(trees):
    lines = [HEAD]
    for tree in sorted(trees):
        lines += ["", f"[{tree}]", *(f"{name} {version} {digest}" for name, (version, digest) in sorted(trees[tree].items()))]
    return "\n".join(lines) + "\n"


def read():
    return parse(LOCK.read_text()) if LOCK.exists() else {}


def differences(locked, found):
    """(sentences about what is newer or new, names whose locked version came with other bytes)."""
    said, forged = [], []
    for name, (version, digest) in sorted(found.items()):
        if name not in locked:
            said.append(f"{name} {version} (not in the lock)")
        elif locked[name][0] != version:
            said.append(f"{name} {locked[name][0]} -> {version}")
        elif locked[name][1] != digest:
            forged.append(name)
    return said, forged


def check(tree, found):
    """Says or refuses what differs from the lock's section `tree`."""
    locked = read().get(tree, {})
    if not locked:
        return say(f"debian.lock has no section [{tree}]: took what the archive has ({len(found)} packages)")
    said, forged = differences(locked, found)
    if forged:
        raise Refusal(f"the archive's {', '.join(forged)} has the locked version but other bytes than debian.lock says: do not use this mirror.")
    if said:
        say(f"debian.lock [{tree}]: the archive has other versions, taken: {'; '.join(said)}")


def update(records):
    """Writes the lock anew from the files that `debian.record` left in the trees."""
    trees = read()
    for record in records:
        trees.update(parse(record.read_text()))
    LOCK.write_text(as_text(trees))
