"""Vocabularies of GGUF files in the forms that other libraries read: tokenizer.json, SentencePiece .model, tiktoken ranks."""
import base64
import json
import pathlib
import struct

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
# `tokenizer.ggml.pre`: the original's pattern, whether it normalises to NFC, whether whole words skip the merges.
PRE = {"gpt-2": (GPT2, False, False), "llama-bpe": (LLAMA3, False, True), "qwen2": (QWEN2, True, False)}


def metadata(path):
    """The metadata of a GGUF file; texts are bytes."""
    data = memoryview(pathlib.Path(path).read_bytes())
    at = 8 + 8
    assert bytes(data[:4]) == b"GGUF", path
    scalar = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def read(form):
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize(form)
        return value

    def text():
        nonlocal at
        length = read("Q")
        at += length
        return bytes(data[at - length:at])

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            kind, count = read("I"), read("Q")
            return [value(kind) for _ in range(count)]
        return read(scalar[kind])

    out = {}
    for _ in range(read("Q")):
        key = text().decode()
        out[key] = value(read("I"))
    return out


def _alphabet():
    """GPT-2's characters for bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    out = {byte: chr(byte) for byte in kept}
    for byte in range(256):
        if byte not in out:
            out[byte] = chr(256 + len(out) - len(kept))
    return out


def tokenizer_json(meta):
    """A byte-level BPE vocabulary as a tokenizer.json."""
    pattern, nfc, ignore_merges = PRE[meta["tokenizer.ggml.pre"].decode()]
    tokens = [token.decode() for token in meta["tokenizer.ggml.tokens"]]
    kinds = meta["tokenizer.ggml.token_type"]
    added = [
        {"id": id, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": kind == 3}
        for id, (text, kind) in enumerate(zip(tokens, kinds)) if kind in (3, 4)
    ]
    return json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "NFC"} if nfc else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": ignore_merges,
                  "vocab": {text: id for id, (text, kind) in enumerate(zip(tokens, kinds)) if kind == 1},
                  "merges": [merge.decode() for merge in meta["tokenizer.ggml.merges"]]}}, ensure_ascii=False)


def tiktoken_ranks(meta):
    """A byte-level BPE vocabulary whose ids are in the order of its merges, as bytes to rank, and its pattern."""
    back = {char: byte for byte, char in _alphabet().items()}
    ranks = {}
    for id, (token, kind) in enumerate(zip(meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"])):
        if kind == 1:
            ranks[bytes(back[char] for char in token.decode())] = id
    return ranks, PRE[meta["tokenizer.ggml.pre"].decode()][0]


def tiktoken_file(ranks):
    return b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for token, rank in ranks.items())


def _varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def _field(number, value):
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    return _varint(number << 3) + _varint(int(value))


def sentencepiece_model(meta):
    """A SentencePiece vocabulary (`llama` or `t5`) as a .model file."""
    unigram = meta["tokenizer.ggml.model"] == b"t5"
    kinds = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6}
    out = bytearray()
    has_bytes = False
    for token, score, kind in zip(meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.scores"],
                                  meta["tokenizer.ggml.token_type"]):
        has_bytes |= kind == 6
        out += _field(1, _field(1, token) + _field(2, float(score)) + _field(3, kinds[kind]))
    out += _field(2, _field(3, 1 if unigram else 2) + _field(35, has_bytes))
    charsmap = bytes(byte & 0xFF for byte in meta.get("tokenizer.ggml.precompiled_charsmap", []))
    squeeze = meta.get("tokenizer.ggml.remove_extra_whitespaces", unigram)
    prefix = meta.get("tokenizer.ggml.add_space_prefix", True)
    spec = _field(1, b"nmt_nfkc" if charsmap else b"identity") + _field(2, charsmap)
    return bytes(out + _field(3, spec + _field(3, prefix) + _field(4, squeeze) + _field(5, True)))
