# A client that keeps its connection and, when it is lost, makes another one: each line is `connection value`.
import os
import socket
import time

connection = 0
while True:
    try:
        stream = socket.create_connection((os.environ["SERVER"], 6379), 2)
        connection += 1
        answers = stream.makefile("rb")
        while True:
            stream.sendall(b"INCR ticks\r\n")
            value = answers.readline()
            if not value.startswith(b":"):
                raise OSError(f"it said {value}")
            print(connection, int(value[1:]), flush=True)
            time.sleep(0.05)
    except OSError as error:
        print("lost", error, flush=True)
