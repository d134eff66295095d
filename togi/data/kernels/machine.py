"""What numba lacks: unaligned words, SHA-256 and MinHash on sixteen lanes at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from togi.data.kernels.table import LANES, PERMUTATIONS

WORD = ir.IntType(32)
VECTOR = ir.VectorType(WORD, LANES)
MINHASH_ROWS = PERMUTATIONS // LANES


def machine_code(generator: Callable[..., Any]) -> Any:
    """Make a function for kernels of one that generates LLVM instructions."""
    return intrinsic(generator)


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def _root_fraction(prime: int, root: int) -> int:
    """First 32 bits of the fraction of the square (2) or cube (3) root, in exact integers."""
    scaled, low, high = prime << (32 * root), 0, prime << 32
    while low < high:  # the greatest integer whose power does not exceed `scaled`
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**root <= scaled else (low, middle - 1)
    return low & 0xFFFFFFFF


ROUND_CONSTANTS = [_root_fraction(prime, 3) for prime in _primes(64)]
INITIAL_STATE = [_root_fraction(prime, 2) for prime in _primes(8)]


def _pointer(builder: Any, base: Any, index: Any, kind: Any) -> Any:
    return builder.bitcast(builder.gep(base, [index]), kind.as_pointer())


@machine_code
def load8(typingctx: Any, base: Any, index: Any) -> Any:
    """Read the eight bytes at base + index as a little-endian uint64; needs no alignment."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = builder.load(_pointer(builder, arguments[0], arguments[1], ir.IntType(64)))
        word.align = 1
        return word

    return types.uint64(base, types.int64), generate


@machine_code
def store8(typingctx: Any, base: Any, index: Any, value: Any) -> Any:
    """Write a uint64 to the eight bytes at base + index; needs no alignment."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base_, index_, word = arguments
        builder.store(word, _pointer(builder, base_, index_, ir.IntType(64))).align = 1
        return context.get_dummy_value()

    return types.void(base, types.int64, types.uint64), generate


@machine_code
def load4_big(typingctx: Any, base: Any, index: Any) -> Any:
    """Read the four bytes at base + index as a big-endian uint32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = builder.load(_pointer(builder, arguments[0], arguments[1], WORD))
        word.align = 1
        return builder.bswap(word)

    return types.uint32(base, types.int64), generate


@machine_code
def offset4(typingctx: Any, base: Any, index: Any) -> Any:
    """Return the pointer to the uint32 at base + index."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return base(base, types.int64), generate


def _vector(builder: Any, base: Any, row: int) -> Any:
    address = builder.gep(base, [ir.Constant(ir.IntType(64), row * LANES)])
    return builder.bitcast(address, VECTOR.as_pointer())


def _load_row(builder: Any, base: Any, row: int) -> Any:
    value = builder.load(_vector(builder, base, row))
    value.align = 4
    return value


def _same(value: int) -> ir.Constant:
    return ir.Constant(VECTOR, [value] * LANES)


def _operations(builder: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def rotations(x: Any, *shifts: int, last_is_shift: bool = False) -> Any:
        """XOR of x rotated right by the shifts; the last may be a plain shift (4.1.2)."""
        parts = [
            builder.or_(builder.lshr(x, _same(s)), builder.shl(x, _same(32 - s))) for s in shifts
        ]
        if last_is_shift:
            parts[-1] = builder.lshr(x, _same(shifts[-1]))
        return builder.xor(builder.xor(parts[0], parts[1]), parts[2])

    def total(*terms: Any) -> Any:
        value = terms[0]
        for term in terms[1:]:
            value = builder.add(value, term)
        return value

    return rotations, total


@machine_code
def compress(typingctx: Any, state: Any, message: Any) -> Any:
    """SHA-256 compression (FIPS 180-4, 6.2.2) of one 64-byte block in each of sixteen lanes.

    `state` is uint32[8][16] and is updated; `message` is uint32[16][16], words by lanes. The
    rounds are unrolled over vectors, so that state and schedule stay in registers.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base, words = arguments
        rotations, total = _operations(builder)
        w = [_load_row(builder, words, row) for row in range(16)]
        before = [_load_row(builder, base, row) for row in range(8)]
        a, b, c, d, e, f, g, h = before
        for step in range(64):
            if step >= 16:
                near, far = w[(step - 15) % 16], w[(step - 2) % 16]
                w[step % 16] = total(
                    w[step % 16],
                    rotations(near, 7, 18, 3, last_is_shift=True),
                    w[(step - 7) % 16],
                    rotations(far, 17, 19, 10, last_is_shift=True),
                )
            choice = builder.xor(g, builder.and_(e, builder.xor(f, g)))
            majority = builder.or_(builder.and_(a, b), builder.and_(c, builder.or_(a, b)))
            constant = _same(ROUND_CONSTANTS[step])
            first = total(h, constant, w[step % 16], choice, rotations(e, 6, 11, 25))
            second = total(rotations(a, 2, 13, 22), majority)
            a, b, c, d, e, f, g, h = total(first, second), a, b, c, total(d, first), e, f, g
        for row, (old, new) in enumerate(zip(before, (a, b, c, d, e, f, g, h), strict=True)):
            builder.store(builder.add(old, new), _vector(builder, base, row)).align = 4
        return context.get_dummy_value()

    return types.void(state, message), generate


def _murmur(builder: Any, value: Any) -> Any:
    """Mix 32 bits by MurmurHash3's finaliser, in which each bit moves all others."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = builder.xor(value, builder.lshr(value, ir.Constant(WORD, shift)))
        value = builder.mul(value, ir.Constant(WORD, factor))
    return builder.xor(value, builder.lshr(value, ir.Constant(WORD, 16)))


def _spread(builder: Any, value: Any) -> Any:
    """Put a number into all lanes."""
    blank = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(blank, value, ir.Constant(WORD, 0))
    return builder.shuffle_vector(first, blank, ir.Constant(VECTOR, [0] * LANES))


@machine_code
def least_values(typingctx: Any, hashes: Any, count: Any, factors: Any, minima: Any) -> Any:
    """Write, for each of PERMUTATIONS permutations, the least a mix(x) + b over `count` hashes x.

    `factors` holds all a and then all b. The minima stay in registers over the whole loop.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        members, number, table, out = arguments
        rows = MINHASH_ROWS
        factor = [_load_row(builder, table, row) for row in range(rows)]
        addend = [_load_row(builder, table, rows + row) for row in range(rows)]
        least = [cgutils.alloca_once_value(builder, _same(0xFFFFFFFF)) for _ in range(rows)]
        with cgutils.for_range(builder, number) as loop:
            mixed = _murmur(builder, builder.load(builder.gep(members, [loop.index])))
            same = _spread(builder, mixed)
            for row in range(rows):
                value = builder.add(builder.mul(factor[row], same), addend[row])
                before = builder.load(least[row])
                less = builder.icmp_unsigned("<", value, before)
                builder.store(builder.select(less, value, before), least[row])
        for row in range(rows):
            builder.store(builder.load(least[row]), _vector(builder, out, row)).align = 4
        return context.get_dummy_value()

    return types.void(hashes, types.int64, factors, minima), generate
