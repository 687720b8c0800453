"""Layouts of whole matrices, with something behind or between their rows."""

import struct

from drawn import scales_of, stored_of
from exact import away, bits_at, from_half, half, over, packed, peak_of, single


class Signed:
    """OxiBonsai's INT8: all bytes, then a single a row."""

    shape = 8, 96

    def stored(self, dice):
        rows, cols = self.shape
        return stored_of(dice, 1, rows * cols, []) + scales_of(dice, rows)

    def decode(self, data):
        rows, cols = self.shape
        scales = struct.unpack(f"<{rows}f", data[rows * cols :])
        for index, code in enumerate(struct.unpack(f"{rows * cols}b", data[: rows * cols])):
            yield single(code * scales[index // cols])

    def encode(self, values):
        cols, codes, scales = self.shape[1], [], []
        for at in range(0, len(values), cols):
            row = values[at : at + cols]
            scales.append(single(peak_of(row) / 127))
            units = [over(x, scales[-1]) for x in row]
            codes += [min(max(away(x), -127), 127) for x in units]
        return struct.pack(f"{len(codes)}b", *codes) + struct.pack(f"<{len(scales)}f", *scales)


class NoZero:
    """QK256, and what shares its codes under a scale for each 32, in the blocks or elsewhere."""

    shape = 3, 300
    meanings = (-2.0, -1.0, 1.0, 2.0)

    def __init__(self, block, scale):
        self.block, self.scale = block, scale
        self.blocks = -(-self.shape[1] // block)

    def stored(self, dice):
        size, halves = self.block // 4, []
        if self.scale == "inside":
            size, halves = size + 2, [size]
        count = self.shape[0] * self.blocks
        data = stored_of(dice, count, size, halves)
        return data + scales_of(dice, count if self.scale == "elsewhere" else 0)

    def decode(self, data):
        size = self.block // 4 + (2 if self.scale == "inside" else 0)
        behind = self.shape[0] * self.blocks * size
        for row in range(self.shape[0]):
            for col in range(self.shape[1]):
                block = row * self.blocks + col // self.block
                one = data[block * size : (block + 1) * size]
                scale = 1.0
                if self.scale == "inside":
                    scale = from_half(one[-2:])
                elif self.scale == "elsewhere":
                    (scale,) = struct.unpack_from("<f", data, behind + 4 * block)
                yield single(self.meanings[bits_at(one, 2, col % self.block)] * scale)

    def encode(self, values):
        out, scales = b"", []
        for row in range(self.shape[0]):
            row = values[row * self.shape[1] : (row + 1) * self.shape[1]]
            for at in range(0, self.shape[1], self.block):
                part = row[at : at + self.block]
                scales.append(single(peak_of(part) / 2))
                if self.scale == "inside":
                    scales[-1] = from_half(half(scales[-1]))
                inverse = 1.0 if self.scale == "none" else over(1.0, scales[-1])
                codes = [self.code(single(x * inverse)) for x in part]
                out += packed(codes + [0] * (self.block - len(codes)), 2)
                out += half(scales[-1]) if self.scale == "inside" else b""
        behind = scales if self.scale == "elsewhere" else []
        return out + struct.pack(f"<{len(behind)}f", *behind)

    @staticmethod
    def code(x):
        # Halfway goes away from zero, and there is no zero: it counts as positive.
        return (2 if x < 1.5 else 3) if x >= 0 else (1 if x > -1.5 else 0)


class Ternary:
    """The packings of I2_S: blocks of four runs, whose codes share bytes, and one scale."""

    shape = 8, 192

    def __init__(self, run):
        self.run = run

    def order(self):
        """The elements in the order of the file, four to a byte, the first in the highest bits."""
        for block in range(0, 8 * 192, 4 * self.run):
            for byte in range(self.run):
                yield [block + byte + run * self.run for run in range(4)]

    def stored(self, dice):
        return stored_of(dice, 1, 8 * 192 // 4, []) + scales_of(dice, 1) + bytes(28)

    def decode(self, data):
        (scale,) = struct.unpack_from("<f", data, 8 * 192 // 4)
        values = [0.0] * (8 * 192)
        for byte, elements in zip(data, self.order()):
            for place, element in enumerate(elements):
                code = byte >> 6 - 2 * place & 3
                values[element] = single((-1.0, 0.0, 1.0, 0.0)[code] * scale)
        return values

    def encode(self, values):
        codes = bytearray()
        for four in self.order():
            byte = 0
            for element in four:
                byte = byte << 2 | ternary_code(values[element])
            codes.append(byte)
        return bytes(codes) + struct.pack("<f", peak_of(values)) + bytes(28)


def ternary_code(x):
    return 1 if abs(x) < 1e-6 else 2 if x > 0 else 0


class Tables:
    """TL1 and TL2 of bitnet.cpp: for one shape, written in the order of the file."""

    shape = 1024, 4096

    @staticmethod
    def two(codes, row, pair):
        return 3 * codes[row * 4096 + 2 * pair] + codes[row * 4096 + 2 * pair + 1]


class Tl1(Tables):
    """Tiles of 128 rows and 64 columns, strips of 64 rows and 4 columns."""

    def encode(self, values):
        codes, out = [ternary_code(x) for x in values], bytearray()
        for tile in range(0, 1024, 128):
            for column in range(0, 2048, 32):
                for strip in range(tile, tile + 128, 64):
                    for block in range(column, column + 32, 2):
                        for row in range(strip, strip + 64):
                            first = self.two(codes, row, block)
                            out.append(first << 4 | self.two(codes, row, block + 1))
        return bytes(out) + struct.pack("<f", peak_of(values)) + bytes(28)


class Tl2(Tables):
    """Tiles of 256 rows and 96 columns in threes, the last 64 columns in twos."""

    threes = 4096 // 96 * 96

    @staticmethod
    def rows_of(tile, strip):
        """32 rows, of which the second eight come third."""
        return [tile + strip + eight * 8 + row for eight in (0, 2, 1, 3) for row in range(8)]

    def encode(self, values):
        codes = [ternary_code(x) for x in values]
        sizes, signs, twos = bytearray(), bytearray(), bytearray()
        number = lambda row, three: sum(
            (codes[row * 4096 + 3 * three + place] - 1) * 3 ** (2 - place) for place in range(3)
        )
        for tile in range(0, 1024, 256):
            for column in range(0, self.threes // 3, 32):
                for strip in range(0, 256, 32):
                    for at in range(column, column + 32, 2):
                        for row in self.rows_of(tile, strip):
                            sizes.append(abs(number(row, at)) << 4 | abs(number(row, at + 1)))
                    for at in range(column, column + 32, 8):
                        for row in range(tile + strip, tile + strip + 16):
                            word = 0
                            for three in range(at, at + 8):
                                for one in (row, row + 16):
                                    word = word << 1 | (number(one, three) < 0)
                            signs += struct.pack("<H", word)
            for column in range(self.threes // 2, 2048, 16):
                for strip in range(0, 256, 32):
                    for at in range(column, column + 16, 2):
                        for row in self.rows_of(tile, strip):
                            first = self.two(codes, row, at)
                            twos.append(first << 4 | self.two(codes, row, at + 1))
        data = sizes + signs + twos
        room = (4096 - 256) * 1024 // 3 * 5 // 8 + 256 * 1024 // 2 * 4 // 8
        room = -(-room // 32) * 32
        data += bytes(room - len(data))
        return bytes(data) + struct.pack("<f", peak_of(values)) + bytes(28)


MATRICES = {
    "int8_per_channel": Signed(),
    "qk256": NoZero(256, "none"),
    "bitnet32-f16": NoZero(32, "inside"),
    "split32": NoZero(32, "elsewhere"),
    "i2_s-p128": Ternary(32),
    "i2_s-p64": Ternary(16),
    "i2_s-p4r": Ternary(192),
    "tl1": Tl1(),
    "tl2": Tl2(),
}
