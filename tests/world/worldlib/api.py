"""A small client of the Kubernetes API, for what the world itself has to say and to ask."""

import json
import ssl
from http.client import HTTPSConnection

from .addresses import API_PORT
from .certificates import Keys
from .processes import wait_until
from .refusal import Refusal


class NotFound(Refusal):
    pass


class Conflict(Refusal):
    pass


class Api:
    """Speaks as the world's admin, over one connection."""

    def __init__(self, host, keys, timeout_s=10):
        context = ssl.create_default_context(cafile=str(keys.certificate("ca")))
        context.load_cert_chain(keys.certificate("admin"), keys.key("admin"))
        self._connection = HTTPSConnection(host, API_PORT, context=context, timeout=timeout_s)

    def call(self, verb, path, body=None):
        try:
            self._connection.request(verb, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json", "Accept": "application/json"})
            answer = self._connection.getresponse()
            text = answer.read().decode()
        except Exception:
            self._connection.close()
            raise
        if answer.status >= 300:
            error = {404: NotFound, 409: Conflict}.get(answer.status, Refusal)
            raise error(f"the API server answered {verb} {path} with {answer.status}: {text[:300]}")
        return json.loads(text) if text[:1] in "{[" else text

    def get(self, path):
        return self.call("GET", path)

    def is_ready(self):
        try:
            return self.get("/readyz") == "ok"
        except (OSError, Refusal, ValueError):
            return False

    def ensure(self, collection, item):
        """Creates an object unless one of its name is there."""
        try:
            return self.call("POST", collection, item)
        except Conflict:
            return None

    def nodes(self):
        """{name: node}; empty while the API server does not answer."""
        try:
            return {node["metadata"]["name"]: node for node in self.get("/api/v1/nodes")["items"]}
        except (OSError, Refusal, ValueError):
            return {}


def api_of(world):
    return Api(world.at.control, Keys(world.dir / "pki"))


def is_ready_node(node):
    conditions = (node or {}).get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def boot_id(node):
    return (node or {}).get("status", {}).get("nodeInfo", {}).get("bootID", "")


def wait_ready(api, boots, deadline_s):
    """Waits until each of {name: boot id} is Ready in that boot; an empty id takes any boot. What is missing, as a sentence."""
    def missing():
        nodes = api.nodes()
        return [n for n, boot in boots.items() if not is_ready_node(nodes.get(n)) or boot not in ("", boot_id(nodes[n]))]

    if wait_until(lambda: not missing(), deadline_s, 0.1):
        return None
    return f"{', '.join(missing())} did not become Ready within {deadline_s} s"
