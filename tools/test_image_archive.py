import gzip
import hashlib
import io
import json
import tarfile
import tempfile
import unittest
from pathlib import Path

import image_archive
from image_archive import Entry
from testing_image import image


class ImageArchive(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "image.tar")

    def saved(self, value):
        image_archive.save(value, self.path)
        with tarfile.open(self.path) as tar:
            return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}

    def test_every_blob_is_named_by_its_digest_and_every_descriptor_tells_its_size(self):
        files = self.saved(image())
        for name, data in files.items():
            if name.startswith("blobs/"):
                self.assertEqual(name, f"blobs/sha256/{hashlib.sha256(data).hexdigest()}")
        index = json.loads(files["index.json"])
        manifest = json.loads(files[image_archive.blob_path(index["manifests"][0]["digest"])])
        for each in [*index["manifests"], manifest["config"], *manifest["layers"]]:
            self.assertEqual(len(files[image_archive.blob_path(each["digest"])]), each["size"])
        self.assertEqual(json.loads(files["oci-layout"]), {"imageLayoutVersion": "1.0.0"})

    def test_diff_ids_are_those_of_the_layers_unpacked(self):
        value = image()
        layers = json.loads(value.manifest)["layers"]
        unpacked = [image_archive.digest_of(gzip.decompress(value.blobs[each["digest"]])) for each in layers]
        self.assertEqual(value.config()["rootfs"]["diff_ids"], unpacked)

    def test_the_archive_is_imported_under_the_name_it_was_given(self):
        files = self.saved(image("localhost:5000/team/holdfast:v1"))
        entry, = json.loads(files["index.json"])["manifests"]
        self.assertEqual(entry["annotations"]["io.containerd.image.name"], "localhost:5000/team/holdfast:v1")
        self.assertEqual(entry["annotations"]["org.opencontainers.image.ref.name"], "localhost:5000/team/holdfast:v1")
        docker, = json.loads(files["manifest.json"])
        self.assertEqual(docker["RepoTags"], ["localhost:5000/team/holdfast:v1"])
        self.assertLessEqual({docker["Config"], *docker["Layers"]}, set(files))

    def test_same_input_same_bytes_whatever_the_order(self):
        self.saved(image())
        first = self.path.read_bytes()
        self.saved(image())
        self.assertEqual(first, self.path.read_bytes())
        entries = [Entry.file("b", b"2"), Entry.file("a", b"1")]
        self.assertEqual(image_archive.tar_of(entries), image_archive.tar_of(entries[::-1]))

    def test_a_layer_belongs_to_root_and_bears_no_time(self):
        with tarfile.open(fileobj=io.BytesIO(image_archive.tar_of([Entry.file("a", b"1", mode=0o755)]))) as tar:
            member, = tar.getmembers()
        self.assertEqual((member.uid, member.gid, member.mtime, member.mode), (0, 0, 0, 0o755))

    def test_what_was_saved_is_loaded(self):
        self.saved(image())
        loaded = image_archive.load(self.path)
        self.assertEqual((loaded.name, loaded.digest, loaded.blobs), (image().name, image().digest, image().blobs))

    def test_a_damaged_blob_is_found(self):
        value = image()
        digest = json.loads(value.manifest)["layers"][1]["digest"]
        value.blobs[digest] = value.blobs[digest][:-1] + b"?"
        image_archive.save(value, self.path)
        with self.assertRaisesRegex(image_archive.BadArchive, "damaged"):
            image_archive.load(self.path)

    def test_a_missing_blob_is_found(self):
        value = image()
        del value.blobs[json.loads(value.manifest)["layers"][0]["digest"]]
        image_archive.save(value, self.path)
        with self.assertRaisesRegex(image_archive.BadArchive, "lacks"):
            image_archive.load(self.path)

    def test_another_file_is_told_apart(self):
        self.path.write_bytes(b"not a tar")
        with self.assertRaisesRegex(image_archive.BadArchive, "no image archive"):
            image_archive.load(self.path)


if __name__ == "__main__":
    unittest.main()
