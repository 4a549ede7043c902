"""Write and read an image as a tar archive in OCI layout, the same bytes from the same input.

containerd, skopeo and podman read `index.json`; `docker load` of any age reads `manifest.json`, which names the same
blobs.
"""

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class BadArchive(ValueError):
    """Not an image archive as this module writes it, or a damaged one."""


@dataclass(frozen=True)
class Entry:
    """A file or directory of a layer."""

    path: str
    mode: int
    content: bytes | None

    @classmethod
    def file(cls, path, content, mode=0o644):
        return cls(path, mode, content)

    @classmethod
    def directory(cls, path, mode=0o755):
        return cls(path, mode, None)


@dataclass
class Image:
    """Manifest and blobs. `name` is the full reference that the archive is imported under."""

    name: str
    manifest: bytes
    blobs: dict = field(default_factory=dict)  # digest → bytes; the manifest is not among them

    @property
    def digest(self):
        return digest_of(self.manifest)

    def config(self):
        return json.loads(self.blobs[json.loads(self.manifest)["config"]["digest"]])


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(entries):
    """Owner root, time 0, in order of names: a layer with the same files has the same digest in every release."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for entry in sorted(entries, key=lambda each: each.path):
            info = tarfile.TarInfo(entry.path)
            info.mode = entry.mode
            if entry.content is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(entry.content)
                tar.addfile(info, io.BytesIO(entry.content))
    return buffer.getvalue()


def compressed(data):
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as stream:
        stream.write(data)
    return buffer.getvalue()


def descriptor(kind, data, **more):
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data), **more}


def as_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def build(name, layers, config, annotations):
    """An Image from lists of entries, one list for each layer, and the runtime part of its configuration."""
    blobs = {}
    diff_ids, layer_descriptors = [], []
    for entries in layers:
        plain = tar_of(entries)
        packed = compressed(plain)
        diff_ids.append(digest_of(plain))
        layer_descriptors.append(descriptor(LAYER, packed))
        blobs[digest_of(packed)] = packed
    whole = as_json({**config, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    blobs[digest_of(whole)] = whole
    manifest = as_json({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, whole),
        "layers": layer_descriptors,
        "annotations": annotations,
    })
    return Image(name, manifest, blobs)


def save(image, path):
    manifest = json.loads(image.manifest)
    config = image.config()
    named = {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": image.name}
    platform = {"architecture": config["architecture"], "os": config["os"]}
    files = {
        "oci-layout": as_json({"imageLayoutVersion": "1.0.0"}),
        "index.json": as_json({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [descriptor(MANIFEST, image.manifest, annotations=named, platform=platform)],
        }),
        "manifest.json": as_json([{
            "Config": blob_path(manifest["config"]["digest"]),
            "RepoTags": [image.name],
            "Layers": [blob_path(each["digest"]) for each in manifest["layers"]],
        }]),
        blob_path(image.digest): image.manifest,
    }
    files.update({blob_path(digest): data for digest, data in image.blobs.items()})
    entries = [Entry.directory("blobs"), Entry.directory("blobs/sha256")]
    entries += [Entry.file(name, data) for name, data in files.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    aside.write_bytes(tar_of(entries))
    aside.replace(path)


def blob_path(digest):
    return "blobs/" + digest.replace(":", "/")


def load(path):
    """The Image in an archive, every digest checked."""
    try:
        with tarfile.open(path) as tar:
            files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
        entry, = json.loads(files["index.json"])["manifests"]
        manifest = verified(files, entry["digest"])
        parts = json.loads(manifest)
        digests = [parts["config"]["digest"], *(layer["digest"] for layer in parts["layers"])]
        blobs = {digest: verified(files, digest) for digest in digests}
        return Image(entry["annotations"]["io.containerd.image.name"], manifest, blobs)
    except (tarfile.TarError, KeyError, ValueError, EOFError) as error:
        if isinstance(error, BadArchive):
            raise
        raise BadArchive(f"{path} is no image archive of `make image`: {error}") from error


def verified(files, digest):
    data = files.get(blob_path(digest))
    if data is None:
        raise BadArchive(f"the archive lacks {digest}; pack it again with: make image")
    if digest_of(data) != digest:
        raise BadArchive(f"{digest} in the archive is damaged; pack it again with: make image")
    return data
