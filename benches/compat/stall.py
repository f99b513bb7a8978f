#!/usr/bin/env python3
"""Times between two tokens of a running stream, alone and while another client's long prompt is read.

    realizar-cli serve model.gguf --listen 127.0.0.1:8080 --parallel 4 --quiet &
    python3 benches/compat/stall.py http://127.0.0.1:8080 --prompt 1500

The long prompt goes through the model in pieces beside the stream. The bound for the 99th percentile is three times
the unloaded value.
"""

import argparse
import http.client
import json
import threading
import time
from urllib.parse import urlparse

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("--prompt", type=int, default=1500, metavar="TOKENS")
parser.add_argument("--tokens", type=int, default=150, help="tokens of the unloaded stream")
args = parser.parse_args()
where = urlparse(args.url)


def post(body):
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=600)
    connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200, (answer.status, answer.read())
    return connection, answer


def gaps(tokens, stop=None):
    """Milliseconds between two events with text; `stop` ends it early."""
    body = {"prompt": "Once upon a time", "max_tokens": tokens, "ignore_eos": True, "temperature": 0, "stream": True}
    connection, answer = post(body)
    last, found = None, []
    for line in answer:
        if b'"text":"' in line and b'"finish_reason":null' in line:
            now = time.perf_counter()
            if last is not None:
                found.append((now - last) * 1000)
            last = now
        if stop is not None and stop.is_set():
            break
    connection.close()
    return found


def at(values, share):
    values = sorted(values)
    return values[min(int(len(values) * share), len(values) - 1)]


alone = gaps(args.tokens)
done = threading.Event()
ids = [5 + number * 7919 % 251 for number in range(args.prompt)]
seconds = []


def reader():
    time.sleep(0.5)
    began = time.perf_counter()
    connection, answer = post({"prompt": ids, "max_tokens": 1})
    answer.read()
    connection.close()
    seconds.append(time.perf_counter() - began)
    done.set()


thread = threading.Thread(target=reader)
thread.start()
beside = gaps(2000 - len("Once upon a time"), done)
thread.join()
for name, values in (("alone", alone), ("beside the prompt", beside)):
    print(f"{name}: {len(values)} gaps, median {at(values, 0.5):.1f}, p99 {at(values, 0.99):.1f}, longest {max(values):.1f} ms")
print(f"prompt of {args.prompt} tokens read in {seconds[0]:.1f} s; p99 is {at(beside, 0.99) / at(alone, 0.99):.2f} times the unloaded one")
