"""The bill of materials, SPDX 2.3: what the programs in the image were made from.

The crates are those that cargo resolves for the target without test dependencies, with the checksums of Cargo.lock;
beside them stand what else is in the image, the C library linked into the programs and the CA certificates.
"""

import hashlib
import json
import subprocess
import tomllib
from datetime import datetime, timezone

ROOT = "SPDXRef-DOCUMENT"


class NoMetadata(RuntimeError):
    """cargo did not say what the programs are made of."""


def cargo_metadata(checkout, target):
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform", target]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    if done.returncode != 0:
        raise NoMetadata(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def lock_checksums(checkout):
    """{(name, version): sha256} of the crates that came from a registry."""
    lock = tomllib.loads((checkout / "Cargo.lock").read_text())
    return {(each["name"], each["version"]): each["checksum"] for each in lock["package"] if "checksum" in each}


def debian_package(name):
    """Version of an installed Debian package, or None where it, or dpkg, is not there."""
    try:
        done = subprocess.run(["dpkg-query", "-W", "-f=${Version}", name], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else None


def edges(metadata):
    """(crate, dependency, is it of a build script) of all that is reached from ours without test dependencies."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting, seen, found = [metadata["resolve"]["root"]], set(), []
    while waiting:
        here = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        for dependency in nodes[here]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]} - {"dev"}
            if kinds:
                found.append((here, dependency["pkg"], kinds == {"build"}))
                waiting.append(dependency["pkg"])
    return sorted(set(found))


def reference(kind, name, version):
    safe = "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in f"{name}-{version}")
    return f"SPDXRef-{kind}-{safe}"


def package(kind, name, version, purl, **more):
    return {
        "SPDXID": reference(kind, name, version),
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "copyrightText": "NOASSERTION",
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
        **more,
    }


def crate_package(crate, checksums):
    name, version = crate["name"], crate["version"]
    more = {}
    if crate.get("license"):
        # Old crates write "MIT/Apache-2.0" for "or", which is no SPDX expression.
        more["licenseDeclared"] = " ".join(crate["license"].replace("/", " OR ").split())
    if (name, version) in checksums:
        more["checksums"] = [{"algorithm": "SHA256", "checksumValue": checksums[name, version]}]
    return package("Crate", name, version, f"pkg:cargo/{name}@{version}", **more)


def relation(subject, kind, other):
    return {"spdxElementId": subject, "relationshipType": kind, "relatedSpdxElement": other}


def document(metadata, checksums, programs, debian, created):
    """The document as a Python value. `programs`: {name: bytes}; `debian`: {package: version or None}."""
    crates = {crate["id"]: crate for crate in metadata["packages"]}
    root = metadata["resolve"]["root"]
    found = edges(metadata)
    used = sorted({root, *(each[1] for each in found)})
    ours = crate_package(crates[root], checksums)
    ids = {each: reference("Crate", crates[each]["name"], crates[each]["version"]) for each in used}
    packages = [crate_package(crates[each], checksums) for each in used]
    relations = [relation(ROOT, "DESCRIBES", ours["SPDXID"])]
    for crate, dependency, is_build in found:
        if is_build:
            relations.append(relation(ids[dependency], "BUILD_DEPENDENCY_OF", ids[crate]))
        else:
            relations.append(relation(ids[crate], "DEPENDS_ON", ids[dependency]))
    for name, version in sorted(debian.items()):
        if version:
            packages.append(package("Debian", name, version, f"pkg:deb/debian/{name}@{version}"))
            relations.append(relation(ours["SPDXID"], "CONTAINS", reference("Debian", name, version)))
    files = [program_file(name, data) for name, data in sorted(programs.items())]
    relations += [relation(each["SPDXID"], "GENERATED_FROM", ours["SPDXID"]) for each in files]
    body = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": ROOT,
        "name": f"{ours['name']}-{ours['versionInfo']}",
        "creationInfo": {"created": created, "creators": ["Tool: holdfast-tools-sbom"]},
        "packages": packages,
        "files": files,
        "relationships": relations,
    }
    # The namespace has to be another one for every other content, and the same for the same.
    content = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    body["documentNamespace"] = f"https://holdfast.dev/spdx/{body['name']}-{content[:32]}"
    return body


def program_file(name, data):
    return {
        "SPDXID": f"SPDXRef-File-{name}",
        "fileName": f"./usr/local/bin/{name}",
        "fileTypes": ["BINARY"],
        "licenseConcluded": "NOASSERTION",
        "licenseInfoInFiles": ["NOASSERTION"],
        "copyrightText": "NOASSERTION",
        "checksums": [
            {"algorithm": "SHA1", "checksumValue": hashlib.sha1(data, usedforsecurity=False).hexdigest()},
            {"algorithm": "SHA256", "checksumValue": hashlib.sha256(data).hexdigest()},
        ],
    }


def timestamp(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
