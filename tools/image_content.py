"""What is in the image: the files of its layers. Base and node parts change rarely, so registries keep them between releases."""

from pathlib import Path

from image_archive import Entry

USER_ID = 65533
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

PASSWD = f"root:x:0:0:root:/:/sbin/nologin\nholdfast:x:{USER_ID}:{USER_ID}:holdfast:/:/sbin/nologin\n"
GROUP = f"root:x:0:\nholdfast:x:{USER_ID}:\n"
# A static program resolves names with what is built in: files and DNS.
NSSWITCH = "hosts: files dns\n"


class Missing(FileNotFoundError):
    """Something to be packed is not there."""


def base(certificates=CERTIFICATES):
    if not certificates.exists():
        raise Missing(f"{certificates} is missing; install the package ca-certificates")
    return [
        Entry.directory("etc"),
        Entry.file("etc/group", GROUP.encode()),
        Entry.file("etc/nsswitch.conf", NSSWITCH.encode()),
        Entry.file("etc/passwd", PASSWD.encode()),
        Entry.directory("etc/ssl"),
        Entry.directory("etc/ssl/certs"),
        Entry.file("etc/ssl/certs/ca-certificates.crt", certificates.read_bytes()),
        Entry.directory("tmp", mode=0o1777),
    ]


def programs(paths, sbom):
    entries = [Entry.directory("usr"), Entry.directory("usr/local"), Entry.directory("usr/local/bin")]
    for path in paths:
        entries.append(Entry.file(f"usr/local/bin/{path.name}", path.read_bytes(), mode=0o755))
    entries += [
        Entry.directory("usr/share"),
        Entry.directory("usr/share/sbom"),
        Entry.file("usr/share/sbom/holdfast.spdx.json", sbom),
    ]
    return entries


def node_parts(folder):
    """What is brought to nodes that lack it: the directory of tools/node_parts.py, where `holdfast host install` looks for it."""
    top = Path("usr/local/share/holdfast/node")
    folders = {parent for path in folder.rglob("*") for parent in (top / path.relative_to(folder)).parents} - {Path(".")}
    entries = [Entry.directory(str(each)) for each in sorted(folders)]
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
        entries.append(Entry.file(str(top / path.relative_to(folder)), path.read_bytes(), mode=mode))
    return entries
