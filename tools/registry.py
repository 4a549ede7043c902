"""Push an image to a registry, by the HTTP API that all of them share (OCI distribution specification 1.1)."""

import base64
import http.client
import json
import re
import ssl
import urllib.parse

# Docker Hub's API is not where its name says.
API_HOSTS = {"docker.io": "registry-1.docker.io"}
LOCAL = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?")
TIME_LIMIT = 120


class PushFailed(RuntimeError):
    """The registry refused or cannot be reached; the message says what to do where that is known."""


class Registry:
    """One registry, one repository in it."""

    def __init__(self, domain, path, credentials=None):
        self.domain = domain
        self.path = path
        self.credentials = credentials
        self.authorization = None
        scheme = "http" if LOCAL.fullmatch(domain) else "https"
        self.base = f"{scheme}://{API_HOSTS.get(domain, domain)}"

    def push(self, image, tag, say=print):
        """Send what the registry lacks, then the manifest. Answers the digest."""
        for digest, data in image.blobs.items():
            size = f"{len(data) / 1e6:.1f} MB"
            if self.has_blob(digest):
                say(f"{digest[:19]}  {size}  already there")
            else:
                self.send_blob(digest, data)
                say(f"{digest[:19]}  {size}  pushed")
        kind = json.loads(image.manifest)["mediaType"]
        status, _, body = self.call("PUT", self.at(f"manifests/{tag}"), image.manifest, {"Content-Type": kind})
        self.expect(status, {201}, body, f"the manifest of {self.domain}/{self.path}:{tag}")
        return image.digest

    def has_blob(self, digest):
        status, _, body = self.call("HEAD", self.at(f"blobs/{digest}"))
        # A redirect leads to where the blob is stored: it exists.
        self.expect(status, {200, 302, 307, 404}, body, f"a look for {digest[:19]}")
        return status != 404

    def send_blob(self, digest, data):
        status, headers, body = self.call("POST", self.at("blobs/uploads/"), b"")
        self.expect(status, {202}, body, "the start of an upload")
        place = urllib.parse.urljoin(self.base, headers.get("Location", ""))
        place += ("&" if "?" in place else "?") + urllib.parse.urlencode({"digest": digest})
        status, _, body = self.call("PUT", place, data, {"Content-Type": "application/octet-stream"})
        self.expect(status, {201}, body, f"the upload of {digest[:19]}")

    def at(self, what):
        return f"{self.base}/v2/{self.path}/{what}"

    def call(self, method, url, body=None, headers=None):
        """(status, headers, body). Proves who we are once the registry asks for it."""
        answer = self.send(method, url, body, headers)
        if answer[0] == 401:
            self.authorization = self.prove(answer[1].get("WWW-Authenticate", ""))
            answer = self.send(method, url, body, headers)
        return answer

    def send(self, method, url, body, headers):
        headers = dict(headers or {})
        # Uploads may lead to another host, a bucket for example: what proves us is not for it.
        if self.authorization and urllib.parse.urlsplit(url).netloc == urllib.parse.urlsplit(self.base).netloc:
            headers["Authorization"] = self.authorization
        return request(method, url, body, headers)

    def prove(self, challenge):
        scheme, _, rest = challenge.partition(" ")
        said = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        basic = None
        if self.credentials:
            basic = "Basic " + base64.b64encode(":".join(self.credentials).encode()).decode()
        if scheme.lower() == "basic":
            if not basic:
                raise PushFailed(f"{self.domain} wants a user and password; run: docker login {self.domain}")
            return basic
        if scheme.lower() == "bearer" and "realm" in said:
            return "Bearer " + self.token(said, basic)
        raise PushFailed(f"{self.domain} answers 401 and asks for {challenge or 'nothing'!r}, which is unknown here")

    def token(self, said, basic):
        query = {"scope": f"repository:{self.path}:pull,push"}
        if "service" in said:
            query["service"] = said["service"]
        headers = {"Authorization": basic} if basic else {}
        status, _, body = request("GET", f"{said['realm']}?{urllib.parse.urlencode(query)}", None, headers)
        self.expect(status, {200}, body, "the request for a token")
        try:
            answer = json.loads(body)
            return answer.get("token") or answer["access_token"]
        except (ValueError, KeyError, AttributeError) as error:
            raise PushFailed(f"{said['realm']} sent no token that can be read: {error!r}") from error

    def expect(self, status, wanted, body, what):
        if status in wanted:
            return
        if status in (401, 403):
            who = f"as {self.credentials[0]}" if self.credentials else "without a login"
            raise PushFailed(f"{self.domain} refuses {what} {who} ({status}{said_by(body)}); "
                             f"check the name {self.path}, your rights there, and: docker login {self.domain}")
        raise PushFailed(f"{self.domain} answers {status} to {what}{said_by(body)}")


def said_by(body):
    """The registry's own words, where it has any."""
    try:
        errors = json.loads(body)["errors"]
        return ": " + "; ".join(f"{each.get('code')} {each.get('message', '')}".strip() for each in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def request(method, url, body, headers):
    """One HTTP call; follows no redirect."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, timeout=TIME_LIMIT)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIME_LIMIT)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body, {"User-Agent": "holdfast-tools", **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    except ssl.SSLError as error:
        raise PushFailed(f"no TLS with {parts.netloc} ({error.reason or error}); plain HTTP is for localhost only") from error
    except (OSError, http.client.HTTPException) as error:
        raise PushFailed(f"{parts.netloc} cannot be reached: {error}") from error
    finally:
        connection.close()
