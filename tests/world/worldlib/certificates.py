"""The world's authorities and certificates, as kubeadm would make them: one identity per component, none shared with admin."""

import base64
import json
import subprocess
from dataclasses import dataclass

from .refusal import ProbeFailed, Refusal

VALID_DAYS = "3650"


@dataclass(frozen=True)
class Identity:
    """Whom a certificate names: for servers the addresses and names they answer to, for clients user and groups."""

    user: str
    groups: tuple = ()
    answers_to: tuple = ()
    is_client: bool = True

    @property
    def subject(self):
        return "".join(f"/O={g}" for g in self.groups) + f"/CN={self.user}"

    def extensions(self):
        usage = [*(["clientAuth"] if self.is_client else []), *(["serverAuth"] if self.answers_to else [])]
        yield f"extendedKeyUsage={','.join(usage)}"
        yield "keyUsage=critical,digitalSignature,keyEncipherment"
        if self.answers_to:
            yield "subjectAltName=" + ",".join(f"{'IP' if a[0].isdigit() else 'DNS'}:{a}" for a in self.answers_to)


class Keys:
    """A directory of keys and certificates; what is there already is kept."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def certificate(self, name):
        return self.directory / f"{name}.crt"

    def key(self, name):
        return self.directory / f"{name}.key"

    def authority(self, name):
        extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
        self._request(name, f"/CN={name}", extensions)

    def issue(self, name, authority, identity):
        signer = ["-CA", self.certificate(authority), "-CAkey", self.key(authority)]
        self._request(name, identity.subject, ["basicConstraints=critical,CA:FALSE", *identity.extensions()], signer)

    def signing_key(self, name):
        """An RSA key without certificate, for service account tokens."""
        if not self.key(name).exists():
            _openssl("genrsa", "-out", self.key(name), "2048")

    def _request(self, name, subject, extensions, signer=()):
        if self.certificate(name).exists():
            return
        unfinished = self.directory / f"{name}.unfinished"
        added = [word for e in extensions for word in ("-addext", e)]
        _openssl("req", "-x509", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha256", "-days", VALID_DAYS,
                 "-subj", subject, "-config", self._empty_config(), *added, *signer, "-keyout", self.key(name), "-out", unfinished)
        unfinished.rename(self.certificate(name))

    def _empty_config(self):
        config = self.directory / "openssl.cnf"
        if not config.exists():
            config.write_text("[req]\ndistinguished_name = name\n[name]\n")
        return config


def _openssl(*words):
    try:
        done = subprocess.run(["openssl", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        raise ProbeFailed("openssl is not installed: run tests/setup, which installs what the world needs.") from None
    if done.returncode:
        raise Refusal(f"openssl could not make a certificate: {done.stderr.strip().splitlines()[-1]}")


def kubeconfig(server, keys, authority, name, world):
    """A kubeconfig with everything in it (JSON, which is YAML too)."""
    def inline(path):
        return base64.b64encode(path.read_bytes()).decode()

    user = {"client-certificate-data": inline(keys.certificate(name)), "client-key-data": inline(keys.key(name))}
    cluster = {"server": server, "certificate-authority-data": inline(keys.certificate(authority))}
    context = f"holdfast-{world}"
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": context,
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": name}}],
    }, indent=2) + "\n"
