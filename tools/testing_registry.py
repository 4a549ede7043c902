"""A registry in this process, small but strict: it checks digests, order and login as a real one does."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "a-token"


class Registry(ThreadingHTTPServer):
    """`login`: None lets anyone in; "basic" and "bearer" want the user `robot` with the password `secret`."""

    def __init__(self, login=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.login = login
        self.blobs, self.manifests, self.calls = {}, {}, []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def domain(self):
        return f"127.0.0.1:{self.server_port}"

    def stop(self):
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_any(self):
        registry = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        registry.calls.append(f"{self.command} {url.path}")
        if url.path == "/token":
            return self.token(parse_qs(url.query))
        if not self.allowed():
            return self.challenge()
        *_, kind, name = url.path.split("/")
        if kind == "blobs" and self.command == "HEAD":
            return self.answer(200 if name in registry.blobs else 404)
        if self.command == "POST":
            return self.answer(202, Location="/v2/team/holdfast/blobs/uploads/1?state=x")
        if kind == "uploads":
            return self.take_blob(parse_qs(url.query)["digest"][0], body)
        if kind == "manifests":
            return self.take_manifest(name, body)
        return self.answer(405)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def take_blob(self, digest, body):
        if digest != "sha256:" + hashlib.sha256(body).hexdigest():
            return self.refuse(400, "DIGEST_INVALID")
        self.server.blobs[digest] = body
        return self.answer(201)

    def take_manifest(self, tag, body):
        manifest = json.loads(body)
        for part in [manifest["config"], *manifest["layers"]]:
            if part["digest"] not in self.server.blobs:
                return self.refuse(400, "MANIFEST_BLOB_UNKNOWN")
        if self.headers["Content-Type"] != manifest["mediaType"]:
            return self.refuse(400, "MANIFEST_INVALID")
        self.server.manifests[tag] = body
        return self.answer(201)

    def token(self, query):
        if not self.knows_us() or query["scope"] != ["repository:team/holdfast:pull,push"]:
            return self.refuse(401, "UNAUTHORIZED")
        return self.answer(200, json.dumps({"token": TOKEN}).encode())

    def knows_us(self):
        return self.headers.get("Authorization") == "Basic " + base64.b64encode(b"robot:secret").decode()

    def allowed(self):
        if self.server.login == "basic":
            return self.knows_us()
        return self.server.login is None or self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def challenge(self):
        if self.server.login == "basic":
            return self.refuse(401, "UNAUTHORIZED", **{"WWW-Authenticate": 'Basic realm="test"'})
        realm = f'Bearer realm="http://{self.server.domain}/token",service="test"'
        return self.refuse(401, "UNAUTHORIZED", **{"WWW-Authenticate": realm})

    def refuse(self, status, code, **headers):
        self.answer(status, json.dumps({"errors": [{"code": code, "message": "no"}]}).encode(), **headers)

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
