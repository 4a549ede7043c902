# Threads that share a lock and a queue, and an event loop with timers, a server, a child behind pipes, and a thread pool.
import asyncio
import json
import os
import queue
import threading
import time
import uuid

ME, BORN = str(uuid.uuid4()), time.time()
counts, lock, passed = [0, 0, 0, 0], threading.Lock(), queue.Queue(maxsize=8)
ticks, echoed, pooled = 0, 0, 0
held = {f"key {n}": uuid.uuid4().hex for n in range(20_000)}


def work(number):
    while True:
        with lock:
            counts[number] += 1
        passed.put(number)
        time.sleep(0.01)


def take():
    while True:
        passed.get()


async def tick(child):
    global ticks, echoed, pooled
    while True:
        await asyncio.sleep(0.02)
        ticks += 1
        child.stdin.write(b"%d\n" % ticks)
        await child.stdin.drain()
        echoed = int(await child.stdout.readline())
        pooled += await asyncio.get_running_loop().run_in_executor(None, lambda: 1)


def answer(line):
    if line == "same":
        return json.dumps({"me": ME, "born": BORN, "threads": sorted(thread.name for thread in threading.enumerate() if thread.name[:7] != "asyncio"), "held": hash(frozenset(held.items())),
                           "child": child.pid, "is_its_parent": os.getpid()})
    parts = [*counts, ticks, echoed, pooled]
    # Each of them goes on, or the smallest does not grow.
    return str(min(parts))


async def listen(reader, writer):
    line = (await reader.readline()).decode().strip()
    writer.write(answer(line).encode() + b"\n")
    await writer.drain()
    writer.close()


async def main():
    global child
    for number in range(4):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    threading.Thread(target=take, daemon=True).start()
    child = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    server = await asyncio.start_server(listen, "0.0.0.0", 8000)
    await asyncio.gather(tick(child), server.serve_forever())


asyncio.run(main())
