"""n-grams of words to buckets, by a fast 64-bit mix or exactly as SHA-256 modulo m.

Both walk the words of each document and write, for each word, the buckets of the n-grams that
end there: order 1 first, up to min(position in the document + 1, order).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import int64, njit, uint8, uint32, uint64

from togi.data.kernels.machine import INITIAL_STATE, compress, load4_big, load8, offset4, store8
from togi.data.kernels.table import LANES, MEMO_ENTRY, QUEUES

MULTIPLIER, CHAIN, FINAL = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93
START = np.array(INITIAL_STATE, dtype=np.uint32)
BLOCK = 16 * LANES  # uint32 of sixteen messages' blocks
STATE = 8 * LANES  # uint32 of sixteen states
TICKET = 4  # uint64 of a waiting message: where its bucket goes, memo slot + 1, its two words

jit = njit(error_model="numpy", nogil=True)


class Words(NamedTuple):
    """The words that `split_words` wrote: uint8 text, int32 starts and ends."""

    text: Any
    starts: Any
    ends: Any


class Hasher(NamedTuple):
    """What exact hashing works with; see `exact_buckets`."""

    powers: Any
    memo: Any
    bits: Any
    waiting: Any
    lanes: Any
    message: Any
    out: Any


@jit
def _fold(state, word):
    mixed = (state ^ word) * uint64(MULTIPLIER)
    return mixed ^ (mixed >> uint64(32))


@jit
def _low_bytes(word, size):
    """Keep the first `size` (1 to 8) bytes of a little-endian word, with zeros above."""
    return word & (~uint64(0) >> uint64(64 - 8 * size))


@jit
def _word_hash(text, start, end):
    state = uint64(end - start)
    while end - start > 8:
        state = _fold(state, load8(text, start))
        start += 8
    return _fold(state, _low_bytes(load8(text, start), end - start))


@jit
def _fast_bucket(state, buckets):
    return uint32((((state * uint64(FINAL)) >> uint64(32)) * uint64(buckets)) >> uint64(32))


def fast_buckets(text, starts, ends, sizes, count, order, buckets, chain, out):  # noqa: PLR0913
    """Buckets of the documents' n-grams by the fast hash.

    A word's hash folds its length and then its bytes, eight at a time, little-endian and padded
    with zeros: fold(h, w) = x XOR (x >> 32) with x = (h XOR w) * MULTIPLIER mod 2^64. An n-gram's
    is fold(hash of all words but the last * CHAIN, hash of the last). The bucket is the upper half
    of (hash * FINAL mod 2^64), scaled to `buckets` by multiplication.

    Args:
        text: uint8, lower-cased words, eight bytes to spare behind the last.
        starts: int32, where each word starts.
        ends: int32, where it ends.
        sizes: int32[count], words of each document.
        count: documents.
        order: longest n-gram, at least 1.
        buckets: m, below 2^32.
        chain: uint64[order + 1], scratch.
        out: uint32, written; one entry for each n-gram.

    Returns:
        The number of n-grams.
    """
    word, written = int64(0), int64(0)
    for document in range(count):
        for position in range(sizes[document]):
            longest = min(position + 1, order)
            state = _word_hash(text, int64(starts[word]), int64(ends[word]))
            for size in range(longest, 1, -1):
                chain[size] = _fold(chain[size - 1] * uint64(CHAIN), state)
                out[written + size - 1] = _fast_bucket(chain[size], buckets)
            chain[1] = state
            out[written] = _fast_bucket(state, buckets)
            written += longest
            word += 1
    return written


@jit
def _compose(message, words, first, last):
    """Write words first..last, joined by one space, at the start of `message`; return its size."""
    size = int64(0)
    for word in range(first, last + 1):
        if word > first:
            message[size] = uint8(32)
            size += 1
        start = int64(words.starts[word])
        length = int64(words.ends[word]) - start
        for offset in range(0, length, 8):  # the last step may copy up to seven bytes too many
            store8(message, size + offset, load8(words.text, start + offset))
        size += length
    return size


@jit
def _pad(message, size):
    """Append SHA-256's padding (FIPS 180-4, 5.1.1); return the number of 64-byte blocks."""
    blocks = (size + 8) // 64 + 1
    message[size] = uint8(0x80)
    for byte in range(size + 1, blocks * 64, 8):  # may run a little past the last block
        store8(message, byte, uint64(0))
    bits = size * 8
    for byte in range(8):
        message[blocks * 64 - 1 - byte] = uint8((bits >> (8 * byte)) & 0xFF)
    return blocks


@jit
def _compress(state, message):  # a function of its own, so that its long code exists once
    compress(state, message)


@jit
def _begin(state):
    for row in range(8):
        for lane in range(LANES):
            state[row * LANES + lane] = START[row]


@jit
def _remainder(state, lane, powers):
    """Return the lane's 256-bit big-endian digest modulo m = powers[8]; no sum reaches 2^64."""
    total = uint64(0)
    for row in range(8):
        total += uint64(state[row * LANES + lane]) * powers[row]
    return total % powers[8]


@jit
def _to_lane(message, block, row_of_lanes, lane):
    for row in range(16):
        row_of_lanes[row * LANES + lane] = load4_big(message, block * 64 + row * 4)


@jit
def _queue_start(queue):
    """Where the queue of messages of queue + 1 blocks starts in `lanes`."""
    return STATE + BLOCK * (queue * (queue + 1) // 2)


@jit
def _flush(hasher, queue):
    """Hash the messages that wait in the queue; write their buckets and remember short ones."""
    tickets = TICKET * LANES * queue + QUEUES
    waiting = int64(hasher.waiting[queue])
    _begin(hasher.lanes)
    for block in range(queue + 1):
        _compress(hasher.lanes, offset4(hasher.lanes, _queue_start(queue) + BLOCK * block))
    for lane in range(waiting):
        bucket = _remainder(hasher.lanes, lane, hasher.powers)
        ticket = tickets + TICKET * lane
        hasher.out[int64(hasher.waiting[ticket])] = uint32(bucket)
        slot = int64(hasher.waiting[ticket + 1]) - 1
        if slot >= 0:
            hasher.memo[slot] = hasher.waiting[ticket + 2]
            hasher.memo[slot + 1] = hasher.waiting[ticket + 3]
            hasher.memo[slot + 2] = bucket
    hasher.waiting[queue] = uint64(0)


@jit
def _enqueue(hasher, words, first, last, place, slot, key):
    """Hash the n-gram of words first..last now or with its kind; its bucket goes to out[place]."""
    message, lanes = hasher.message, hasher.lanes
    blocks = _pad(message, _compose(message, words, first, last))
    if blocks > QUEUES:
        alone = offset4(lanes, _queue_start(QUEUES))
        _begin(lanes)
        for block in range(blocks):
            _to_lane(message, block, alone, 0)
            _compress(lanes, alone)
        hasher.out[place] = uint32(_remainder(lanes, 0, hasher.powers))
        return
    queue = blocks - 1
    lane = int64(hasher.waiting[queue])
    for block in range(blocks):
        _to_lane(message, block, offset4(lanes, _queue_start(queue) + BLOCK * block), lane)
    ticket = QUEUES + TICKET * (LANES * queue + lane)
    hasher.waiting[ticket] = uint64(place)
    hasher.waiting[ticket + 1] = uint64(slot + 1)
    hasher.waiting[ticket + 2], hasher.waiting[ticket + 3] = key
    hasher.waiting[queue] = uint64(lane + 1)
    if lane + 1 == LANES:
        _flush(hasher, queue)


@jit
def _recall(hasher, words, first, last, place, key):
    """Bucket of an n-gram of one or two short words: remembered, or to be hashed."""
    index = _fold(key[0] * uint64(CHAIN), key[1]) >> uint64(64 - hasher.bits)
    slot = int64(index) * MEMO_ENTRY
    memo = hasher.memo
    if memo[slot] == key[0] and memo[slot + 1] == key[1]:
        hasher.out[place] = uint32(memo[slot + 2])
    else:
        _enqueue(hasher, words, first, last, place, slot, key)


@jit
def _short_key(words, word):
    """Return the word's bytes as one integer, or 0 where that would not tell it from all others.

    Eight bytes at most and the last of them not zero: then the integer determines the length.
    """
    start = int64(words.starts[word])
    size = int64(words.ends[word]) - start
    if size > 8 or words.text[start + size - 1] == 0:
        return uint64(0)
    return _low_bytes(load8(words.text, start), size)


def exact_buckets(  # noqa: PLR0913
    text, starts, ends, sizes, count, order, powers, memo, bits, waiting, lanes, message, out
):
    """Buckets of the documents' n-grams: int(SHA-256(UTF-8 of the words and spaces)) modulo m.

    n-grams of one or two words of at most eight bytes are remembered in a direct-mapped table
    under their very bytes, so that a hit is never another n-gram's; the others, and the misses,
    are hashed sixteen at a time.

    Args:
        text: uint8, lower-cased words, eight bytes to spare behind the last.
        starts: int32, where each word starts.
        ends: int32, where it ends.
        sizes: int32[count], words of each document.
        count: documents.
        order: longest n-gram, at least 1.
        powers: uint64[9], 2^(32 (7 - i)) mod m for i in 0..7, then m, below 2^29.
        memo: uint64[3 * 2^bits], zero at first, kept from call to call for the same m.
        bits: binary logarithm of the memo's entries.
        waiting: uint64[WAITING], zero at first, scratch.
        lanes: uint32[SHA_WORDS], scratch.
        message: uint8, scratch; as long as `text` + order + 80.
        out: uint32, written; one entry for each n-gram.

    Returns:
        The number of n-grams.
    """
    words = Words(text, starts, ends)
    hasher = Hasher(powers, memo, bits, waiting, lanes, message, out)
    word, written, none = int64(0), int64(0), uint64(0)
    for document in range(count):
        before = none
        for position in range(sizes[document]):
            key = _short_key(words, word)
            longest = min(position + 1, order)
            if key != none:
                _recall(hasher, words, word, word, written, (key, none))
            else:
                _enqueue(hasher, words, word, word, written, int64(-1), (none, none))
            if longest > 1 and key != none and before != none:
                _recall(hasher, words, word - 1, word, written + 1, (before, key))
            elif longest > 1:
                _enqueue(hasher, words, word - 1, word, written + 1, int64(-1), (none, none))
            for size in range(3, longest + 1):
                place = written + size - 1
                _enqueue(hasher, words, word - size + 1, word, place, int64(-1), (none, none))
            before = key
            written += longest
            word += 1
    for queue in range(QUEUES):
        if hasher.waiting[queue]:
            _flush(hasher, queue)
    return written
