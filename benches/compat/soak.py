#!/usr/bin/env python3
"""Determinism, endurance and overload of a running `realizar-cli serve`, with Python's standard library alone.

    realizar-cli serve --listen 127.0.0.1:8080 --parallel 8 --max-queue 16 --quiet &
    python3 benches/compat/soak.py http://127.0.0.1:8080 --pid $! --requests 10000 --overload 60

Every stream that ends must be byte for byte what the same request gives alone; afterwards every block of key/value
memory is free, and memory has not grown.
"""

import argparse
import asyncio
import json
import random
import time
from urllib.parse import urlparse

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("--pid", type=int, help="process whose memory is watched")
parser.add_argument("--requests", type=int, default=10000)
parser.add_argument("--overload", type=int, default=60, metavar="SECONDS")
args = parser.parse_args()
where = urlparse(args.url)
rng = random.Random(1)
WORDS = ["Once upon a time", "The cat", "A little girl", "Tom and his dog", "In the garden", "One day"]


def request(number):
    """The request of a number: its prompt, length, seed and temperature follow from it."""
    draw = random.Random(number)
    return {
        "prompt": " ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 12))),
        "max_tokens": draw.randint(1, 24),
        "temperature": draw.choice([0, 0.8, 1.5]),
        "seed": number,
        "stream": True,
    }


async def send(path, body=None, method="POST"):
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    data = json.dumps(body).encode() if body is not None else b""
    head = f"{method} {path} HTTP/1.1\r\nhost: {where.netloc}\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(data)}\r\nconnection: close\r\n\r\n".encode() + data)
    await writer.drain()
    return reader, writer


async def call(path, body=None, method="POST", leave_after=None):
    """Status, retry-after and body; `leave_after` bytes the client is gone."""
    reader, writer = await send(path, body, method)
    try:
        data = await (reader.read(leave_after) if leave_after else reader.read())
    except ConnectionResetError:
        data = b""
    writer.close()
    if leave_after:
        return 0, None, b""
    head, _, rest = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return int(head.split(b" ")[1]), fields.get(b"retry-after"), rest


def text_of(stream):
    """The text of a stream, and whether it came to its end."""
    text, done = "", False
    for line in stream.decode().splitlines():
        if line.startswith("data: [DONE]"):
            done = True
        elif line.startswith("data: "):
            chunk = json.loads(line[6:])
            assert "error" not in chunk, chunk
            text += "".join(choice["text"] for choice in chunk["choices"])
    return text, done


async def metric(name):
    _, _, body = await call("/metrics", method="GET")
    return next(float(line.split()[-1]) for line in body.decode().splitlines() if line.startswith(name + " "))


def memory_mib():
    if not args.pid:
        return 0
    lines = open(f"/proc/{args.pid}/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


async def idle():
    for _ in range(200):
        running, waiting = await metric("realizar_requests_running"), await metric("realizar_requests_waiting")
        free, total = await metric("realizar_kv_blocks_free"), await metric("realizar_kv_blocks_total")
        if running == waiting == 0 and free == total:
            return total
        await asyncio.sleep(0.05)
    raise AssertionError(f"not idle: {running} running, {waiting} waiting, {free} of {total} blocks free")


async def determinism():
    alone = {}
    for number in range(32):
        _, _, body = await call("/v1/completions", request(number))
        alone[number] = text_of(body)
        assert alone[number][1], "a solo run ends"

    async def one(number):
        await asyncio.sleep(rng.random() * 0.3)
        if number % 4 == 3:  # These leave in the middle.
            await call("/v1/completions", {**request(number + 1000), "max_tokens": 200}, leave_after=700)
            return
        while True:
            status, _, body = await call("/v1/completions", request(number))
            if status == 200:
                break
            assert status == 429, (status, body)
            await asyncio.sleep(0.1)
        assert text_of(body) == alone[number], f"request {number} differs from its solo run"

    for _ in range(4):
        await asyncio.gather(*(one(number) for number in range(32)))
    blocks = await idle()
    print(f"determinism: 4 x 32 streams, one in four left; the others equal their solo runs; {blocks:.0f} blocks free")


async def endurance():
    limit = asyncio.Semaphore(8)
    done = 0

    async def one(number):
        nonlocal done
        async with limit:
            body = {**request(number), "max_tokens": 1 + number % 4, "stream": number % 2 == 0}
            leave = 300 if number % 50 == 0 else None
            status, _, _ = await call("/v1/completions", body, leave_after=leave)
            assert status in (0, 200), status
            done += 1

    marks, start = [], time.monotonic()
    parts = 10
    for part in range(parts):
        size = args.requests // parts
        await asyncio.gather(*(one(part * size + number) for number in range(size)))
        await idle()
        marks.append(memory_mib())
    seconds = time.monotonic() - start
    print(f"endurance: {done} requests in {seconds:.0f} s; RSS in MiB after each tenth: {[round(m, 1) for m in marks]}")
    if args.pid:
        assert marks[-1] - marks[1] < 8, "memory grows"


async def overload():
    statuses, refusals, first = {}, [], memory_mib()
    end = time.monotonic() + args.overload

    async def client(number):
        while time.monotonic() < end:
            start = time.monotonic()
            status, retry, body = await call("/v1/completions", {**request(number), "max_tokens": 24})
            statuses[status] = statuses.get(status, 0) + 1
            if status == 429:
                refusals.append(time.monotonic() - start)
                assert retry is not None, "a refusal says when to come back"
                await asyncio.sleep(0.2)
            else:
                assert text_of(body)[1], "what was accepted ends"
            number += 1000

    await asyncio.gather(*(client(number) for number in range(240)))
    await idle()
    refusals.sort()
    p99 = refusals[int(len(refusals) * 0.99)] * 1000 if refusals else 0
    p50 = refusals[len(refusals) // 2] * 1000 if refusals else 0
    print(f"overload: 240 clients for {args.overload} s: {statuses}; refusals p50 {p50:.1f} ms, p99 {p99:.1f} ms; "
          f"RSS {first:.1f} to {memory_mib():.1f} MiB")


async def main():
    await determinism()
    if args.requests:
        await endurance()
    if args.overload:
        await overload()


asyncio.run(main())
