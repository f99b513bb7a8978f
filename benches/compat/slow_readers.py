#!/usr/bin/env python3
"""Clients that do not read, beside one that does, on a running `realizar-cli serve`; Python's standard library alone.

    realizar-cli serve --listen 127.0.0.1:8080 --limit send-buffer=16384 --quiet &
    python3 benches/compat/slow_readers.py http://127.0.0.1:8080

Sixteen clients, then one client with sixteen answers, then sixteen with eight each, ask for long answers and read
nothing. A short question of another client must be answered long before theirs are given up. Then they read: what they
get is what they get alone.
"""

import argparse
import http.client
import json
import socket
import time
from urllib.parse import urlparse

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("--tokens", type=int, default=400)
args = parser.parse_args()
where = urlparse(args.url)


def body(seed, n):
    ask = {"messages": [{"role": "user", "content": "Once upon a time"}], "stream": True, "ignore_eos": True,
           "logprobs": True, "top_logprobs": 20, "max_tokens": args.tokens, "seed": seed, "n": n}
    return json.dumps(ask).encode()


def send(seed, n):
    """Asks, and reads nothing; the system takes little for us."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((where.hostname, where.port))
    text = body(seed, n)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    client.sendall(f"{head}connection: close\r\ncontent-length: {len(text)}\r\n\r\n".encode() + text)
    return client


def read(client):
    """The choices of an answer, each by itself, without what differs between requests."""
    response = http.client.HTTPResponse(client)
    response.begin()
    choices = {}
    for line in response.read().decode().splitlines():
        if line.startswith("data: {"):
            chunk = json.loads(line[6:])
            assert "error" not in chunk, chunk
            for choice in chunk["choices"]:
                choices.setdefault(choice["index"], []).append(choice)
    return choices


def ask(path, data=None):
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    connection.request("POST" if data else "GET", path, data, {"content-type": "application/json"} if data else {})
    return connection.getresponse().read().decode()


def parked():
    return next(int(line.split()[1]) for line in ask("/metrics").splitlines()
                if line.startswith("realizar_requests_parked "))


for name, requests in [("16 clients", [1] * 16), ("1 client with n = 16", [16]), ("16 clients with n = 8", [8] * 16)]:
    alone = [read(send(seed, n)) for seed, n in enumerate(requests)]
    unread = [send(seed, n) for seed, n in enumerate(requests)]
    time.sleep(0.5)
    began = time.monotonic()
    answer = json.loads(ask("/v1/completions", json.dumps({"prompt": "Once", "max_tokens": 8}).encode()))
    took = time.monotonic() - began
    assert answer["usage"]["completion_tokens"] >= 1, answer
    given_up = parked()
    assert given_up > 0, "nobody gave way: their answers fit into what the system holds"
    assert took < 10, took
    assert [read(client) for client in unread] == alone, "an answer changed"
    print(f"{name} that do not read: a short answer beside them took {took:.2f} s, {given_up} gave way, "
          f"{sum(requests)} answers are what they are alone")
blocks = {line.split()[0]: line.split()[1] for line in ask("/metrics").splitlines() if "kv_blocks" in line and line[0] != "#"}
assert blocks["realizar_kv_blocks_free"] == blocks["realizar_kv_blocks_total"], blocks
print("all blocks are free")
