#!/usr/bin/env python3
"""10 MB of one letter, of spaces, of one emoji and the like through tokenizers of ours: seconds and memory for each.

    cargo build --release -p realizar-benches --example tokenizer
    python3 benches/tokenizers/runs.py --program target/release/examples/tokenizer FILE...

FILE is whatever the program loads; a tiktoken rank file is followed by a colon and its pattern's name. The exit code is 1
where a text took 2 seconds or more (random letters without spaces, and control tokens, are not timed), or more than ten times
its length in memory: the highest resident memory above that before, with an allocator that gives back at once what is freed
(where it is glibc's).
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    bad = False
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    print("| file | slowest | seconds | most memory | times the text |\n|---|---|---|---|---|")
    for file in args.files:
        path, _, pattern = file.partition(":")
        command = [args.program, "runs", path, *([pattern] if pattern else [])]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            bad = True
            print(f"| {pathlib.Path(path).name} | {done.stderr.strip()} | | | |", flush=True)
            continue
        texts = json.loads(done.stdout)
        timed = [name for name in texts if name not in ("letters without spaces", "control tokens")]
        slow = max(timed, key=lambda name: texts[name]["seconds"])
        large = max(texts, key=lambda name: texts[name]["memory_per_text_byte"] or 0)
        seconds, memory = texts[slow]["seconds"], texts[large]["memory_per_text_byte"] or 0
        bad |= seconds >= 2 or memory > 10
        print(f"| {pathlib.Path(path).name} {pattern} | {slow} | {seconds:.2f} | {large} | {memory:.1f} |", flush=True)
    sys.exit(bad)


if __name__ == "__main__":
    main()
