"""Arithmetic on singles and halves, and elements of a few bits."""

import math
import struct


def single(x):
    """The nearest single; arithmetic on two singles in doubles, rounded so, is theirs."""
    try:
        return struct.unpack("<f", struct.pack("<f", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


def half(x):
    """The bytes of the nearest half."""
    try:
        return struct.pack("<e", x)
    except OverflowError:
        return struct.pack("<e", math.copysign(math.inf, x))


def from_half(two):
    return struct.unpack("<e", bytes(two))[0]


def away(x):
    """The nearest integer, ties away from zero."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def over(x, y):
    return single(x / y) if y else 0.0


def peak_of(values):
    return max((abs(x) for x in values), default=0.0)


def bits_at(data, width, index):
    """Element `index` of so many bits each, the first in the lowest bits of the first byte."""
    at = index * width
    return data[at // 8] >> at % 8 & (1 << width) - 1


def packed(elements, width):
    """The bytes of elements of so many bits."""
    whole = 0
    for index, element in enumerate(elements):
        whole |= element << index * width
    return whole.to_bytes((len(elements) * width + 7) // 8, "little")
