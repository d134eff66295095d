r"""Lower-case documents and split them as `findall(r"\w+|[^\w\s]+", text.lower())` does.

The result is one buffer of lower-cased UTF-8 and the bytes [start, end) of each word in it.
What is a word character, a space, and lower case comes from tables that the installed engine
of regular expressions and the running Python made (`togi.data.letters`), so the answer is theirs.
"""

from __future__ import annotations

from numba import int32, int64, njit, uint8, uint64

from togi.data.kernels.lanes import STEP, classify, lowest
from togi.data.kernels.table import CASED, CLASS, IGNORABLE, OTHER, SPACE, WORD

SIGMA, SMALL_SIGMA, FINAL_SIGMA = 0x3A3, 0x3C3, 0x3C2
DOTTED_I, SMALL_I, DOT_ABOVE = 0x130, 0x69, 0x307
BACKSLASH = 92

jit = njit(error_model="numpy", nogil=True)


@jit
def _hex4(text, i):
    value = int64(0)
    for k in range(4):
        digit = int64(text[i + k])
        value = value * 16 + (digit - 48 if digit <= 57 else (digit | 32) - 87)
    return value


@jit
def _unicode_escape(text, i, end):
    r"""Code point of the \uXXXX at i, joined with the low surrogate that may follow."""
    code = _hex4(text, i + 2)
    i += 6
    if 0xD800 <= code <= 0xDBFF and i + 6 <= end and text[i] == BACKSLASH and text[i + 1] == 117:
        low = _hex4(text, i + 2)
        if 0xDC00 <= low <= 0xDFFF:
            return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00), i + 6
    return code, i


@jit
def _escape(text, i, end):
    byte = text[i + 1]
    if byte == 117:  # u
        return _unicode_escape(text, i, end)
    code = int64(byte)  # \" \\ \/
    if byte == 110:
        code = int64(10)
    elif byte == 116:
        code = int64(9)
    elif byte == 114:
        code = int64(13)
    elif byte == 98:
        code = int64(8)
    elif byte == 102:
        code = int64(12)
    return code, i + 2


@jit
def _next_character(text, i, end, escaped):
    """Code point at i of valid UTF-8 (with JSON's escapes if `escaped`), and the next index."""
    lead = int64(text[i])
    if lead < 0x80:
        if escaped and lead == BACKSLASH:
            return _escape(text, i, end)
        return lead, i + 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | (int64(text[i + 1]) & 0x3F), i + 2
    middle = (int64(text[i + 1]) & 0x3F) << 6 | (int64(text[i + 2]) & 0x3F)
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | middle, i + 3
    return (lead & 0x07) << 18 | middle << 6 | (int64(text[i + 3]) & 0x3F), i + 4


@jit
def _previous_character(out, j):
    """Code point that ends before j in valid UTF-8, and where it starts."""
    j -= 1
    code, shift = int64(0), int64(0)
    while out[j] & 0xC0 == 0x80:
        code |= (int64(out[j]) & 0x3F) << shift
        shift += 6
        j -= 1
    lead = int64(out[j])
    if shift:
        lead &= 0x3F >> (shift // 6)
    return code | lead << shift, j


@jit
def _append(out, j, code):
    """Write the code point as UTF-8 (lone surrogates too) at j; return the next index."""
    if code < 0x80:
        out[j] = uint8(code)
        return j + 1
    if code < 0x800:
        out[j] = uint8(0xC0 | code >> 6)
        out[j + 1] = uint8(0x80 | code & 0x3F)
        return j + 2
    if code < 0x10000:
        out[j] = uint8(0xE0 | code >> 12)
        out[j + 1] = uint8(0x80 | (code >> 6) & 0x3F)
        out[j + 2] = uint8(0x80 | code & 0x3F)
        return j + 3
    out[j] = uint8(0xF0 | code >> 18)
    out[j + 1] = uint8(0x80 | (code >> 12) & 0x3F)
    out[j + 2] = uint8(0x80 | (code >> 6) & 0x3F)
    out[j + 3] = uint8(0x80 | code & 0x3F)
    return j + 4


@jit
def _is_final_sigma(text, i, end, escaped, kinds, out, first, j):
    """Whether a capital sigma that was read before i ends its word (Unicode 15, table 3-17).

    Looks back in the lower-cased text out[first:j], where case and ignorability are as in the
    original, and ahead in the original.
    """
    before = int64(0)
    while j > first:
        code, j = _previous_character(out, j)
        before = int64(kinds[code])
        if not before & IGNORABLE:
            break
        before = int64(0)
    if not before & CASED:
        return False
    while i < end:
        code, i = _next_character(text, i, end, escaped)
        if not kinds[code] & IGNORABLE:
            return not kinds[code] & CASED
    return True


@jit
def _mark(marks, count, mask, base):
    """Append base + k for each bit k of the mask; return the new count."""
    while mask:
        marks[count] = int32(base + lowest(mask))
        count += 1
        mask &= mask - uint64(1)
    return count


@jit
def _split_ascii(text, i, end, out, j, borders):
    """Take plain ASCII, 32 bytes at a time, up to a special byte or the last 32 before the end.

    A backslash counts as special even where nothing is escaped; the caller takes it then.
    """
    starts, ends, opened, closed, previous = borders
    while i + STEP <= end:
        special, word, space = classify(text, i, out, j)
        size = min(lowest(special), int64(STEP))
        if size == 0:
            break
        taken = (uint64(1) << uint64(size)) - uint64(1)
        word &= taken
        other = taken & ~(word | space)
        # One place up: each byte's class as the byte behind it sees it.
        word_before = (word << uint64(1)) | uint64(previous == WORD)
        other_before = (other << uint64(1)) | uint64(previous == OTHER)
        begun = (word & ~word_before) | (other & ~other_before)
        over = ((word_before & ~word) | (other_before & ~other)) & taken
        opened = _mark(starts, opened, begun, j)
        closed = _mark(ends, closed, over, j)
        top = uint64(1) << uint64(size - 1)
        previous = int64(WORD if word & top else (OTHER if other & top else SPACE))
        i += size
        j += size
    return i, j, opened, closed, previous


@jit
def _split_document(  # noqa: PLR0913
    text, i, end, escaped, lower, kinds, out, j, starts, ends, words
):
    """Append one document's lower-cased bytes and words; return the next byte and word."""
    first, opened, closed, previous = j, words, words, int64(SPACE)
    pending = int64(0)  # a second character of the last lower-casing
    while i < end or pending:
        if pending:
            low, pending = pending, int64(0)
        else:
            if text[i] < 0x80 and i + STEP <= end:
                borders = (starts, ends, opened, closed, previous)
                i, j, opened, closed, previous = _split_ascii(text, i, end, out, j, borders)
                if i == end:
                    break
            code, i = _next_character(text, i, end, escaped)
            low = int64(lower[code])
            if code == SIGMA:
                final = _is_final_sigma(text, i, end, escaped, kinds, out, first, j)
                low = int64(FINAL_SIGMA if final else SMALL_SIGMA)
            elif code == DOTTED_I:  # the one character whose lower case is two
                low, pending = int64(SMALL_I), int64(DOT_ABOVE)
        kind = int64(kinds[low]) & CLASS
        # Without branches: write the border always, keep it only where the class changes.
        starts[opened] = int32(j)
        ends[closed] = int32(j)
        changed = int64(kind != previous)
        opened += changed & int64(kind != SPACE)
        closed += changed & int64(previous != SPACE)
        previous = kind
        j = _append(out, j, low)
    if previous != SPACE:
        ends[closed] = int32(j)
    return j, opened


def split_words(  # noqa: PLR0913
    text, documents, count, lower, kinds, out, starts, ends, sizes
):
    """Split documents, of valid UTF-8, into lower-cased words.

    Args:
        text: uint8.
        documents: int64[count][3], each document's start, end, and whether JSON escapes it.
        count: documents.
        lower: int32[0x110000], the lower-case code point.
        kinds: uint8[0x110000], class, ignorable and cased bits.
        out: uint8, written; 1.5 times the documents' bytes (lower-casing may lengthen) + 64.
        starts: int32, written: where each word starts in `out`; documents' bytes + 2 entries.
        ends: int32, written: where it ends; as many.
        sizes: int32[count], written: words of each document.

    Returns:
        The number of words.
    """
    j, words = int64(0), int64(0)
    for document in range(count):
        start, end = documents[3 * document], documents[3 * document + 1]
        escaped = documents[3 * document + 2] != 0
        before = words
        j, words = _split_document(
            text, start, end, escaped, lower, kinds, out, j, starts, ends, words
        )
        sizes[document] = int32(words - before)
    return words
