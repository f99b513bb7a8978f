"""What our GGUF writer writes, read back by the `gguf` package of llama.cpp.

    python gguf_readback.py PROGRAM FILE.gguf...

Each file is written again by `PROGRAM convert FILE COPY.gguf`, and both are read by `gguf.GGUFReader`: keys, types, values,
names, shapes, types and bytes of the tensors must be equal. Needs `pip install gguf`.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from gguf import GGUFReader


def fields(reader):
    """Key, types and raw value of every entry but those that say where the others are."""
    found = {}
    for key, field in reader.fields.items():
        if key.startswith("GGUF."):
            continue
        found[key] = ([int(kind) for kind in field.types], [field.parts[at].tobytes() for at in field.data])
    return found


def tensors(reader):
    return {
        tensor.name: (int(tensor.tensor_type), tuple(int(dim) for dim in tensor.shape), numpy.asarray(tensor.data).tobytes())
        for tensor in reader.tensors
    }


def main():
    program, files = sys.argv[1], sys.argv[2:]
    entries = weights = 0
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            copy = Path(folder) / "copy.gguf"
            subprocess.run([program, "convert", file, str(copy), "--quiet"], check=True)
            theirs, ours = GGUFReader(file), GGUFReader(str(copy))
            assert list(fields(theirs)) == list(fields(ours)), file
            written = fields(ours)
            for key, value in fields(theirs).items():
                assert written[key] == value, f"{file}: {key}"
            assert tensors(theirs) == tensors(ours), file
            entries += len(written)
            weights += len(ours.tensors)
            copy.unlink()
    print(f"{len(files)} files: {entries} entries and {weights} tensors are equal")


main()
