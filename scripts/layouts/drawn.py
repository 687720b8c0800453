"""What a seed makes: stored bytes, and values of many kinds and magnitudes."""

import struct

from exact import single

MASK = (1 << 64) - 1


class Dice:
    """Steele, Lea and Flood's SplitMix64."""

    def __init__(self, state):
        self.state = state & MASK

    def bits(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        return z ^ z >> 31

    def below(self, bound):
        return self.bits() % bound


def values_of(dice, count):
    """Groups of 32 of many kinds and magnitudes, some of them whole blocks of 256."""
    values, whole = [], None
    for group in range(count // 32):
        if group % 8 == 0:
            whole = dice.below(12) if dice.below(4) == 0 else None
        kind = dice.below(12) if whole is None else whole
        exponent = dice.below(20) - 10
        values += group_of(dice, kind, 2.0**exponent)
    return values


def group_of(dice, kind, scale):
    """32 values. Those of the later kinds lie at ties, once the largest has made the scale."""
    grid = lambda count: float(dice.below(2 * count + 1)) - count
    if kind == 0:
        return [0.0] * 32
    if kind == 1:
        return [scale * (grid(1 << 22) / (1 << 22)) for _ in range(32)]
    if kind == 2:
        return [scale * grid(1) for _ in range(32)]
    if kind == 3:
        return [scale * grid(16) / 16 for _ in range(32)]
    if kind == 4:
        values = [-0.0] * 32
        values[dice.below(32)] = scale * grid(3)
        return values
    if kind == 5:
        return [-abs(scale * grid(1 << 20) / (1 << 20)) for _ in range(32)]
    if kind == 6:
        return [abs(scale * grid(1 << 20) / (1 << 20)) for _ in range(32)]
    if kind == 7:
        return [2.0**-40 * grid(100) for _ in range(32)]
    # The largest a float of eight bits can be, and between such floats.
    peak, value = {
        8: (57344.0, lambda: (1 + dice.below(16) / 16) * 2.0 ** dice.below(15)),
        9: (127.0, lambda: dice.below(254) / 2),
        10: (7.0, lambda: dice.below(14) / 2),
        11: (2.0, lambda: dice.below(8) / 4),
    }[kind]
    values = [scale * value() * (1 - 2 * dice.below(2)) for _ in range(32)]
    values[dice.below(32)] = scale * peak
    return values


def stored_of(dice, count, block, halves):
    """Blocks of any bytes, with finite halves where the layout has halves."""
    blocks = bytearray()
    for _ in range(count):
        one = bytearray(dice.below(256) for _ in range(block))
        for at in halves:
            bits = dice.below(2) << 15 | dice.below(0x7C00)
            one[at : at + 2] = struct.pack("<H", bits)
        blocks += one
    return bytes(blocks)


def scales_of(dice, count):
    """Singles behind the blocks."""
    scales = (single(2.0 ** (dice.below(20) - 10) / 3) for _ in range(count))
    return struct.pack(f"<{count}f", *scales)
