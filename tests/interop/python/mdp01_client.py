"""A client of Majordomo 0.1 on pyzmq: asks so many questions, one after the other, and checks the answers."""

import sys

import zmq

socket = zmq.Context.instance().socket(zmq.REQ)
socket.rcvtimeo = 20000
socket.linger = 0
socket.connect(sys.argv[1])
for number in range(int(sys.argv[2])):
    body = str(number).encode()
    socket.send_multipart([b"MDPC01", b"echo", body])
    answer = socket.recv_multipart()
    assert answer == [b"MDPC01", b"echo", body], answer

socket.send_multipart([b"MDPC01", b"mmi.service", b"echo"])
assert socket.recv_multipart()[-1] == b"200"
socket.send_multipart([b"MDPC01", b"mmi.service", b"nobody"])
assert socket.recv_multipart()[-1] == b"404"
