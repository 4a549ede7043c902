# Four processes, two threads in each, and of everything that a kernel keeps for a process something.
import ctypes
import fcntl
import hashlib
import mmap
import os
import resource
import select
import signal
import struct
import termios
import threading
import time
import uuid

ME = str(uuid.uuid4())
LIBC = ctypes.CDLL(None, use_errno=True)
os.makedirs("/var/program", exist_ok=True)
os.chdir("/var/program")
os.umask(0o027)

# --- before it forks: pipes, a pair of sockets, shared memory ---------------------------------------------------------
ticking, unread, waking, woken = os.pipe(), os.pipe(), os.pipe(), os.pipe()
os.write(unread[1], b"written and not read yet" * 10)
near, far = socket.socketpair()
near.sendall(b"said and not heard yet")
shared = mmap.mmap(-1, 4096)
with open("/dev/shm/mapped", "w+b") as file:
    file.truncate(8192)
    mapped = mmap.mmap(file.fileno(), 8192)
mapped[:3] = b"map"
with open("/var/program/private", "w+b") as file:
    file.write(b"p" * 4096)
    file.flush()
    private = mmap.mmap(file.fileno(), 4096, flags=mmap.MAP_PRIVATE)
private[:7] = b"changed"


def rest():
    """A second thread of each process."""
    threading.Thread(target=time.sleep, args=(1 << 30,), daemon=True).start()


def ticks():
    rest()
    while True:
        os.write(ticking[1], b".")
        time.sleep(0.02)


def adds():
    os.setsid()
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_NOFILE, (333, 444))
    rest()
    while True:
        shared[:8] = struct.pack("<Q", struct.unpack("<Q", shared[:8])[0] + 1)
        time.sleep(0.02)


def sleeps():
    LIBC.prctl(15, b"sleeper", 0, 0, 0)
    os.setresgid(1000, 1000, 1000)
    os.setresuid(1000, 1000, 1000)
    rest()
    # It blocks here until it is woken after the move.
    os.write(woken[1], os.read(waking[0], 100).upper())
    signal.pause()


children = []
for act in (ticks, adds, sleeps):
    child = os.fork()
    if child == 0:
        act()
    children.append(child)
zombie = os.fork()
if zombie == 0:
    os._exit(3)
os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)

# --- the first process alone: files, locks, timers, signals --------------------------------------------------------------
unlinked = open("/var/program/unlinked", "w+b")
unlinked.write(os.urandom(3 << 20))
unlinked.flush()
os.unlink("/var/program/unlinked")
written = open("/var/program/log", "a+")
locked = open("/var/program/locked", "w")
fcntl.flock(locked, fcntl.LOCK_EX)
ranged = open("/var/program/ranged", "w+b")
ranged.write(b"." * 100)
ranged.flush()
fcntl.lockf(ranged, fcntl.LOCK_EX, 10, 20)
memory = os.memfd_create("memory")
os.write(memory, b"of no file")
event = os.eventfd(7)
alarms = timed = ticked = 0


def alarm(*_):
    global alarms
    alarms += 1


signal.signal(signal.SIGALRM, alarm)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
timer = os.timerfd_create(time.CLOCK_MONOTONIC)
os.timerfd_settime(timer, initial=0.05, interval=0.05)
far_timer = os.timerfd_create(time.CLOCK_MONOTONIC)
os.timerfd_settime(far_timer, initial=100_000)
HELD_BACK = {signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN + 1}


def follow():
    """Waits for the timer and the other process's ticks, by epoll."""
    global timed, ticked
    poll = select.epoll()
    poll.register(timer, select.EPOLLIN)
    poll.register(ticking[0], select.EPOLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == timer:
                timed += struct.unpack("<Q", os.read(timer, 8))[0]
            else:
                ticked += len(os.read(ticking[0], 100))


def of(process):
    """What the kernel says of a process."""
    keep = ("Name", "Umask", "PPid", "Uid", "Gid", "Groups", "NSsid", "NSpgid", "Threads", "SigBlk", "SigIgn", "SigCgt", "CapEff", "NoNewPrivs", "Seccomp")
    status = dict(line.rstrip("\n").split(":\t", 1) for line in open(f"/proc/{process}/status") if ":\t" in line)
    # Another user's is nobody's business, root's neither.
    cwd = os.readlink(f"/proc/{process}/cwd") if status["Uid"].startswith("0\t") else None
    return {**{name: status.get(name) for name in keep}, "cwd": cwd, "nice": os.getpriority(os.PRIO_PROCESS, process),
            "limits": open(f"/proc/{process}/limits").read(), "oom": open(f"/proc/{process}/oom_score_adj").read()}


def waiting(descriptor):
    return struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0"))[0]


def is_locked():
    tried = os.open("/var/program/locked", os.O_RDONLY)
    try:
        fcntl.flock(tried, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(tried)


def same():
    gone = os.fstat(unlinked.fileno())
    return {
        "me": ME, "processes": [of(process) for process in (1, *children)], "zombie": open(f"/proc/{zombie}/stat").read().split()[2],
        "unread": waiting(unread[0]), "unheard": waiting(far.fileno()),
        "unlinked": [gone.st_nlink, gone.st_size, gone.st_mode, hashlib.sha256(os.pread(unlinked.fileno(), 3 << 20, 0)).hexdigest(), unlinked.tell()],
        "mapped": [bytes(mapped[:3]).decode(), open("/dev/shm/mapped", "rb").read(3).decode()],
        "private": [bytes(private[:8]).decode(), open("/var/program/private", "rb").read(8).decode()],
        "memory": os.pread(memory, 100, 0).decode(), "locked": is_locked(), "locks": sorted(line.split()[1] for line in open("/proc/locks") if " 1 " in line),
        "pending": sorted(map(int, signal.sigpending())), "timer": os.timerfd_gettime(far_timer)[0] > 90_000, "flags": fcntl.fcntl(written, fcntl.F_GETFL),
        "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
    }


def finish():
    """What was under way comes to its end."""
    os.write(waking[1], b"awake")
    told = {
        "unread": os.read(unread[0], 1000) == b"written and not read yet" * 10, "unheard": far.recv(100) == b"said and not heard yet", "event": os.eventfd_read(event) == 7,
        "woken": os.read(woken[0], 100) == b"AWAKE", "zombie": os.waitstatus_to_exitcode(os.waitpid(zombie, 0)[1]) == 3,
        "signals": sorted(signal.sigtimedwait(HELD_BACK, 5).si_signo for _ in range(4)) == sorted([*HELD_BACK, signal.SIGRTMIN + 1]),
        "log": written.write("after\n") == 6 and written.flush() is None and open("/var/program/log").read() == "before\nafter\n",
    }
    return "all well" if all(told.values()) else json.dumps(told)


def answer(line):
    if line == "finish":
        return finish()
    if line == "same":
        return json.dumps(same(), sort_keys=True)
    counts = {"alarms": alarms, "timed": timed, "ticked": ticked, "shared": struct.unpack("<Q", shared[:8])[0]}
    print(counts)
    return str(min(counts.values()))


written.write("before\n")
written.flush()
# Held back by every thread, so that they stay pending: two at the process, one of them twice, and one at a thread.
signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
threading.Thread(target=follow, daemon=True).start()
for number in (signal.SIGUSR1, signal.SIGRTMIN + 1, signal.SIGRTMIN + 1):
    os.kill(os.getpid(), number)
signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR2)
serve(answer)
