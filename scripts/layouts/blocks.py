"""Layouts in blocks that stand alone."""

import math
import struct

from exact import away, bits_at, from_half, half, over, packed, peak_of, single


class Signs:
    """Q1_0, and OxiBonsai's with the signs turned around and the largest magnitude as scale."""

    block, size, halves = 128, 18, [0]

    def __init__(self, negated):
        self.negated = negated

    def decode(self, block):
        scale = from_half(block[:2])
        for index in range(128):
            plus = bits_at(block[2:], 1, index) != self.negated
            yield scale if plus else -scale

    def encode(self, values):
        total = 0.0
        for x in values:
            total = single(total + abs(x))
        scale = peak_of(values) if self.negated else single(total / 128)
        signs = [int(x < 0) if self.negated else int(x >= 0) for x in values]
        return half(scale) + packed(signs, 1)


class Pairs:
    """Q2_0, PQ2_0 and TQ2_0_g128: two bits each and a scale before or behind them."""

    def __init__(self, block, behind):
        self.block, self.behind = block, behind
        self.size, self.halves = 2 + block // 4, [block // 4 if behind else 0]

    def decode(self, block):
        codes = block[:-2] if self.behind else block[2:]
        scale = from_half(block[-2:] if self.behind else block[:2])
        meanings = (-1.0, 0.0, 1.0, 0.0 if self.behind else 2.0)
        for index in range(self.block):
            yield single(meanings[bits_at(codes, 2, index)] * scale)

    def encode(self, values):
        scale = peak_of(values)
        inverse = over(1.0, scale)
        if self.behind:
            limit = single(0.5 * scale)
            code = lambda x: 1 if not scale else 2 if x >= limit else 0 if x <= -limit else 1
        else:
            code = lambda x: min(max(away(single(x * inverse)) + 1, 0), 3)
        codes = packed([code(x) for x in values], 2)
        return codes + half(scale) if self.behind else half(scale) + codes


class Trits:
    """PTQ1_0: base three, as a fraction of 256, in 16, 8 and 2 bytes."""

    block, size, halves = 128, 28, [26]
    parts = [(0, 0, 16, 5), (80, 16, 8, 5), (120, 24, 2, 4)]

    def decode(self, block):
        scale, values = from_half(block[26:]), [None] * 128
        for element, byte, count, trits in self.parts:
            for m in range(count):
                fraction = block[byte + m]
                for n in range(trits):
                    digit, fraction = fraction * 3 // 256, fraction * 3 % 256
                    values[element + m + n * count] = single((digit - 1.0) * scale)
        return values

    def encode(self, values):
        scale = peak_of(values)
        inverse, out = over(1.0, scale), bytearray()
        for element, _, count, trits in self.parts:
            for m in range(count):
                number = 0
                for n in range(5):
                    x = values[element + m + n * count] if n < trits else None
                    number = 3 * number + (0 if x is None else away(single(x * inverse)) + 1)
                out.append(-(-number * 256 // 243))
        return bytes(out) + half(scale)


class Floats:
    """Floats of eight bits, 32 under a scale that is behind them."""

    block, size, halves = 32, 34, [32]

    def __init__(self, mantissa, bias, largest):
        self.mantissa, self.bias, self.largest = mantissa, bias, largest
        self.values = [self.value(byte) for byte in range(largest + 1)]

    def value(self, byte):
        one = 1 << self.mantissa
        exponent, mantissa = (byte & 127) // one, byte % one
        if byte & 127 > self.largest:
            # Only where two bits are left is there room for an infinity.
            size = math.inf if self.mantissa == 2 and not mantissa else math.nan
        elif exponent == 0:
            size = mantissa / one * 2.0 ** (1 - self.bias)
        else:
            size = (1 + mantissa / one) * 2.0 ** (exponent - self.bias)
        return -size if byte & 128 else size

    def decode(self, block):
        scale = from_half(block[32:])
        for byte in block[:32]:
            yield single(self.value(byte) * scale)

    def nearest(self, x):
        size = min(abs(x), self.values[-1])
        rank = lambda byte: (abs(self.values[byte] - size), byte % 2)
        byte = min(range(len(self.values)), key=rank)
        return byte | (128 if math.copysign(1, x) < 0 else 0)

    def encode(self, values):
        kept = half(single(peak_of(values) / self.values[-1]))
        inverse = over(1.0, from_half(kept))
        return bytes(self.nearest(single(x * inverse)) for x in values) + kept


class Nibbles:
    """OxiBonsai's Q4_0, neighbours in a byte."""

    block, size, halves = 32, 18, [0]

    def decode(self, block):
        scale = from_half(block[:2])
        for index in range(32):
            yield single(scale * (bits_at(block[2:], 4, index) - 8))

    def encode(self, values):
        kept = half(single(peak_of(values) / 7))
        scale = from_half(kept)
        inverse = single(1 / scale) if scale > 0 else 0.0
        code = lambda x: int(min(max(single(single(x * inverse) + 8.5), 0.0), 15.0))
        return kept + packed([code(x) for x in values], 4)


class Asymmetric:
    """OxiBonsai's Q4_K and Q5_K: codes in order, six bits of scale and minimum for each 32."""

    block, halves = 256, [0, 2]

    def __init__(self, fifth):
        self.fifth, self.size = fifth, 176 if fifth else 144

    def decode(self, block):
        scale, minimum = from_half(block[:2]), from_half(block[2:4])
        six = lambda at, group: (
            bits_at(block[4 + 4 * at :], 4, group) | bits_at(block[12 + 2 * at :], 2, group) << 4
        )
        for index in range(256):
            code = bits_at(block[-128:], 4, index)
            code += bits_at(block[16:48], 1, index) << 4 if self.fifth else 0
            unit = single(scale * six(0, index // 32))
            yield single(single(unit * code) - single(minimum * six(1, index // 32)))

    @staticmethod
    def in_six_bits(parts):
        unit = single(max(0.0, *parts) / 63)
        inverse = over(1.0, unit)
        number = lambda x: int(min(single(single(x * inverse) + 0.5), 63.0))
        return unit, [number(x) for x in parts]

    def encode(self, values):
        most = 31 if self.fifth else 15
        groups = [values[at : at + 32] for at in range(0, 256, 32)]
        minima = [-min(0.0, *group) for group in groups]
        ranges = [max(single(max(g) + m), 0.0) for g, m in zip(groups, minima)]
        scale, scales = self.in_six_bits([single(x / most) for x in ranges])
        minimum, offsets = self.in_six_bits(minima)
        codes = []
        for index, x in enumerate(values):
            unit = single(scale * scales[index // 32])
            above = single(x + single(minimum * offsets[index // 32]))
            inverse = over(1.0, unit)
            code = single(single(above * inverse) + 0.5)
            codes.append(int(min(max(code, 0.0), float(most))))
        low = [part % 16 for part in scales], [part % 16 for part in offsets]
        high = [part // 16 for part in scales], [part // 16 for part in offsets]
        out = half(scale) + half(minimum) + packed(low[0], 4) + packed(low[1], 4)
        out += packed(high[0], 2) + packed(high[1], 2)
        out += packed([code >> 4 for code in codes], 1) if self.fifth else b""
        return out + packed([code & 15 for code in codes], 4)


class Six:
    """OxiBonsai's Q6_K: nibbles, pairs of bits, 16 signed scales, a half."""

    block, size, halves = 256, 210, [208]

    def decode(self, block):
        scale = from_half(block[208:])
        own = struct.unpack("16b", block[192:208])
        for index in range(256):
            code = bits_at(block, 4, index) + 16 * bits_at(block[128:], 2, index)
            yield single(single(scale * own[index // 16]) * (code - 32))

    def encode(self, values):
        scale = single(peak_of(values) / (31.0 * 127.0))
        inverse = over(1.0, scale)
        codes, scales = [], []
        for at in range(0, 256, 16):
            part = values[at : at + 16]
            own = single(single(peak_of(part) / 31) * inverse)
            own = int(min(single(own + 0.5), 127.0))
            scales.append(own)
            undo = over(1.0, single(scale * own))
            codes += [min(max(away(single(x * undo)), -32), 31) + 32 for x in part]
        low, high = [c & 15 for c in codes], [c >> 4 for c in codes]
        return packed(low, 4) + packed(high, 2) + bytes(scales) + half(scale)


BLOCKS = {
    "q1_0": Signs(False),
    "q1_0_negated": Signs(True),
    "q2_0": Pairs(64, False),
    "pq2_0": Pairs(128, False),
    "tq2_0_g128": Pairs(128, True),
    "ptq1_0": Trits(),
    "f8_e4m3": Floats(3, 7, 0x7E),
    "f8_e5m2": Floats(2, 15, 0x7B),
    "q4_0_pairs": Nibbles(),
    "q4_k_oxibonsai": Asymmetric(False),
    "q5_k_oxibonsai": Asymmetric(True),
    "q6_k_oxibonsai": Six(),
}
