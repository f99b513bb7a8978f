"""Cuts the slice of the shared test data that lies in tests/data.

    python tests/tools/slice.py SHARED_DATA tests/data
"""
import json
import shutil
import struct
import sys
from pathlib import Path

source, target = Path(sys.argv[1]), Path(sys.argv[2])
HF = [
    "added-token-zoo", "bpe-clip", "bytefallback-metaspace-first", "bytelevel-llama3", "bytelevel-qwen",
    "bytelevel-roberta", "ctc-chars", "normalizer-zoo", "scripts-digits-punct", "trunc-pad", "trunc-pad-left",
    "unigram-bytefallback", "wordpiece-bert-uncased",
]
MODELS = [
    "hybriddna", "llama-bpe-bytefallback-identity", "plamo2", "rwkv", "t5-unigram-bytefallback-identity-nodummy",
    "whitespace-lower",
]
SPM = ["bpe-bytefallback-identity", "unigram-bytefallback-identity-nodummy"]
PRE = [
    "default", "llama3", "deepseek-llm", "deepseek-v3", "youtu", "falcon", "gpt-2", "gemma4", "qwen35", "bloom",
    "tekken", "chameleon", "gpt-4o", "tiny_aya", "superbpe", "kimi-k2", "afmoe", "jais-2", "exaone-moe", "whitespace",
]


def cut(name, every, keep=lambda line: False):
    lines = (source / name).read_text().splitlines()
    kept = [line for at, line in enumerate(lines) if at % every == 0 and len(line) < 1200 or keep(line)]
    path = target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(kept) + "\n")
    return kept


def copy(name):
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / name, target / name)


def vocabulary_only(name, out):
    """A GGUF file with the tokenizer's metadata and nothing else."""
    data = (source / name).read_bytes()
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def skip(at, kind):
        if kind == 8:
            return at + 8 + struct.unpack_from("<Q", data, at)[0]
        if kind == 9:
            kind, count = struct.unpack_from("<IQ", data, at)
            at += 12
            for _ in range(count):
                at = skip(at, kind)
            return at
        return at + sizes[kind]

    at, kept = 24, []
    for _ in range(struct.unpack_from("<Q", data, 16)[0]):
        start = at
        length = struct.unpack_from("<Q", data, at)[0]
        key = data[at + 8 : at + 8 + length].decode()
        at += 8 + length
        at = skip(at + 4, struct.unpack_from("<I", data, at)[0])
        if key.startswith("tokenizer.ggml.") or key == "general.architecture":
            kept.append(data[start:at])
    path = target / out
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, len(kept)) + b"".join(kept))


for name in HF:
    copy(f"tokenizers/hf/{name}.tokenizer.json")
    cut(f"tokenizers/hf/{name}.suite.jsonl", 8)
for name in MODELS:
    copy(f"tokenizers/models/{name}.gguf")
    cut(f"tokenizers/models/{name}.suite.jsonl", 6)
for name in SPM:
    copy(f"tokenizers/spm/{name}.model")
    cut(f"tokenizers/spm/{name}.suite.jsonl", 5)
copy("tokenizers/tiktoken/small.tiktoken")
for name in ["gpt2", "cl100k", "o200k"]:
    cut(f"tokenizers/tiktoken/{name}.suite.jsonl", 6)
for name in ["tiny-bytes", "tiny-raw"]:
    copy(f"tokenizers/pre/{name}.gguf")
index = [entry for entry in json.loads((source / "tokenizers/pre/index.json").read_text()) if entry["names"][0] in PRE]
kept = cut("tokenizers/pre/texts.jsonl", 10)
numbers = {json.loads(line)["i"] for line in kept}
for entry in index:
    name = "tokenizers/pre/" + entry["file"]
    wanted = [line for line in (source / name).read_text().splitlines() if json.loads(line).get("i", -1) in numbers]
    (target / name).write_text("\n".join(wanted) + "\n")
plain = [{key: entry[key] for key in ("file", "names", "tokenizer_model", "vocab")} for entry in index]
(target / "tokenizers/pre/index.json").write_text(json.dumps(plain, indent=1) + "\n")
vocabulary_only("demo-model/demo-q8_0.gguf", "demo-model/demo-q8_0.gguf")
copy("golden/demo-tokenize.json")
