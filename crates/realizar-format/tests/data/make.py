#!/usr/bin/env python3
"""Writes the golden files of this folder with the reference implementations.

    python make.py MODEL.gguf      (needs: pip install gguf safetensors numpy)

MODEL.gguf is copied and listed as well. See PROVENANCE.toml.
"""
import json, shutil, subprocess, sys, zlib
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).parent
SEED = 20261127


def write_types(path, convertible):
    """Every value type and arrays of them, and tensors; `convertible`: only types that gguf-convert-endian takes."""
    rng = np.random.default_rng(SEED)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -100)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -30000)
    writer.add_uint32("t.u32", 4_000_000_000)
    writer.add_int32("t.i32", -2_000_000_000)
    writer.add_float32("t.f32", 0.1)
    writer.add_bool("t.bool", True)
    writer.add_string("t.string", "größe\n")
    writer.add_uint64("t.u64", 2**63 + 1)
    writer.add_int64("t.i64", -(2**62))
    writer.add_float64("t.f64", 0.1)
    writer.add_array("t.strings", ["a", "", "größe"])
    writer.add_array("t.ints", [1, -2, 3])
    writer.add_array("t.floats", [0.5, -1.5])
    writer.add_array("t.bools", [True, False])
    floats = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    writer.add_tensor("f32", floats(3, 4))
    writer.add_tensor("f16", floats(2, 3, 5).astype(np.float16))
    if not convertible:
        write_unconvertible(writer, floats)
    for name in ["Q4_0", "Q8_0"]:
        kind = gguf.GGMLQuantizationType[name]
        writer.add_tensor(name.lower(), gguf.quantize(floats(2, 256), kind), raw_dtype=kind)
    # No quantiser in Python for these: any bytes are valid blocks.
    for name, size in [("Q4_K", 144), ("Q6_K", 210)]:
        kind = gguf.GGMLQuantizationType[name]
        writer.add_tensor(name.lower(), rng.integers(0, 256, (2, size), dtype=np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_unconvertible(writer, floats):
    writer.add_tensor("f64", floats(7).astype(np.float64))
    writer.add_tensor("i8", np.arange(5, dtype=np.int8))
    writer.add_tensor("i16", np.arange(5, dtype=np.int16))
    writer.add_tensor("i32", np.arange(6, dtype=np.int32).reshape(1, 2, 3, 1))
    writer.add_tensor("i64", np.arange(3, dtype=np.int64))
    bf16 = gguf.GGMLQuantizationType.BF16
    writer.add_tensor("bf16", gguf.quantize(floats(2, 256), bf16), raw_dtype=bf16)


def listing(path):
    """What the reference reader sees."""
    reader = gguf.GGUFReader(path)
    metadata = {}
    for key, field in reader.fields.items():
        if key.startswith("GGUF."):
            continue
        value = field.contents()
        if isinstance(value, list) and len(value) > 64:
            text = "\n".join(str(v) for v in value) if isinstance(value[0], str) else None
            value = {"len": len(value), "first": value[0], "last": value[-1]}
            if text is not None:
                value["crc32"] = zlib.crc32(text.encode())
        metadata[key] = value
    tensors = [
        {
            "name": t.name,
            "dtype": t.tensor_type.name,
            "shape": [int(d) for d in reversed(t.shape.tolist())],
            "offset": int(t.data_offset),
            "bytes": int(t.n_bytes),
            "crc32": zlib.crc32(t.data.tobytes()),
        }
        for t in reader.tensors
    ]
    return {"metadata": metadata, "tensors": tensors}


def main():
    little, big = HERE / "types.gguf", HERE / "types-big-endian.gguf"
    write_types(big, True)
    big.with_suffix(".json").write_text(json.dumps(listing(big), ensure_ascii=False, indent=1) + "\n")
    write_types(little, False)
    subprocess.run([Path(sys.executable).parent / "gguf-convert-endian", big, "big"], input=b"YES\n", check=True)
    model = HERE / "model.gguf"
    shutil.copy(sys.argv[1], model)
    for path in [little, model]:
        path.with_suffix(".json").write_text(json.dumps(listing(path), ensure_ascii=False, indent=1) + "\n")
    rng = np.random.default_rng(SEED)
    arrays = {
        "a.weight": rng.standard_normal((4, 8)).astype(np.float32),
        "b.weight": rng.standard_normal((2, 3, 4)).astype(np.float16),
        "c": np.array([[True, False]]),
        "d": np.arange(9, dtype=np.uint8),
        "empty": np.zeros((0, 3), dtype=np.int64),
        "scalar": np.array(7, dtype=np.uint16),
    }
    save_file(arrays, HERE / "types.safetensors", metadata={"format": "np", "größe": "ä"})
    tensors = [
        {"name": n, "dtype": str(a.dtype), "shape": list(a.shape), "crc32": zlib.crc32(a.tobytes())} for n, a in arrays.items()
    ]
    (HERE / "types.safetensors.json").write_text(json.dumps(tensors, indent=1) + "\n")


main()
