"""User name and password for a registry, from where `docker login` leaves them."""

import base64
import json
import os
import subprocess
from pathlib import Path

# What `docker login` calls Docker Hub.
DOCKER_HUB_KEY = "https://index.docker.io/v1/"


class NoCredentials(RuntimeError):
    """They are said to be there, but cannot be read."""


def config_file():
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker", "config.json")


def find(domain):
    """(user, password) for a registry, or None: many let anyone in."""
    path = config_file()
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise NoCredentials(f"{path} is no JSON ({error}); run docker login again, or correct it") from error
    keys = [domain, f"https://{domain}", f"https://{domain}/v2/", f"https://{domain}/v1/"]
    if domain == "docker.io":
        keys.insert(0, DOCKER_HUB_KEY)
    helper = config.get("credHelpers", {}).get(domain) or config.get("credsStore")
    for key in keys:
        entry = config.get("auths", {}).get(key)
        if entry and entry.get("auth"):
            return decoded(entry["auth"], path, key)
    return from_helper(helper, keys[0]) if helper else None


def decoded(auth, path, key):
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except ValueError:
        colon = ""
    if not colon:
        raise NoCredentials(f"the entry for {key} in {path} is damaged; run docker login {key} again")
    return user, password.rstrip("\0")


def from_helper(helper, key):
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, "get"], input=key, capture_output=True, text=True, timeout=60)
    except FileNotFoundError as error:
        raise NoCredentials(f"{config_file()} names the helper {program}, which is not on the PATH") from error
    except subprocess.TimeoutExpired as error:
        raise NoCredentials(f"{program} did not answer within a minute") from error
    if done.returncode != 0:
        # How helpers say "I have none for this one".
        if "not found" in done.stdout:
            return None
        raise NoCredentials(f"{program} failed: {(done.stdout + done.stderr).strip()}")
    try:
        answer = json.loads(done.stdout)
        return answer["Username"], answer["Secret"]
    except (ValueError, KeyError) as error:
        raise NoCredentials(f"{program} gave no user and password that can be read: {error!r}") from error
