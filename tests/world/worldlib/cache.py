"""Where built things live: ${XDG_CACHE_HOME:-~/.cache}/holdfast/<thing>-<key>/.

The key is made of everything that decides what is built, so a thing from another pin is never found. A build writes into a
hidden directory and renames it when it is whole; a lock per thing keeps two builders apart. What a killed builder left
behind is removed by the next one.
"""

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from .refusal import ProbeFailed
from .report import say


def root():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "holdfast"
    if any(c in str(path) for c in ":,\\ \t\n"):
        raise ProbeFailed(f"The cache's path {path} has a character that overlay mounts cannot take: set XDG_CACHE_HOME to one without colon, comma, backslash or blank.")
    return path


def key(files, facts):
    """Twelve hex digits over the files' names and contents and over the facts (strings), in order."""
    digest = hashlib.sha256()
    for file in files:
        content = Path(file).read_bytes()
        digest.update(f"{Path(file).name}\0{len(content)}\0".encode() + content)
    for fact in facts:
        digest.update(f"{len(str(fact))}\0{fact}".encode())
    return digest.hexdigest()[:12]


def place(thing, its_key):
    return root() / f"{thing}-{its_key}"


@contextmanager
def locked(path):
    """Holds an exclusive lock on a file for as long as the block runs; says so when it has to wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another command that holds {path}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def obtain(thing, its_key, build):
    """The directory of a thing, built by `build(directory)` if it is not there yet."""
    final = place(thing, its_key)
    if final.is_dir():
        return final
    with locked(root() / "locks" / thing):
        if final.is_dir():
            return final
        unfinished = root() / f".building-{thing}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        unfinished.chmod(0o755)
        try:
            build(unfinished)
            unfinished.rename(final)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return final
