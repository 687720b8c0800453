"""Reads GGUF files with the Python package `gguf` and compares every value with this engine's.

    read-with-gguf.py F32.gguf FILE.gguf...

F32.gguf holds the values as the engine decodes them (`harness export --format f32`, or `harness
convert --type f32`); each FILE holds the same tensors in a type that the package can decode. What
differs by a bit, or is missing, is an error.
"""

import sys

import numpy
from gguf import GGUFReader
from gguf.quants import dequantize


def tensors(path):
    for tensor in GGUFReader(path).tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        yield tensor.name, tensor.tensor_type.name, values.astype(numpy.float32).reshape(-1)


def main(expected_path, *paths):
    wrong = 0
    expected = {name: values for name, _, values in tensors(expected_path)}
    for path in paths:
        found = {name: (kind, values) for name, kind, values in tensors(path)}
        for name, values in expected.items():
            kind, theirs = found.get(name, ("nothing", numpy.empty(0)))
            if theirs.size != values.size or not numpy.array_equal(values, theirs):
                differ = values.size if theirs.size != values.size else (values != theirs).sum()
                print(f"{path}: {name} as {kind}: {differ} of {values.size} values differ")
                wrong += 1
        kinds = sorted({kind for kind, _ in found.values()})
        print(f"{path}: {len(found)} tensors in {', '.join(kinds)}")
    return 1 if wrong or not expected else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
