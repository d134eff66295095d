"""Find the text field in lines of JSON, without building objects.

The scanner accepts a line only if it is valid JSON (RFC 8259), valid UTF-8 and has the field as a
string; everything else is handed to Python's own `json` (status `ASK`), which then decides and
words the error. So the kernel may be narrow, but never lenient.
"""

from __future__ import annotations

from numba import int64, njit, uint64

from togi.data.kernels.lanes import STEP, lowest, newlines, string_stops
from togi.data.kernels.table import ASK, BLANK
from togi.data.kernels.utf8 import is_utf8

QUOTE, BACKSLASH, COMMA, COLON = 34, 92, 44, 58
OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST = 123, 125, 91, 93
DEEPEST = 60

jit = njit(error_model="numpy", nogil=True)


@jit
def _skip_space(text, i, end):
    while i < end and (text[i] == 32 or text[i] == 10 or text[i] == 13 or text[i] == 9):
        i += 1
    return i


@jit
def _is_hex(byte):
    low = byte | 32
    return (48 <= byte <= 57) or (97 <= low <= 102)


@jit
def _escape_end(text, i, end):
    """Index behind the escape whose backslash stands at i, or -1."""
    if i + 1 >= end:
        return int64(-1)
    byte = text[i + 1]
    if byte == 117:  # u
        if i + 6 > end:
            return int64(-1)
        for k in range(i + 2, i + 6):
            if not _is_hex(text[k]):
                return int64(-1)
        return i + 6
    if byte == 34 or byte == 92 or byte == 47 or byte == 98 or byte == 102:  # " \ / b f
        return i + 2
    if byte == 110 or byte == 114 or byte == 116:  # n r t
        return i + 2
    return int64(-1)


@jit
def _string_end(text, i, end):
    """Index of the closing quote of the string that starts at i, and whether it has escapes.

    The index is -1 for a string that does not end here, has a control character or a bad escape.
    """
    escaped = int64(0)
    while i < end:
        if i + STEP <= end:
            stops = string_stops(text, i)
            if not stops:
                i += STEP
                continue
            i += lowest(stops)
        byte = text[i]
        if byte == QUOTE:
            return i, escaped
        if byte < 32:
            return int64(-1), escaped
        if byte == BACKSLASH:
            escaped = int64(1)
            i = _escape_end(text, i, end)
            if i < 0:
                return int64(-1), escaped
        else:
            i += 1
    return int64(-1), escaped


@jit
def _digits(text, i, end):
    """Index behind the digits at i, or -1 where there is none."""
    first = i
    while i < end and 48 <= text[i] <= 57:
        i += 1
    return i if i > first else int64(-1)


@jit
def _number_end(text, i, end):
    if text[i] == 45:
        i += 1
    first = i
    i = _digits(text, i, end)
    if i < 0 or (text[first] == 48 and i > first + 1):
        return int64(-1)
    if i < end and text[i] == 46:
        i = _digits(text, i + 1, end)
        if i < 0:
            return int64(-1)
    if i < end and (text[i] | 32) == 101:
        i += 1
        if i < end and (text[i] == 43 or text[i] == 45):
            i += 1
        i = _digits(text, i, end)
    return i


@jit
def _literal_end(text, i, end):
    """Index behind true, false or null at i, or -1."""
    if i + 4 <= end:
        four = text[i] | text[i + 1] << 8 | text[i + 2] << 16 | text[i + 3] << 24
        if four == 0x65757274 or four == 0x6C6C756E:  # "true", "null", little-endian
            return i + 4
        if four == 0x736C6166 and i + 5 <= end and text[i + 4] == 101:  # "fals", "e"
            return i + 5
    return int64(-1)


@jit
def _scalar_end(text, i, end):
    byte = text[i]
    if byte == QUOTE:
        close, _ = _string_end(text, i + 1, end)
        return close + 1 if close >= 0 else int64(-1)
    if byte == 45 or 48 <= byte <= 57:
        return _number_end(text, i, end)
    return _literal_end(text, i, end)


@jit
def _key_end(text, i, end):
    """Index of the value that follows the key and colon at i, or -1."""
    if i >= end or text[i] != QUOTE:
        return int64(-1)
    i, _ = _string_end(text, i + 1, end)
    if i < 0:
        return int64(-1)
    i = _skip_space(text, i + 1, end)
    if i >= end or text[i] != COLON:
        return int64(-1)
    return _skip_space(text, i + 1, end)


@jit
def _close(text, i, end, depth, stack):
    """Behind a value: step over closing brackets and one comma.

    Returns the next value's index (or -1), the depth left and the stack of kinds (1 = object).
    """
    while depth > 0:
        i = _skip_space(text, i, end)
        if i >= end:
            return int64(-1), depth, stack
        inside_object = stack & uint64(1)
        if text[i] == COMMA:
            i = _skip_space(text, i + 1, end)
            if inside_object:
                i = _key_end(text, i, end)
            return i, depth, stack
        if text[i] != (CLOSE_OBJECT if inside_object else CLOSE_LIST):
            return int64(-1), depth, stack
        i, depth, stack = i + 1, depth - 1, stack >> uint64(1)
    return i, depth, stack


@jit
def _value_end(text, i, end):
    """Index behind the JSON value that starts at i, or -1 if it is not valid or too deep."""
    depth, stack = int64(0), uint64(0)
    while 0 <= i < end:
        byte = text[i]
        if byte in (OPEN_OBJECT, OPEN_LIST):
            is_object = byte == OPEN_OBJECT
            depth, stack = depth + 1, (stack << uint64(1)) | uint64(is_object)
            i = _skip_space(text, i + 1, end)
            if depth > DEEPEST or i >= end:
                return int64(-1)
            empty = text[i] == (CLOSE_OBJECT if is_object else CLOSE_LIST)
            if not empty:
                i = _key_end(text, i, end) if is_object else i
                continue
        else:
            i = _scalar_end(text, i, end)
            if i < 0:
                return int64(-1)
        i, depth, stack = _close(text, i, end, depth, stack)
        if depth == 0:
            return i
    return int64(-1)


@jit
def _same_key(text, start, end, key, key_size):
    if end - start != key_size:
        return False
    for k in range(key_size):  # noqa: SIM110 (kernels have no generators)
        if text[start + k] != key[k]:
            return False
    return True


@jit
def _find_field(text, i, end, key, key_size):
    """Status, start and end of the field's string in the object that starts at i.

    Of two fields of that name the last counts, as in Python's `json`.
    """
    status, start, stop = int64(ASK), int64(0), int64(0)
    i = _skip_space(text, i + 1, end)
    while i < end and text[i] == QUOTE:
        close, escaped = _string_end(text, i + 1, end)
        if close < 0 or escaped:
            return int64(ASK), start, stop
        wanted = _same_key(text, i + 1, close, key, key_size)
        value = _key_end(text, i, end)
        if value < 0 or value >= end:
            return int64(ASK), start, stop
        if wanted:
            if text[value] != QUOTE:
                return int64(ASK), start, stop
            start = value + 1
            stop, status = _string_end(text, start, end)
            i = stop + 1 if stop >= 0 else int64(-1)
        else:
            i = _value_end(text, value, end)
        if i < 0:
            return int64(ASK), start, stop
        i = _skip_space(text, i, end)
        if i < end and text[i] == COMMA:
            i = _skip_space(text, i + 1, end)
            continue
        if i < end and text[i] == CLOSE_OBJECT and _skip_space(text, i + 1, end) == end:
            return status, start, stop
        return int64(ASK), start, stop
    return int64(ASK), start, stop


@jit
def _line_end(text, i, size):
    """Index of the next newline, or `size`."""
    while i + STEP <= size:
        found = newlines(text, i)
        if found:
            return i + lowest(found)
        i += STEP
    while i < size and text[i] != 10:
        i += 1
    return i


def scan_lines(text, size, key, key_size, lines, room):
    """Cut `text` at newlines and find the field in each line.

    Args:
        text: uint8[size], whole lines; the last may lack its newline.
        size: bytes.
        key: uint8[key_size], the field's name in UTF-8.
        key_size: bytes of the name.
        lines: int64[room][4], written: status, line's start, field's start and end.
        room: lines that fit.

    Returns:
        The number of lines, or -1 if there are more than `room`.
    """
    count, i = int64(0), int64(0)
    while i < size:
        if count == room:
            return int64(-1)
        end = _line_end(text, i, size)
        first = _skip_space(text, i, end)
        status, start, stop = int64(BLANK), int64(0), int64(0)
        if first < end:
            status = int64(ASK)
            if text[first] == OPEN_OBJECT and is_utf8(text, i, end):
                status, start, stop = _find_field(text, first, end, key, key_size)
        row = 4 * count
        lines[row], lines[row + 1], lines[row + 2], lines[row + 3] = status, i, start, stop
        count += 1
        i = end + 1
    return count
