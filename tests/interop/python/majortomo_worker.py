"""A worker of the package majortomo (Majordomo 0.2): answers what it is asked, until it is killed."""

import sys

import majortomo

worker = majortomo.Worker(sys.argv[1], "echo")
worker.connect()
while True:
    client, body = worker.wait_for_request()
    worker.send_reply_final(client, body)
