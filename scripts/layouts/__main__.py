"""Writes what follows from the layouts of weights that no C++ here reads or writes.

    python3 -B scripts/layouts >fixtures/layouts.json

A second reading of each layout, in another language and element by element, of stored bytes and
of values that a seed makes. The file holds a hash of what the bytes mean, and one of the bytes
that the values become; `harness weights` compares the engine with it.
"""

import hashlib
import json
import struct
import sys

from blocks import BLOCKS
from drawn import Dice, stored_of, values_of
from matrices import MATRICES, Tables

SEED = 1


def digest(values):
    """Hash of values, of which every NaN is one and the same."""
    nan = struct.pack("<I", 0x7FC00000)
    one = lambda x: nan if x != x else struct.pack("<f", x)
    return hashlib.sha256(b"".join(map(one, values))).hexdigest()


def seen(dice, name, layout):
    """What the layout makes of stored bytes, and the bytes that values become."""
    if name in BLOCKS:
        shape = 4, 1024
        stored = stored_of(dice, 4096 // layout.block, layout.size, layout.halves)
        blocks = (stored[at : at + layout.size] for at in range(0, len(stored), layout.size))
        decoded = [value for block in blocks for value in layout.decode(block)]
        values = values_of(dice, 4096)
        cut = range(0, 4096, layout.block)
        encoded = b"".join(layout.encode(values[at : at + layout.block]) for at in cut)
    elif isinstance(layout, Tables):
        shape = layout.shape
        values = [0.5 * (dice.below(3) - 1.0) for _ in range(shape[0] * shape[1])]
        encoded, decoded = layout.encode(values), values
    else:
        shape = layout.shape
        count = shape[0] * shape[1]
        stored = layout.stored(dice)
        decoded = list(layout.decode(stored))
        values = values_of(dice, -(-count // 32) * 32)[:count]
        encoded = layout.encode(values)
    return {
        "rows": shape[0],
        "cols": shape[1],
        "decoded": digest(decoded),
        "encoded": hashlib.sha256(encoded).hexdigest(),
    }


def threes(data):
    return sum(byte >> shift & 3 == 3 for byte in data for shift in (0, 2, 4, 6))


def counted(dice):
    """How many codes are 3 in the bytes that I2_S and QK256 would read of a matrix of 64 by 320.
    The first page of them has one alone."""
    page = bytearray(sum(dice.below(3) << shift for shift in (0, 2, 4, 6)) for _ in range(4096))
    page[17] |= 0xC0
    data = bytes(page) + stored_of(dice, 1, 64 * 128 - 4096, [])
    return {"rows": 64, "cols": 320, "i2_s": threes(data[: 64 * 80]), "qk256": threes(data)}


def main():
    formats = {}
    for name, layout in {**BLOCKS, **MATRICES}.items():
        dice = Dice(SEED)
        formats[name] = seen(dice, name, layout)
        print(name, file=sys.stderr)
    record = {"schema_version": 1, "seed": SEED, "threes": counted(Dice(SEED)), "formats": formats}
    json.dump(record, sys.stdout, indent=1)
    print()


main()
