#!/usr/bin/env python3
"""Encoding speed beside Hugging Face tokenizers, tiktoken and sentencepiece: same text, same vocabulary, same run, one thread.

    pip install tokenizers tiktoken sentencepiece
    cargo build --release -p realizar-benches --example tokenizer
    python3 benches/tokenizers/speed.py --program target/release/examples/tokenizer VOCABULARY.gguf...

Each vocabulary is rewritten for the library that can read its kind: byte-level BPE for tokenizers and tiktoken (where the
ids are in the order of the merges), the `llama` and `t5` kinds for sentencepiece. Each side is given the text as it likes it
best: in one piece or in documents of 10,000 characters, whichever is faster, the best of the rounds. The ids are compared.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import sources
import texts


def best(rounds, size, *actions):
    """The highest rate in MB/s."""
    times = []
    for action in actions:
        for _ in range(rounds):
            start = time.perf_counter()
            action()
            times.append(time.perf_counter() - start)
    return size / 1e6 / min(times)


def ours(program, file, text_file, *pattern):
    out = subprocess.run([program, "speed", file, text_file, *pattern], check=True, capture_output=True).stdout
    answer = json.loads(out)
    return max(answer["mb_per_s"]), answer


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bytes", type=int, default=10_000_000)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    text = texts.mixed(args.bytes)
    documents = texts.documents(text)
    size = len(text.encode())
    row("vocabulary", "ours from", "load ms", "MB/s", "memory / text", "peer", "its MB/s", "ratio", "ids")
    row(*["---"] * 9)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        text_file = folder / "text.txt"
        text_file.write_text(text, encoding="utf-8")
        for file in args.files:
            measure(args, pathlib.Path(file), folder, text, text_file, documents, size)


def measure(args, file, folder, text, text_file, documents, size):
    name = file.stem
    meta = sources.metadata(file)
    forms, peers = [("GGUF", [file])], []
    if meta["tokenizer.ggml.model"] == b"gpt2":
        import tiktoken
        import tokenizers
        as_json = folder / f"{name}.json"
        as_json.write_text(sources.tokenizer_json(meta), encoding="utf-8")
        forms.append(("tokenizer.json", [as_json]))
        hf = tokenizers.Tokenizer.from_file(str(as_json))
        rate = best(args.rounds, size, lambda: hf.encode_batch_fast(documents, add_special_tokens=False),
                    lambda: hf.encode_batch_fast([text], add_special_tokens=False))
        count = len(hf.encode_batch_fast([text], add_special_tokens=False)[0].ids)
        peers.append((f"tokenizers {tokenizers.__version__}", rate, count, "GGUF"))
        peers.append((f"tokenizers {tokenizers.__version__}", rate, count, "tokenizer.json"))
        ranks, pattern = sources.tiktoken_ranks(meta)
        as_ranks = folder / f"{name}.tiktoken"
        as_ranks.write_bytes(sources.tiktoken_file(ranks))
        forms.append(("ranks", [as_ranks, pattern]))
        encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        rate = best(args.rounds, size, lambda: [encoding.encode_ordinary(part) for part in documents],
                    lambda: encoding.encode_ordinary(text))
        count = len(encoding.encode_ordinary(text))
        version = getattr(tiktoken, "__version__", "")
        peers.append((f"tiktoken {version}", rate, count, "GGUF"))
        peers.append((f"tiktoken {version}", rate, count, "ranks"))
    else:
        import sentencepiece
        as_model = folder / f"{name}.model"
        as_model.write_bytes(sources.sentencepiece_model(meta))
        forms.append((".model", [as_model]))
        peer = sentencepiece.SentencePieceProcessor(model_file=str(as_model))
        rate = best(args.rounds, size, lambda: [peer.encode(part) for part in documents], lambda: peer.encode(text))
        count = len(peer.encode(text))
        peers.append((f"sentencepiece {sentencepiece.__version__}", rate, count, "GGUF"))
        peers.append((f"sentencepiece {sentencepiece.__version__}", rate, count, ".model"))
    for form, arguments in forms:
        rate, answer = ours(args.program, arguments[0], text_file, *arguments[1:])
        for peer, its_rate, count, of in peers:
            if of == form:
                same = "same" if count == answer["tokens"] else f"{answer['tokens']} and {count}"
                row(name, form, f"{min(answer['load_ms']):.1f}", f"{rate:.1f}", f"{answer['memory_per_text_byte']:.1f}",
                    peer, f"{its_rate:.1f}", f"{rate / its_rate:.1f}", same)


if __name__ == "__main__":
    main()
