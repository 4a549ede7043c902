"""Pack static programs as a container image, without Docker.

    python3 tools/pack_image.py --name IMG --target TARGET --output dist/holdfast.tar PROGRAM...

    python3 tools/pack_image.py --target TARGET --directory /image PROGRAM...      (in the Dockerfile)

With --node-parts DIR (of tools/node_parts.py) the image also holds what it brings to nodes that lack it.

The first program is the image's entry point. Same input, same bytes: times come from SOURCE_DATE_EPOCH, or else from
the last commit. The bill of materials is put into the image and beside the archive.
"""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import elf
import image_archive
import image_content
import sbom
from image_reference import BadReference, Reference

CHECKOUT = Path(__file__).resolve().parent.parent
EXPECTED = (BadReference, elf.NotPackable, image_content.Missing, sbom.NoMetadata, OSError)


def git(*arguments):
    """What git answers, or nothing outside a checkout."""
    try:
        done = subprocess.run(["git", "-C", str(CHECKOUT), *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def source_date():
    return int(os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or 0)


def revision():
    """The commit, marked when the checkout holds something else."""
    commit = git("rev-parse", "HEAD")
    return commit + "-dirty" if commit and git("status", "--porcelain", "--untracked-files=no") else commit


def labels(crate, created):
    found = {
        "title": crate["name"],
        "description": crate.get("description", ""),
        "version": crate["version"],
        "licenses": crate.get("license", ""),
        "source": crate.get("repository", ""),
        "revision": revision(),
        "created": created,
    }
    return {f"org.opencontainers.image.{key}": value for key, value in found.items() if value}


def bill(target, programs, parts, created):
    metadata = sbom.cargo_metadata(CHECKOUT, target)
    debian = {name: sbom.debian_package(name) for name in ("ca-certificates", "libc6-dev")}
    debian.update(brought(parts))
    contents = {path.name: path.read_bytes() for path in programs}
    value = sbom.document(metadata, sbom.lock_checksums(CHECKOUT), contents, debian, created)
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def brought(parts):
    """{package: version} of the Debian packages among the node parts."""
    return json.loads((parts / "manifest.json").read_text())["packages"] if parts else {}


def layers_of(programs, materials, parts):
    """Those that change rarely first: a registry and a node keep them."""
    middle = [image_content.node_parts(parts)] if parts else []
    return [image_content.base(), *middle, image_content.programs(programs, materials)]


def pack(name, programs, materials, crate, created, parts=None):
    """The Image. `programs` are paths, `materials` the bytes of the bill of materials, `parts` the directory of node parts."""
    architectures = {elf.architecture(path) for path in programs}
    if len(architectures) != 1:
        raise elf.NotPackable(f"the programs are for different machines: {', '.join(sorted(architectures))}")
    said = labels(crate, created)
    user = f"{image_content.USER_ID}:{image_content.USER_ID}"
    config = {
        "architecture": architectures.pop(),
        "created": created,
        "config": {
            "User": user,
            "Entrypoint": [f"/usr/local/bin/{programs[0].name}"],
            "Env": ["PATH=/usr/local/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
            "WorkingDir": "/",
            "Labels": said,
        },
        "history": [
            {"created": created, "created_by": "CA certificates, user"},
            *([{"created": created, "created_by": "runc and CRIU for nodes that lack them"}] if parts else []),
            {"created": created, "created_by": "programs, bill of materials"},
        ],
    }
    return image_archive.build(name, layers_of(programs, materials, parts), config, said)


def unpack(directory, programs, materials, parts=None):
    """The files of all layers, as they stand in the image."""
    for path in programs:
        elf.architecture(path)
    for entry in [entry for layer in layers_of(programs, materials, parts) for entry in layer]:
        target = directory / entry.path
        if entry.content is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.write_bytes(entry.content)
        target.chmod(entry.mode)


def write_archive(arguments, materials, created):
    name = str(Reference.parse(arguments.name))
    crate = tomllib.loads((CHECKOUT / "Cargo.toml").read_text())["package"]
    image = pack(name, arguments.programs, materials, crate, created, arguments.node_parts)
    image_archive.save(image, arguments.output)
    beside = arguments.output.with_suffix(".spdx.json")
    beside.write_bytes(materials)
    print(f"image    {image.name}  ({image.config()['architecture']}, {image.digest})")
    print(f"archive  {arguments.output}  ({arguments.output.stat().st_size / 1e6:.1f} MB)")
    print(f"sbom     {beside}")
    print(f"A node takes it with: ctr -n k8s.io images import {arguments.output}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", help="what the image is called, as IMG")
    parser.add_argument("--target", required=True, help="the Rust target that the programs were built for")
    parser.add_argument("--node-parts", type=Path, metavar="DIR", help="what is brought to nodes that lack it")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--output", type=Path, help="the archive to write")
    where.add_argument("--directory", type=Path, help="write the image's files here instead, for another builder")
    parser.add_argument("programs", nargs="+", type=Path)
    arguments = parser.parse_args()
    if arguments.output and not arguments.name:
        parser.error("--output needs --name")
    try:
        created = sbom.timestamp(source_date())
        materials = bill(arguments.target, arguments.programs, arguments.node_parts, created)
        if arguments.directory:
            unpack(arguments.directory, arguments.programs, materials, arguments.node_parts)
        else:
            write_archive(arguments, materials, created)
    except EXPECTED as error:
        sys.exit(f"pack_image: {error}")


if __name__ == "__main__":
    main()
