"""A client of the package majortomo (Majordomo 0.2): asks so many questions, and checks the answers."""

import sys

import majortomo

client = majortomo.Client(sys.argv[1])
client.connect()
for number in range(int(sys.argv[2])):
    body = str(number).encode()
    client.send("echo", body)
    answer = client.recv_all_as_list(timeout=20)
    assert answer == [body], answer
client.close()
