"""A worker of Majordomo 0.1 on pyzmq: answers what it is asked, until it is killed."""

import sys
import time

import zmq

HEARTBEAT = 2.5

socket = zmq.Context.instance().socket(zmq.DEALER)
socket.connect(sys.argv[1])
socket.send_multipart([b"", b"MDPW01", b"\x01", b"echo"])
due = time.monotonic() + HEARTBEAT
while True:
    left = max(0.0, due - time.monotonic())
    if socket.poll(int(left * 1000)):
        empty, name, command, *rest = socket.recv_multipart()
        assert (empty, name) == (b"", b"MDPW01"), (empty, name)
        if command == b"\x02":
            client, delimiter, *body = rest
            assert delimiter == b"", delimiter
            socket.send_multipart([b"", b"MDPW01", b"\x03", client, b"", *body])
        else:
            assert command == b"\x04", command
    if time.monotonic() >= due:
        socket.send_multipart([b"", b"MDPW01", b"\x04"])
        due = time.monotonic() + HEARTBEAT
