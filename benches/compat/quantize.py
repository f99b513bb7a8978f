"""Files that `realizar-cli quantize` makes, beside those of llama-quantize: they must be equal, byte for byte.

    python quantize.py REALIZAR_CLI LLAMA_QUANTIZE [--wide] [--flags] [--types A,B] FILE.gguf...

For every file, every type that llama-quantize lists, without and with importance weights (drawn at random, in the older
format). What one program refuses the other must refuse too. `--wide` first makes of every file one of the same architecture,
metadata and names with 16 layers and rows of 256, so that all rules of the recipes come into play; its weights are drawn.
`--flags` takes the other flags instead of the list of types. Needs Python alone. The last line sums up; the exit code is 1 if
anything differs that is not explained: where the reference misplaces the rest of an IQ3_S block behind a group of zeros.
"""

import argparse
import random
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

LAYERS, COLUMNS, ROWS = 16, 256, 2
# Bytes of the plain metadata types; 8 is a string, 9 an array.
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# Block length, block bytes by type number.
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84), 11: (256, 110),
    12: (256, 144), 13: (256, 176), 14: (256, 210), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50),
    20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18), 42: (64, 18),
}
IQ3_S = 21

# Flags, each with two types of its own.
FLAGS = [
    (["--pure"], ["Q4_K_M", "Q6_K", "Q4_0", "F16"]),
    (["--leave-output-tensor"], ["Q4_K_M", "Q8_0", "IQ4_XS"]),
    (["--output-tensor-type", "q5_K"], ["Q4_K_M", "Q2_K", "F16"]),
    (["--token-embedding-type", "iq4_nl"], ["Q4_K_M", "Q5_0", "BF16"]),
    (["--output-tensor-type", "F32", "--token-embedding-type", "Q8_0"], ["Q3_K_L", "Q4_0"]),
    (["--pure", "--output-tensor-type", "q4_1", "--token-embedding-type", "q3_K"], ["Q5_K_M", "Q8_0"]),
    (["--pure", "--leave-output-tensor"], ["Q4_K_S"]),
    # Anywhere in the name, not the whole of it.
    (["--tensor-type", "attn=q8_0"], ["Q4_K_M"]),
    (["--tensor-type", "attn_v=q8_0", "--tensor-type", "attn=q4_1"], ["Q4_K_M"]),
    # The first that matches counts, however exact the second is.
    (["--tensor-type", "attn=q4_1", "--tensor-type", "^blk\\.0\\.attn_v\\.weight$=q8_0"], ["Q4_K_M"]),
    # Case is of no account.
    (["--tensor-type", "ATTN_K=F16"], ["Q4_K_M"]),
    (["--tensor-type", "BLK\\.1\\..*=q6_k"], ["Q2_K"]),
    (["--tensor-type", "ffn_(up|gate)=q5_0", "--tensor-type", "ffn_down=q5_1"], ["Q4_K_M", "Q8_0"]),
    (["--tensor-type", "blk\\.([0-3]|1[0-5])\\.=iq4_xs"], ["Q4_K_M"]),
    (["--tensor-type", "\\.\\d+\\.ffn=q4_0", "--tensor-type", "[^0-9]1\\.=q6_K"], ["Q3_K_M"]),
    (["--tensor-type", "output=q4_0"], ["Q6_K"]),
    (["--tensor-type", "token_embd=q4_0"], ["Q6_K"]),
    (["--tensor-type", "output=q4_0", "--output-tensor-type", "q8_0"], ["Q6_K"]),
    (["--tensor-type", "norm=q8_0"], ["Q4_K_M"]),
    (["--tensor-type", "\\bweight$=q4_0"], ["Q4_K_M", "F16"]),
    (["--tensor-type", "attn_q=q8_0", "--pure"], ["Q4_K_M"]),
    (["--tensor-type", "nothing_has_this_name=q8_0"], ["Q4_K_M"]),
    (["--tensor-type", "a.{3}_q=q5_1"], ["Q4_K_M"]),
    (["--tensor-type", "(attn|ffn)_\\w+=bf16"], ["IQ4_NL"]),
]


class Reader:
    """Walks over the bytes of a GGUF file."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code):
        return struct.unpack("<" + code, self.take(struct.calcsize(code)))[0]

    def string(self):
        return self.take(self.number("Q"))

    def skip(self, kind):
        if kind == 8:
            self.string()
        elif kind == 9:
            item, count = self.number("I"), self.number("Q")
            for _ in range(count if item in (8, 9) else 0):
                self.skip(item)
            self.take(0 if item in (8, 9) else SIZES[item] * count)
        else:
            self.take(SIZES[kind])


class Model:
    """Metadata as (type, bytes) by key; tensors as (dimensions, type, bytes) by name."""

    def __init__(self, path):
        reader = Reader(Path(path).read_bytes())
        assert reader.take(4) == b"GGUF" and reader.number("I") in (2, 3), path
        tensors, entries = reader.number("Q"), reader.number("Q")
        self.metadata, self.tensors, places = {}, {}, []
        for _ in range(entries):
            key, kind = reader.string().decode(), reader.number("I")
            start = reader.at
            reader.skip(kind)
            self.metadata[key] = (kind, reader.data[start : reader.at])
        for _ in range(tensors):
            name = reader.string().decode()
            dims = [reader.number("Q") for _ in range(reader.number("I"))]
            places.append((name, dims, reader.number("I"), reader.number("Q")))
        alignment = self.number("general.alignment") or 32
        base = -(-reader.at // alignment) * alignment
        for name, dims, kind, offset in places:
            elems = 1
            for dim in dims:
                elems *= dim
            block, size = BLOCKS[kind]
            self.tensors[name] = (dims, kind, reader.data[base + offset : base + offset + elems // block * size])

    def number(self, key):
        kind, value = self.metadata.get(key, (None, b""))
        return int.from_bytes(value, "little") if kind in (0, 2, 4, 10) else None

    def write(self, path):
        text = lambda data: struct.pack("<Q", len(data)) + data
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.metadata))
        head += b"".join(text(key.encode()) + struct.pack("<I", kind) + value for key, (kind, value) in self.metadata.items())
        data = b""
        pad = lambda size: b"\0" * (-size % 32)
        for name, (dims, kind, content) in self.tensors.items():
            head += text(name.encode()) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, len(data))
            data += content + pad(len(content))
        Path(path).write_bytes(head + pad(len(head)) + data)


def widened(path, seed):
    """The same model with more layers and longer rows."""
    model, draw = Model(path), random.Random(seed)
    model.metadata.pop("general.alignment", None)
    architecture = model.metadata["general.architecture"][1][8:].decode()
    layers = model.number(f"{architecture}.block_count")
    for key, (kind, value) in model.metadata.items():
        if kind == 9 and key.startswith(f"{architecture}."):
            item, count = struct.unpack("<IQ", value[:12])
            if count == layers and item in SIZES:
                size = SIZES[item]
                values = [value[12 + size * (at % count) :][:size] for at in range(LAYERS)]
                model.metadata[key] = (kind, struct.pack("<IQ", item, LAYERS) + b"".join(values))
    if layers:
        kind = model.metadata[f"{architecture}.block_count"][0]
        model.metadata[f"{architecture}.block_count"] = (kind, LAYERS.to_bytes(SIZES[kind], "little"))
    tensors = {}
    for name, (dims, kind, _) in model.tensors.items():
        found = re.match(r"blk\.(\d+)\.(.*)", name)
        copies = range(int(found[1]), LAYERS, layers) if found and layers else [None]
        for layer in copies:
            new = name if layer is None else f"blk.{layer}.{found[2]}"
            wide = [COLUMNS, *(min(dim, ROWS) for dim in dims[1:])] if len(dims) > 1 else dims
            elems = 1
            for dim in wide:
                elems *= dim
            values = [draw.gauss(0, 0.05) for _ in range(elems)]
            code = "e" if kind == 1 and len(dims) > 1 else "f"
            tensors[new] = (wide, 1 if code == "e" else 0, struct.pack(f"<{elems}{code}", *values))
    model.tensors = tensors
    return model


def importance(model, path, seed):
    """Random importance weights for every matrix."""
    draw = random.Random(seed)
    matrices = [(name, dims) for name, (dims, *_) in model.tensors.items() if len(dims) > 1]
    out = struct.pack("<i", len(matrices))
    for name, dims in matrices:
        count = dims[0] * (dims[2] if len(dims) > 2 else 1)
        values = [draw.expovariate(1.0) * 50 for _ in range(count)]
        out += struct.pack("<i", len(name)) + name.encode() + struct.pack(f"<ii{count}f", 50, count, *values)
    out += struct.pack("<ii", 7, 4) + b"text"
    Path(path).write_bytes(out)


def decoded_zero_gap(source, name):
    """Whether a block of 256 of the tensor has a group of 32 zeros before other weights."""
    dims, kind, data = source.tensors[name]
    size = BLOCKS[kind][1]
    for start in range(0, len(data), 256 * size):
        zero = [not any(data[start + at * 32 * size :][: 32 * size]) for at in range(8)]
        if any(a and not b for a, b in zip(zero, zero[1:])):
            return True
    return False


class Sweep:
    def __init__(self, ours, reference, folder):
        self.ours, self.reference, self.folder = ours, reference, folder
        self.equal = self.refused = self.explained = 0
        self.wrong = []

    def types(self):
        text = subprocess.run([self.reference, "--help"], capture_output=True, text=True)
        return re.findall(r"^ +(?:\d+  or  | +)(\w+) +:", text.stdout + text.stderr, re.M)

    def run(self, source, model, target, flags):
        case = f"{Path(source).name} {target} {' '.join(flags)}"
        theirs, ours = self.folder / "theirs.gguf", self.folder / "ours.gguf"
        for path in (theirs, ours):
            path.unlink(missing_ok=True)
        # Both name the file of importance weights in the metadata: they get the same path.
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        a = subprocess.run([self.reference, *flags, source, theirs, target, "1"], **quiet)
        b = subprocess.run([self.ours, "quantize", source, ours, target, *flags, "--threads", "1", "-q"], **quiet)
        if a.returncode or b.returncode:
            if bool(a.returncode) == bool(b.returncode):
                self.refused += 1
                return
            last = (a.stderr if a.returncode else b.stderr).strip().splitlines()[-1:]
            self.wrong.append(f"{case}: theirs ends with {a.returncode}, ours with {b.returncode}: {last}")
            return
        if theirs.read_bytes() == ours.read_bytes():
            self.equal += 1
            return
        theirs, ours = Model(theirs), Model(ours)
        different = [name for name in theirs.tensors if theirs.tensors[name] != ours.tensors.get(name)]
        gaps = [name for name in different if ours.tensors[name][1] == IQ3_S and decoded_zero_gap(model, name)]
        if different and different == gaps and theirs.metadata == ours.metadata:
            self.explained += 1
            return
        keys = [key for key in {**theirs.metadata, **ours.metadata} if theirs.metadata.get(key) != ours.metadata.get(key)]
        kinds = lambda found, name: found.tensors.get(name, (0, "none"))[1]
        tensors = [f"{name} ({kinds(theirs, name)}, {kinds(ours, name)})" for name in different[:4]]
        self.wrong.append(f"{case}: {len(different)} tensors differ {tensors}, keys {keys[:4]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ours")
    parser.add_argument("reference")
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--flags", action="store_true")
    parser.add_argument("--types", type=lambda text: text.split(","))
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        sweep = Sweep(args.ours, args.reference, folder)
        types = args.types or sweep.types()
        for number, file in enumerate(args.files):
            source, model = file, None
            if args.wide:
                source = folder / Path(file).name
                widened(file, number).write(source)
            model = Model(source)
            weights = folder / "imatrix.dat"
            importance(model, weights, number)
            again = [] if all(kind in (0, 1, 30) for _, kind, _ in model.tensors.values()) else ["--allow-requantize"]
            with_weights = [[], ["--imatrix", str(weights)]]
            if args.flags:
                cases = [(target, flags + extra) for flags, targets in FLAGS for target in targets for extra in with_weights]
            else:
                cases = [(target, extra) for target in types for extra in with_weights]
            for target, flags in cases:
                sweep.run(str(source), model, target, again + flags)
            print(f"{Path(file).name}: {len(cases)} runs, {len(sweep.wrong)} wrong so far", flush=True)
            if args.wide:
                source.unlink()
    for line in sweep.wrong:
        print(line)
    print(
        f"{len(args.files)} files, {len(types) if not args.flags else len(FLAGS)} types or flags: {sweep.equal} pairs equal, "
        f"{sweep.refused} refused by both, {sweep.explained} explained, {len(sweep.wrong)} wrong"
    )
    sys.exit(bool(sweep.wrong))


main()
