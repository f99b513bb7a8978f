#!/usr/bin/env python3
"""Random Unicode texts through this crate and through the library that a file belongs to: every difference is printed.

    pip install tokenizers sentencepiece tiktoken
    cargo build --release -p realizar-benches --example tokenizer
    python3 benches/tokenizers/differential.py --program target/release/examples/tokenizer FILE...

FILE is a tokenizer.json, a tekken.json (any file whose name begins so), a SentencePiece .model, or a GGUF vocabulary of
a kind that `sources.py` can rewrite. Ids are compared for each text, places and decoded text too where the library gives
them. The exit code is 1 if anything differs. Where characters vanish, since the vocabulary has no token for them, places
do: the library counts from the text that is left, we from the text that was given (`--what ids decode --` leaves them out).
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import sources
import texts

WORDS = [word for line in texts.ENGLISH.splitlines() for word in line.split()]
SPECIAL = ["<s>", "</s>", "<unk>", "<pad>", "<mask>", "[CLS]", "[SEP]", "[UNK]", "[MASK]", "<|endoftext|>",
           "<|im_start|>", "<|im_end|>", "<0x0A>", "##", "</w>", "\u2581", "\u0120", "\u010a"]
SPACES = " \t\n\r\x0b\x0c\x85\xa0\u1680\u2000\u2003\u2009\u200a\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u3000\ufeff"
# Blocks that text is made of, letters and marks that join, and everything.
BLOCKS = [(0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x530, 0x6FF), (0x900, 0xDFF),
          (0xE00, 0x11FF), (0x1E00, 0x20FF), (0x2100, 0x2BFF), (0x2E80, 0x33FF), (0x3400, 0x9FFF), (0xA000, 0xABFF),
          (0xAC00, 0xD7A3), (0xF900, 0xFFFF), (0x10000, 0x1FFFF), (0x1F000, 0x1FAFF), (0x20000, 0x323AF), (0, 0x10FFFF)]


def character(rng, block):
    while True:
        code = rng.randint(*block)
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)


def random_text(rng):
    parts = []
    for _ in range(rng.randint(1, 8)):
        kind = rng.random()
        if kind < 0.25:
            parts.append(rng.choice(WORDS))
        elif kind < 0.35:
            parts.append(rng.choice(SPACES) * rng.choice((1, 1, 1, 2, 3, 9)))
        elif kind < 0.42:
            parts.append(rng.choice(SPECIAL))
        elif kind < 0.50:
            parts.append(str(rng.randint(0, 10 ** rng.randint(1, 12))))
        elif kind < 0.55:
            parts.append("".join(rng.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") for _ in range(rng.randint(1, 6))))
        elif kind < 0.60:
            text = rng.choice(WORDS) + character(rng, (0xC0, 0x24F)) + character(rng, (0x300, 0x36F))
            parts.append(unicodedata.normalize(rng.choice(("NFC", "NFD", "NFKC", "NFKD")), text))
        else:
            block = rng.choice(BLOCKS)
            parts.append("".join(character(rng, block) for _ in range(rng.randint(1, 8))))
        if rng.random() < 0.5:
            parts.append(" ")
    return "".join(parts)


class Ours:
    """Our program, fed in the background."""

    def __init__(self, program, file, lines, *pattern):
        self.process = subprocess.Popen([program, "answers", str(file), *pattern], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        threading.Thread(target=self.feed, args=(lines,), daemon=True).start()

    def feed(self, lines):
        with self.process.stdin as pipe:
            for line in lines:
                pipe.write(json.dumps(line).encode() + b"\n")

    def __iter__(self):
        return (json.loads(line) for line in self.process.stdout)


def of_json(data):
    import tokenizers
    library = tokenizers.Tokenizer.from_str(data)
    library.no_truncation()
    library.no_padding()

    def answer(text):
        encoding = library.encode(text)
        start_of = [0]
        for char in text:
            start_of.append(start_of[-1] + len(char.encode()))
        offsets = [start_of[at] for place in encoding.offsets for at in place]
        return {"ids": encoding.ids, "offsets": offsets, "decode": library.decode(encoding.ids)}

    return f"tokenizers {tokenizers.__version__}", answer, {"add_special": True, "parse_special": True}


def of_model(data):
    import sentencepiece
    library = sentencepiece.SentencePieceProcessor(model_proto=data)

    def answer(text):
        ids = library.encode(text)
        return {"ids": ids, "decode": library.decode(ids)}

    return f"sentencepiece {sentencepiece.__version__}", answer, {}


def of_ranks(meta):
    import tiktoken
    ranks, pattern = sources.tiktoken_ranks(meta)
    library = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return (f"tiktoken {getattr(tiktoken, '__version__', '')}", lambda text: {"ids": library.encode_ordinary(text)}, {},
            sources.tiktoken_file(ranks), pattern)


def of_tekken(data):
    """As Mistral's library does it: tiktoken with the file's first ranks, whose ids come after the special tokens."""
    import base64
    import tiktoken
    config = data["config"]
    special = config["default_num_special_tokens"]
    ranks = {base64.b64decode(row["token_bytes"]): row["rank"]
             for row in data["vocab"][:config["default_vocab_size"] - special]}
    library = tiktoken.Encoding("x", pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={})

    def answer(text):
        ids = library.encode_ordinary(text)
        return {"ids": [id + special for id in ids], "decode": library.decode(ids)}

    return f"tiktoken {getattr(tiktoken, '__version__', '')}", answer, {}


def compare(args, name, file, peer, answer, options, *pattern):
    rng = random.Random(args.seed)
    lines = [{"text": random_text(rng), **options} for _ in range(args.count)]
    differences = shown = 0
    for line, mine in zip(lines, Ours(args.program, file, lines, *pattern), strict=True):
        wanted = answer(line["text"])
        wrong = [key for key in wanted if key in args.what and wanted[key] != mine[key]]
        if wrong:
            differences += 1
            if shown < args.show:
                shown += 1
                print(f"  {ascii(line['text'])}")
                for key in wrong:
                    print(f"    {key}: ours {ascii(mine[key])}\n    {key}: its  {ascii(wanted[key])}")
    print(f"{name}: {peer}, {len(lines)} texts, {differences} differ", flush=True)
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--what", nargs="+", default=["ids", "offsets", "decode"], help="what is compared")
    parser.add_argument("--show", type=int, default=5)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    differences = 0
    with tempfile.TemporaryDirectory() as folder:
        for file in args.files:
            if file.name.startswith("tekken"):
                data = json.loads(file.read_text(encoding="utf-8"))
                differences += compare(args, file.stem, file, *of_tekken(data))
                continue
            if file.suffix == ".json":
                differences += compare(args, file.stem, file, *of_json(file.read_text(encoding="utf-8")))
                continue
            if file.suffix == ".model":
                differences += compare(args, file.stem, file, *of_model(file.read_bytes()))
                continue
            meta, again = sources.metadata(file), pathlib.Path(folder) / file.stem
            if meta["tokenizer.ggml.model"] == b"gpt2":
                text = sources.tokenizer_json(meta)
                again = again.with_suffix(".json")
                again.write_text(text, encoding="utf-8")
                differences += compare(args, f"{file.stem} as tokenizer.json", again, *of_json(text))
                peer, answer, options, ranks, pattern = of_ranks(meta)
                again = again.with_suffix(".tiktoken")
                again.write_bytes(ranks)
                differences += compare(args, f"{file.stem} as ranks", again, peer, answer, options, pattern)
            else:
                data = sources.sentencepiece_model(meta)
                again = again.with_suffix(".model")
                again.write_bytes(data)
                differences += compare(args, f"{file.stem} as .model", again, *of_model(data))
    sys.exit(differences > 0)


if __name__ == "__main__":
    main()
