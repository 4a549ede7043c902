"""A client of the Kubernetes API that is quick at one thing: creating many objects."""

import base64
import json
import socket
import ssl
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection, RemoteDisconnected
from pathlib import Path
from urllib.parse import urlsplit

WORKERS = 8
TIMEOUT_S = 30


class Api:
    """Speaks as whoever a kubeconfig (JSON, with everything in it) names; one connection for each thread."""

    def __init__(self, kubeconfig):
        config = json.loads(Path(kubeconfig).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._host = urlsplit(cluster["server"]).netloc
        self._context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
            pair.flush()
            self._context.load_cert_chain(pair.name)
        self._local = threading.local()

    def text(self, verb, path, body=None):
        """The answer as it came; an answer that is no success is an error."""
        return self.answer(verb, path, body)[0]

    def answer(self, verb, path, body=None):
        """The same, and the warnings that came with it."""
        connection = getattr(self._local, "connection", None)
        try:
            return self._ask(connection, verb, path, body)
        except (RemoteDisconnected, ConnectionError):
            # A connection that nobody used for minutes is closed by the server, and one finds out by asking.
            if connection is None or verb != "GET":
                raise
        return self._ask(None, verb, path, body)

    def _ask(self, connection, verb, path, body):
        if connection is None:
            connection = self._local.connection = HTTPSConnection(self._host, context=self._context, timeout=TIMEOUT_S)
        try:
            connection.request(verb, path, body, {"Content-Type": "application/json", "Accept": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        except Exception:
            connection.close()
            self._local.connection = None
            raise
        if answer.status >= 300:
            raise Refused(answer.status, f"the API server answered {verb} {path} with {answer.status}: {text[:300]}")
        return text, answer.headers.get_all("Warning", [])

    def call(self, verb, path, body=None):
        return json.loads(self.text(verb, path, json.dumps(body) if body is not None else None))

    def get(self, path):
        return self.call("GET", path)

    def list(self, path):
        """All items of a collection, page by page."""
        items, more = [], ""
        while True:
            page = self.get(f"{path}{'&' if '?' in path else '?'}limit=500{more}")
            items += page["items"]
            if not page["metadata"].get("continue"):
                return items
            more = f"&continue={page['metadata']['continue']}"

    def create_all(self, objects):
        """Creates [(collection, object)] in parallel; what was made, in the same order."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(lambda item: self.call("POST", *item), objects))

    def watch(self, path, seen):
        """Calls `seen(type, object)` for each event from now on, in a thread of its own."""
        version = self.get(f"{path}{'&' if '?' in path else '?'}limit=1")["metadata"]["resourceVersion"]
        return Watch(self._host, self._context, path, version, seen)


class Watch:
    """Whoever reads too slowly is cut off by the API server: then it goes on where it was, and nothing is missed."""

    def __init__(self, host, context, path, version, seen):
        self._host, self._context, self._seen = host, context, seen
        self._path = f"{path}{'&' if '?' in path else '?'}watch=true"
        self._version, self._is_over, self.broken, self._socket = version, False, None, None
        opened = threading.Event()
        self._thread = threading.Thread(target=self._follow, args=(opened,), daemon=True)
        self._thread.start()
        if not opened.wait(TIMEOUT_S):
            raise SystemExit(f"bench: the watch on {path} did not begin: {self.broken}")

    def _follow(self, opened):
        try:
            while not self._is_over:
                self._read(opened)
        except Exception as error:  # noqa: BLE001 - whoever waits for the events tells it
            if not self._is_over:
                self.broken = repr(error)

    def _read(self, opened):
        connection = HTTPSConnection(self._host, context=self._context)
        connection.request("GET", f"{self._path}&resourceVersion={self._version}", headers={"Accept": "application/json"})
        # What is shut down by `end`; the answer keeps it open.
        self._socket = connection.sock
        with connection.getresponse() as answer:
            if answer.status != 200:
                raise Refused(answer.status, f"the watch was answered with {answer.status}: {answer.read(300)}")
            opened.set()
            while line := answer.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Refused(event["object"].get("code"), str(event["object"].get("message")))
                self._version = event["object"]["metadata"]["resourceVersion"]
                self._seen(event["type"], event["object"])

    def end(self):
        self._is_over = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it had ended by itself
        self._thread.join(10)


class Refused(Exception):
    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status = status
