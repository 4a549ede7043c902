# What a program does to files: in its container's own layer, in an emptyDir, in /dev/shm; and such as it has open.
import hashlib
import os
import shutil
import socket
import stat

# Not the container's: the pod's own, made by its node.
APART = ("/proc", "/sys", "/dev", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/secrets", "/var/run/secrets")
PLACES = ("/var/files", "/shared", "/dev/shm")


def changes_the_image():
    with open("/etc/debian_version", "a") as file:
        file.write("changed\n")
    os.chmod("/etc/shells", 0o600)
    os.chown("/etc/issue", 1000, 1001)
    os.remove("/etc/issue.net")
    shutil.rmtree("/usr/share/postgresql-common")
    # A folder of the image, made anew: what was in it is not to shine through.
    shutil.rmtree("/etc/terminfo", ignore_errors=True)
    os.makedirs("/etc/terminfo")
    with open("/etc/terminfo/new", "w") as file:
        file.write("new\n")
    os.remove("/etc/motd") if os.path.exists("/etc/motd") else None
    os.symlink("/etc/passwd", "/etc/motd")


def fill(place):
    os.makedirs(f"{place}/deep/er", exist_ok=True)
    with open(f"{place}/text", "w") as file:
        file.write(f"of {place}\n" * 1000)
    os.setxattr(f"{place}/text", "user.word", b"kept\0as it was") if place != "/dev/shm" else None
    os.utime(f"{place}/text", ns=(1_000_000_000_123_456_789, 1_100_000_000_987_654_321))
    os.link(f"{place}/text", f"{place}/deep/again")
    os.symlink("../text", f"{place}/deep/link")
    os.mkfifo(f"{place}/fifo", 0o640)
    with open(f"{place}/sparse", "wb") as file:
        file.truncate(50 << 20)
        file.seek(20 << 20)
        file.write(b"in the middle")
    with open(f"{place}/näme with\nodd letters", "w") as file:
        file.write("odd")
    with open(f"{place}/private", "w") as file:
        os.fchmod(file.fileno(), 0o4750)
        os.fchown(file.fileno(), 1000, 1002)
    open(f"{place}/empty", "w").close()
    return opened(place)


def opened(place):
    """Files that stay open: one that grows, one that is deleted, one of two names, and a folder; and a socket."""
    grows = open(f"{place}/grows", "a+")
    grows.write("0\n")
    grows.flush()
    gone = open(f"{place}/gone", "w+b")
    gone.write(os.urandom(1 << 20))
    gone.flush()
    os.unlink(f"{place}/gone")
    one = open(f"{place}/one", "w+")
    one.write("of two names\n")
    one.flush()
    os.link(f"{place}/one", f"{place}/two")
    # Somebody listens there: a socket that nobody has open does not go along.
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{place}/socket")
    listener.listen()
    return grows, gone, one, os.open(f"{place}/deep", os.O_DIRECTORY), listener


def line_of(path):
    found = os.lstat(path)
    if stat.S_ISSOCK(found.st_mode):
        # It is made anew.
        return f"{path!r} {found.st_mode:o} {found.st_uid} {found.st_gid}"
    facts = [repr(path), oct(found.st_mode), found.st_uid, found.st_gid]
    # A folder of the image has another hour when something is mounted into it.
    facts += [] if stat.S_ISDIR(found.st_mode) else [found.st_size, found.st_nlink]
    facts += [] if stat.S_ISDIR(found.st_mode) and not path.startswith(tuple(f"{place}/" for place in PLACES)) else [found.st_mtime_ns]
    if stat.S_ISLNK(found.st_mode):
        facts.append(os.readlink(path))
    elif not path.startswith("/usr/"):
        facts += [f"{name}={os.getxattr(path, name)}" for name in sorted(os.listxattr(path))]
        facts += [hashlib.sha256(open(path, "rb").read()).hexdigest()] if stat.S_ISREG(found.st_mode) else []
    return " ".join(map(str, facts))


def listing():
    lines = []
    for top in ("/", "/dev/shm"):
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if os.path.join(folder, name) not in APART]
            paths = (os.path.join(folder, name) for name in [*folders, *names])
            lines += [line_of(path) for path in paths if path not in APART]
    return sorted(lines)


def of_open(place, files):
    grows, gone, one, folder, listener = files
    still = os.fstat(gone.fileno())
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(f"{place}/socket")
        listener.accept()[0].close()
    return f"{place}: {still.st_nlink} {still.st_size} {hashlib.sha256(os.pread(gone.fileno(), 1 << 20, 0)).hexdigest()} {os.pread(one.fileno(), 100, 0)} {one.tell()} {sorted(os.listdir(folder))}"


def answer(line):
    if line == "same":
        return "\t".join([*listing(), *(of_open(place, files) for place, files in held.items())])
    # A probe asks nothing.
    for place, (grows, *_) in held.items() if line else ():
        grows.write(f"{len(open(f'{place}/grows').readlines())}\n")
        grows.flush()
    return str(min(len(open(f"{place}/grows").readlines()) for place in PLACES))


changes_the_image()
held = {place: fill(place) for place in PLACES}
serve(answer)
