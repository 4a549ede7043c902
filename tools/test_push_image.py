import base64
import contextlib
import io
import json
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import image_archive
import push_image
import registry
import registry_credentials
from image_reference import BadReference
from testing_image import image
from testing_registry import Registry


class PushImage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.archive = self.folder / "image.tar"
        image_archive.save(image(), self.archive)
        patch = mock.patch.dict(os.environ, {"DOCKER_CONFIG": folder.name})
        patch.start()
        self.addCleanup(patch.stop)

    def registry(self, login=None):
        server = Registry(login)
        self.addCleanup(server.stop)
        return server

    def logged_in(self, server, password="secret"):
        auth = base64.b64encode(f"robot:{password}".encode()).decode()
        (self.folder / "config.json").write_text(json.dumps({"auths": {server.domain: {"auth": auth}}}))

    def push(self, server, tag="v1"):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            push_image.push(f"{server.domain}/team/holdfast:{tag}", self.archive)
        return said.getvalue()

    def test_the_registry_has_the_image_afterwards(self):
        server = self.registry()
        said = self.push(server)
        self.assertEqual(server.manifests["v1"], image().manifest)
        self.assertEqual(server.blobs, image().blobs)
        self.assertIn(f"{server.domain}/team/holdfast:v1@{image().digest}", said)

    def test_what_the_registry_has_is_not_sent_again(self):
        server = self.registry()
        self.push(server)
        server.calls.clear()
        said = self.push(server, "v2")
        self.assertEqual([call for call in server.calls if "uploads" in call], [])
        self.assertEqual(said.count("already there"), 3)
        self.assertIn("v2", server.manifests)

    def test_logs_in_by_password(self):
        server = self.registry("basic")
        self.logged_in(server)
        self.push(server)
        self.assertIn("v1", server.manifests)

    def test_logs_in_by_token_and_asks_for_it_once(self):
        server = self.registry("bearer")
        self.logged_in(server)
        self.push(server)
        self.assertIn("v1", server.manifests)
        self.assertEqual(server.calls.count("GET /token"), 1)

    def test_without_a_login_it_says_how_to_get_one(self):
        for login in ("basic", "bearer"):
            server = self.registry(login)
            with self.subTest(login), self.assertRaisesRegex(registry.PushFailed, f"docker login {server.domain}"):
                self.push(server)
            self.assertEqual(server.manifests, {})

    def test_with_a_wrong_password_it_says_who_was_refused(self):
        server = self.registry("bearer")
        self.logged_in(server, password="old")
        with self.assertRaisesRegex(registry.PushFailed, "as robot"):
            self.push(server)

    def test_the_registrys_own_words_are_passed_on(self):
        server = self.registry()
        with mock.patch.object(registry.Registry, "has_blob", return_value=True):
            with self.assertRaisesRegex(registry.PushFailed, "answers 400 .*MANIFEST_BLOB_UNKNOWN"):
                self.push(server)

    def test_a_registry_that_is_not_there_is_named(self):
        server = Registry()
        server.stop()
        with self.assertRaisesRegex(registry.PushFailed, f"{server.domain} cannot be reached"):
            self.push(server)

    def test_a_missing_archive_is_named_with_its_cure(self):
        self.archive.unlink()
        with self.assertRaisesRegex(image_archive.BadArchive, "make docker-build IMG="):
            push_image.push("localhost/holdfast:v1", self.archive)

    def test_a_digest_cannot_be_pushed_to(self):
        with self.assertRaises(BadReference):
            push_image.push("localhost/holdfast@" + image().digest, self.archive)

    def test_what_proves_us_stays_with_the_registry(self):
        with mock.patch.object(registry, "request", return_value=(201, {}, b"")) as sent:
            target = registry.Registry("registry.example.com", "team/holdfast")
            target.authorization = "Bearer a-token"
            target.send("PUT", "https://bucket.example.net/upload", b"", {})
            target.send("PUT", "https://registry.example.com/upload", b"", {})
        elsewhere, at_home = (call.args[3] for call in sent.call_args_list)
        self.assertEqual(elsewhere, {})
        self.assertEqual(at_home, {"Authorization": "Bearer a-token"})

    def test_plain_http_is_for_this_machine_only(self):
        for domain, scheme in {"localhost": "http", "localhost:5000": "http", "127.0.0.1:5000": "http",
                               "registry.example.com": "https", "localhost.example.com": "https"}.items():
            self.assertEqual(registry.Registry(domain, "a").base, f"{scheme}://{domain}")


class Credentials(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        patch = mock.patch.dict(os.environ, {
            "DOCKER_CONFIG": folder.name, "PATH": f"{folder.name}:{os.environ['PATH']}"})
        patch.start()
        self.addCleanup(patch.stop)

    def config(self, value):
        (self.folder / "config.json").write_text(value if isinstance(value, str) else json.dumps(value))

    def helper(self, script):
        path = self.folder / "docker-credential-test"
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)

    def test_without_a_file_there_are_none(self):
        self.assertIsNone(registry_credentials.find("registry.example.com"))

    def test_docker_hub_is_known_by_its_old_name(self):
        auth = base64.b64encode(b"robot:se:cret").decode()
        self.config({"auths": {"https://index.docker.io/v1/": {"auth": auth}}})
        self.assertEqual(registry_credentials.find("docker.io"), ("robot", "se:cret"))
        self.assertIsNone(registry_credentials.find("registry.example.com"))

    def test_a_helper_is_asked(self):
        self.config({"credsStore": "test"})
        self.helper("""test "$(cat)" = registry.example.com && echo '{"Username":"robot","Secret":"s"}'\n""")
        self.assertEqual(registry_credentials.find("registry.example.com"), ("robot", "s"))

    def test_a_helper_that_has_none_is_no_error(self):
        self.config({"credHelpers": {"registry.example.com": "test"}})
        self.helper("echo credentials not found in native keychain; exit 1\n")
        self.assertIsNone(registry_credentials.find("registry.example.com"))

    def test_a_helper_that_is_missing_or_fails_is_named(self):
        self.config({"credHelpers": {"registry.example.com": "test"}})
        with self.assertRaisesRegex(registry_credentials.NoCredentials, "docker-credential-test, which is not on the PATH"):
            registry_credentials.find("registry.example.com")
        self.helper("echo locked >&2; exit 1\n")
        with self.assertRaisesRegex(registry_credentials.NoCredentials, "locked"):
            registry_credentials.find("registry.example.com")

    def test_a_damaged_file_is_named(self):
        for damaged in ["{", {"auths": {"registry.example.com": {"auth": "???"}}}]:
            self.config(damaged)
            with self.assertRaisesRegex(registry_credentials.NoCredentials, "docker login"):
                registry_credentials.find("registry.example.com")


if __name__ == "__main__":
    unittest.main()
