# A GiB of bytes that are not alike; their checksum is computed anew each time it is asked for.
import hashlib
import os
import threading
import time

SIZE = 1 << 30
held = bytearray(SIZE)
for start in range(0, SIZE, 1 << 20):
    held[start:start + (1 << 20)] = os.urandom(1 << 20)
count = 0


def tick():
    global count
    while True:
        count += 1
        time.sleep(0.01)


def answer(line):
    return hashlib.sha256(held).hexdigest() if line == "same" else str(count)


threading.Thread(target=tick, daemon=True).start()
serve(answer)
