# What the tests ask a program, and how: a line to port 8000, and a line back. `same` is the same after a move, `grows` a number that
# goes on. Each program defines `answer`, and calls `serve` last.
import json
import socket


def serve(answer):
    listener = socket.create_server(("0.0.0.0", 8000))
    while True:
        stream, _ = listener.accept()
        with stream, stream.makefile("rw") as lines:
            print(answer(lines.readline().strip()), file=lines)


