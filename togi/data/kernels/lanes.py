"""Thirty-two bytes at a time: which of them are special, and their class and lower case.

Generic vector operations of LLVM, which become AVX-512, AVX2, SSE or NEON as the machine has it.
A mask's bit k tells of byte i + k.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from togi.data.kernels.machine import machine_code

STEP = 32
VECTOR = ir.VectorType(ir.IntType(8), STEP)
WORD = ir.IntType(64)


def _same(value: int) -> ir.Constant:
    return ir.Constant(VECTOR, [value] * STEP)


class _Bytes:
    """A vector of bytes and what can be asked of it: masks of 32 bits."""

    def __init__(self, builder: Any, base: Any, index: Any) -> None:
        self.builder = builder
        address = builder.bitcast(builder.gep(base, [index]), VECTOR.as_pointer())
        self.value = builder.load(address)
        self.value.align = 1

    def equal(self, byte: int) -> Any:
        return self.builder.icmp_unsigned("==", self.value, _same(byte))

    def between(self, low: int, high: int) -> Any:
        shifted = self.builder.sub(self.value, _same(low))
        return self.builder.icmp_unsigned("<=", shifted, _same(high - low))

    def any_of(self, first: Any, *others: Any) -> Any:
        for other in others:
            first = self.builder.or_(first, other)
        return first

    def mask(self, lanes: Any) -> Any:
        return self.builder.zext(self.builder.bitcast(lanes, ir.IntType(STEP)), WORD)


def _finder(found: Callable[[_Bytes], Any]) -> Any:
    """Make a kernel function (text, i) -> mask of the bytes that `found` tells of."""

    @machine_code
    def find(typingctx: Any, base: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = _Bytes(builder, arguments[0], arguments[1])
            return data.mask(found(data))

        return types.uint64(base, types.int64), generate

    return find


newlines = _finder(lambda data: data.equal(10))
high_bytes = _finder(lambda data: data.between(0x80, 0xFF))
# What ends or interrupts a JSON string: quote, backslash, control characters.
string_stops = _finder(
    lambda data: data.any_of(data.equal(34), data.equal(92), data.between(0, 31))
)


@machine_code
def lowest(typingctx: Any, mask: Any) -> Any:
    """Return the number of the lowest bit that is set; 64 if none is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@machine_code
def classify(typingctx: Any, text: Any, index: Any, out: Any, place: Any) -> Any:
    r"""Lower-case the ASCII bytes at text + index into out + place, and tell their classes.

    Returns the masks of special bytes (beyond ASCII, backslash, and the control characters on
    whose class engines differ), of word characters and of spaces. What is written for special
    bytes is for the caller to overwrite.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = _Bytes(builder, arguments[0], arguments[1])
        upper = data.between(65, 90)
        lower = builder.add(data.value, builder.select(upper, _same(32), _same(0)))
        address = builder.gep(arguments[2], [arguments[3]])
        builder.store(lower, builder.bitcast(address, VECTOR.as_pointer())).align = 1
        space = data.any_of(data.equal(32), data.between(9, 13))
        letter = data.any_of(upper, data.between(97, 122))
        word = data.any_of(letter, data.between(48, 57), data.equal(95))
        control = data.any_of(data.between(0, 8), data.between(14, 31))
        special = data.any_of(control, data.between(0x80, 0xFF), data.equal(92))
        masks = [data.mask(lanes) for lanes in (special, word, space)]
        return context.make_tuple(builder, signature.return_type, masks)

    return types.UniTuple(types.uint64, 3)(text, types.int64, out, types.int64), generate
