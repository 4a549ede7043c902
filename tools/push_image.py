"""Push an archive of `make image` to a registry, without Docker.

    python3 tools/push_image.py --name IMG dist/holdfast.tar

Logs in with what `docker login` left in ~/.docker/config.json; speaks plain HTTP to localhost only.
"""

import argparse
import sys
from pathlib import Path

import image_archive
import registry
import registry_credentials
from image_reference import BadReference, Reference

EXPECTED = (BadReference, image_archive.BadArchive, registry.PushFailed, registry_credentials.NoCredentials)


def push(name, archive):
    reference = Reference.parse(name)
    if reference.digest:
        raise BadReference(f"{name} names a digest; push to a tag, the digest is what comes out")
    if not archive.exists():
        raise image_archive.BadArchive(f"{archive} is not there; pack it with: make docker-build IMG={name}")
    image = image_archive.load(archive)
    if image.name != str(reference):
        print(f"The archive was packed as {image.name}; it is pushed as {reference}.")
    target = registry.Registry(reference.domain, reference.path, registry_credentials.find(reference.domain))
    digest = target.push(image, reference.tag)
    print(f"pushed {reference}@{digest}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="where to, as IMG")
    parser.add_argument("archive", type=Path)
    arguments = parser.parse_args()
    try:
        push(arguments.name, arguments.archive)
    except EXPECTED as error:
        sys.exit(f"push_image: {error}")


if __name__ == "__main__":
    main()
