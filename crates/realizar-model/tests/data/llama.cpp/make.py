#!/usr/bin/env python3
"""Tiny models of architectures that have no golden file, and what llama.cpp says of them.

    make.py VOCABULARY.gguf LLAMA_SERVER OUT_FOLDER [NAME ...]

Needs the packages gguf and numpy. Weights come from the tensors' names, as in ../transformers/make.py, so that a test can
make the same model without the file. NAME.json holds the metadata, the tensors as `[name, dims, scale, offset]` and, after
each of some prefixes of the tokens, the logarithms of the probabilities of all tokens. The server computes on one thread with
keys and values in F32; its tables for GELU are in F16.
"""
import json, subprocess, sys, time, urllib.request
from pathlib import Path

import gguf
import numpy as np

HIDDEN, HEADS, KV_HEADS, FFN, LAYERS, CONTEXT = 64, 4, 2, 96, 2, 64
KV = HIDDEN // HEADS * KV_HEADS
TOKENS = [1, 40, 41, 97, 200, 12, 7, 7, 150, 33, 260, 5, 88, 19, 121, 64, 3, 211, 90, 18]
LENGTHS = [1, 6, 20]


def top_bytes(name, count):
    mask = (1 << 64) - 1
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 & mask
    out = np.empty(count, np.uint8)
    for i in range(1, count + 1):
        z = (seed + i * 0x9E3779B97F4A7C15) & mask
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        out[i - 1] = (z ^ z >> 31) >> 56
    return out


def values(name, dims, scale, offset):
    found = top_bytes(name, int(np.prod(dims))).astype(np.float64)
    return (offset + scale * (2 * found - 255) / 256).astype(np.float32).reshape(dims)


def norm(name, bias):
    rows = [[name + ".weight", [HIDDEN], 0.3, 1.0]]
    return rows + ([[name + ".bias", [HIDDEN], 0.2, 0.0]] if bias else [])


def matrix(name, rows, cols, bias=False):
    out = [[name + ".weight", [rows, cols], 2.0 / cols**0.5, 0.0]]
    return out + ([[name + ".bias", [rows], 0.2, 0.0]] if bias else [])


def model(vocab, norm_bias, biases, fused, gate, positions=False):
    out = [["token_embd.weight", [vocab, HIDDEN], 1.0, 0.0], ["output.weight", [vocab, HIDDEN], 0.5, 0.0]]
    if positions:
        out += [["position_embd.weight", [CONTEXT, HIDDEN], 0.5, 0.0]]
    for layer in range(LAYERS):
        part = lambda name: f"blk.{layer}.{name}"
        out += norm(part("attn_norm"), norm_bias) + norm(part("ffn_norm"), norm_bias)
        if fused:
            out += matrix(part("attn_qkv"), HIDDEN + 2 * KV, HIDDEN, biases)
        else:
            for name, rows in (("attn_q", HIDDEN), ("attn_k", KV), ("attn_v", KV)):
                out += matrix(part(name), rows, HIDDEN, biases)
        out += matrix(part("attn_output"), HIDDEN, HIDDEN, biases)
        if gate:
            out += matrix(part("ffn_gate"), FFN, HIDDEN)
        out += matrix(part("ffn_up"), FFN, HIDDEN, biases) + matrix(part("ffn_down"), HIDDEN, FFN, biases)
    return out + norm("output_norm", norm_bias)


# Name: what `model` is told, and the epsilon's key.
MODELS = {
    "xverse": (dict(norm_bias=False, biases=False, fused=False, gate=True), "layer_norm_rms_epsilon"),
    "orion": (dict(norm_bias=True, biases=False, fused=False, gate=True), "layer_norm_epsilon"),
    "starcoder": (dict(norm_bias=True, biases=True, fused=True, gate=False, positions=True), "layer_norm_epsilon"),
    "codeshell": (dict(norm_bias=True, biases=True, fused=True, gate=False), "layer_norm_epsilon"),
}


def write(name, path, vocabulary):
    kind, epsilon = MODELS[name]
    tokens = vocabulary.fields["tokenizer.ggml.tokens"]
    tensors = model(len(tokens.data), **kind)
    numbers = {
        "block_count": LAYERS, "context_length": CONTEXT, "embedding_length": HIDDEN, "feed_forward_length": FFN,
        "attention.head_count": HEADS, "attention.head_count_kv": KV_HEADS,
    }
    if name in ("xverse", "orion", "codeshell"):
        numbers["rope.dimension_count"] = HIDDEN // HEADS
    writer = gguf.GGUFWriter(path, name)
    for key, number in numbers.items():
        writer.add_uint32(f"{name}.{key}", number)
    writer.add_float32(f"{name}.attention.{epsilon}", 1e-5)
    for key, field in vocabulary.fields.items():
        if not key.startswith("tokenizer.ggml."):
            continue
        kind, value = field.types[0], field.contents()
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_array(key, value)
        else:
            writer.add_key_value(key, value, kind)
    for row in tensors:
        writer.add_tensor(row[0], values(*row))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return numbers, {f"attention.{epsilon}": 1e-5}, tensors


def ask(port, tokens, vocab, forced):
    # A token of plain text is forced: of others the server does not speak. What it says of all is from before that.
    body = dict(prompt=tokens, n_predict=1, n_probs=vocab, temperature=0.0, cache_prompt=False, logit_bias=[[forced, 1000.0]])
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"})
    answer = json.load(urllib.request.urlopen(request, timeout=60))
    assert "completion_probabilities" in answer, str(answer)[:1500]
    row = {top["id"]: top["logprob"] for top in answer["completion_probabilities"][0]["top_logprobs"]}
    assert len(row) == vocab, f"{len(row)} of {vocab} tokens"
    return [round(row[token], 5) for token in range(vocab)]


def answers(server, path, port, vocabulary):
    """What the server says after each of the prefixes."""
    flags = "-c 64 -t 1 -ctk f32 -ctv f32 -fa off -np 1 --no-warmup --no-repack".split()
    process = subprocess.Popen([server, "-m", path, "--port", str(port), *flags],
                               stdout=subprocess.DEVNULL, stderr=open(f"{path}.log", "w"))
    tokens = vocabulary.fields["tokenizer.ggml.tokens"].contents()
    forced = next(tokens.index(text) for text in ("A", "<0x41>") if text in tokens)
    try:
        for _ in range(100):
            time.sleep(0.2)
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                pass
        return [ask(port, TOKENS[:length], len(tokens), forced) for length in LENGTHS]
    finally:
        process.terminate()


def main():
    vocabulary, server, out = gguf.GGUFReader(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    for port, name in enumerate(sys.argv[4:] or MODELS, 18300):
        path = out / f"{name}.gguf"
        numbers, floats, tensors = write(name, path, vocabulary)
        rows = answers(server, path, port, vocabulary)
        golden = dict(architecture=name, numbers=numbers, floats=floats, tensors=tensors, tokens=TOKENS,
                      lengths=LENGTHS, rows=rows)
        text = json.dumps(golden, separators=(",", ":"))
        (Path(__file__).parent / f"{name}.json").write_text(text + "\n")
        print(name, len(text), [max(row) for row in rows])


if __name__ == "__main__":
    main()
