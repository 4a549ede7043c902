"""Make what the image brings to nodes that lack it: a static runc, CRIU with its libraries and loader, and all licences.

    python3 tools/node_parts.py build      makes it, if it is not in the cache, and prints the directory
    python3 tools/node_parts.py find       prints the directory if it is there, and nothing if it is not

The versions are those of the test world's pins (tests/world/pins/runc, tests/world/debian.lock), so that what is tested is what
is shipped. `manifest.json` names each file with its digest; `holdfast host install` checks them before it writes one.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import elf

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT / "tests/world"))

from worldlib import cache, debian, packagelock, parts, programs  # noqa: E402
from worldlib.refusal import Refusal  # noqa: E402

THING, RECIPE = "node-parts", "1"
RUNC = programs.PROGRAMS["runc"]
# Of this machine, linked into runc.
LINKED = ("libseccomp-dev", "libc6-dev", "golang-go")
LICENCE = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|PATENTS)", re.IGNORECASE)


def key():
    lock = packagelock.read()
    pinned = packagelock.as_text({section: lock.get(section, {}) for section in ("node", "criu")})
    return cache.key([__file__, *RUNC.sources()], [RECIPE, pinned, programs.go_version(), os.uname().machine])


def place():
    return cache.place(THING, key())


def build(into):
    runc = static_runc(into)
    trees = [parts.criu_layer(), parts.node_tree()]
    criu = criu_with_libraries(trees, into)
    manifest = {
        "runc": {"version": RUNC.version.lstrip("v"), "files": listed(into, runc)},
        "criu": {"version": criu["version"], "loader": criu["loader"], "program": "criu/criu", "files": listed(into, criu["files"])},
        "packages": criu["packages"],
    }
    (into / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def listed(folder, paths):
    """Digest and mode of each file, by its path below the folder."""
    found = {}
    for path in sorted(paths):
        data = (folder / path).read_bytes()
        found[path] = {"sha256": hashlib.sha256(data).hexdigest(), "mode": (folder / path).stat().st_mode & 0o777}
    return found


def put(into, path, data, mode=0o644):
    target = into / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(mode)
    return path


# --- runc


def static_runc(into):
    """runc without any library of its own, from the world's pins; the paths of its program and licences."""
    source = into / "source"
    source.mkdir()
    for file in RUNC.sources():
        shutil.copy(file, source)
    flags = " ".join(["-s", "-w", "-extldflags=-static", *(f"-X {name}={RUNC.version[1:]}" for name in RUNC.version_at)])
    program = into / "bin/runc"
    go(source, "build", "-trimpath", "-tags", "seccomp netgo osusergo", "-ldflags", flags, "-o", str(program), *RUNC.packages)
    elf.architecture(program)
    program.chmod(0o755)
    files = ["bin/runc", *runc_licences(source, into)]
    shutil.rmtree(source)
    return files


def go(source, *words):
    env = {**os.environ, "GOFLAGS": "-mod=readonly", "GOWORK": "off", "CGO_ENABLED": "1"}
    done = subprocess.run(["go", *words], cwd=source, env=env, capture_output=True, text=True)
    if done.returncode:
        raise Refusal(f"`go {words[0]}` of runc failed: {' / '.join(done.stderr.strip().splitlines()[-4:])}")
    return done.stdout


def runc_licences(source, into):
    """Those of all modules that are in the program, of Go itself and of the C libraries."""
    modules = go(source, "list", "-deps", "-tags", "seccomp netgo osusergo", "-f", "{{with .Module}}{{.Path}} {{.Version}} {{.Dir}}{{end}}", *RUNC.packages)
    found = {}
    for line in sorted(set(modules.split("\n")) - {""}):
        path, version, folder = line.split(" ", 2)
        found.update({f"{path}@{version}-{file.name}": file for file in Path(folder).iterdir() if file.is_file() and LICENCE.match(file.name)})
    root = Path(go(source, "env", "GOROOT").strip())
    found.update({f"go-{file.name}": file for file in root.glob("LICENSE*")})
    for name in LINKED:
        file = Path("/usr/share/doc", name, "copyright")
        found.update({f"{name}-copyright": file} if file.exists() else {})
    return [put(into, "licences/runc/" + name.replace("/", "_"), file.read_bytes()) for name, file in found.items()]


# --- CRIU


def criu_with_libraries(trees, into):
    """CRIU, each library that it needs, the loader, and the licences of all."""
    program = first(trees, "usr/sbin/criu")
    files, owners = [put(into, "criu/criu", program.read_bytes(), 0o755)], {"usr/sbin/criu"}
    waiting, seen, loader = [program], set(), None
    while waiting:
        for name in elf.needed(waiting.pop()):
            if name in seen:
                continue
            seen.add(name)
            library = find_library(trees, name)
            waiting.append(library)
            path = put(into, f"criu/lib/{name}", library.read_bytes(), 0o755 if name.startswith("ld-linux") else 0o644)
            files.append(path)
            loader = path if name.startswith("ld-linux") else loader
            owners.add(str(library.resolve().relative_to(next(t for t in trees if t.resolve() in library.resolve().parents).resolve())))
    if not loader:
        name = elf.interpreter(program).rsplit("/", 1)[-1]
        loader = put(into, f"criu/lib/{name}", find_library(trees, name).read_bytes(), 0o755)
        files.append(loader)
    packages = {package: version for tree in trees for package, version in owned(tree, owners).items()}
    files += [put(into, f"licences/criu/{package}-copyright", copyright_of(trees, package)) for package in sorted(packages)]
    sources = "These Debian packages are shipped as they are; snapshot.debian.org keeps their sources under these versions:\n"
    sources += "".join(f"{package} {version}\n" for package, version in sorted(packages.items()))
    files.append(put(into, "licences/criu/SOURCES", sources.encode()))
    version = packages["criu"].split("-")[0]
    return {"files": files, "loader": loader, "version": version, "packages": packages}


def first(trees, path):
    for tree in trees:
        if (tree / path).exists():
            return tree / path
    raise Refusal(f"{path} is in none of the trees that it should be in: build them again with tests/world/world build criu")


def find_library(trees, name):
    for tree in trees:
        for folder in ("usr/lib", "usr/lib64", "lib64"):
            for path in (tree / folder / name, *sorted((tree / folder).glob(f"*-linux-gnu/{name}"))):
                # A link may be in one tree and what it names in another, by a path of the node.
                target = path.parent / os.readlink(path) if path.is_symlink() else path
                if target.is_file() and not target.is_symlink():
                    return target
    raise Refusal(f"CRIU needs {name}, which is in none of its trees: build them again with tests/world/world build criu")


def owned(tree, paths):
    """{package: version} of what owns these files in a tree."""
    versions = dict(debian.Tree(tree).installed())
    found = {}
    for record in (tree / "var/lib/dpkg/info").glob("*.list"):
        files = {re.sub(r"^/(lib|sbin|bin|lib64)/", r"/usr/\1/", line)[1:] for line in record.read_text().split("\n")}
        if files & paths:
            package = record.stem.split(":")[0]
            found[package] = versions[package]
    return found


def copyright_of(trees, package):
    path = first(trees, f"usr/share/doc/{package}/copyright")
    return path.read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("build", "find"))
    arguments = parser.parse_args()
    try:
        if arguments.verb == "build":
            print(cache.obtain(THING, key(), build))
        elif place().is_dir():
            print(place())
    except (Refusal, elf.NotPackable, OSError) as error:
        sys.exit(f"node_parts: {error}")


if __name__ == "__main__":
    main()
