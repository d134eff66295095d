"""From words to characters: what n-grams of characters are made of."""

from __future__ import annotations

from numba import int32, int64, njit, uint8

jit = njit(error_model="numpy", nogil=True)


@jit
def _character_size(lead):
    """Bytes of the UTF-8 character that begins with this byte."""
    if lead < 0x80:
        return int64(1)
    if lead < 0xE0:
        return int64(2)
    return int64(3) if lead < 0xF0 else int64(4)


def split_characters(text, starts, ends, sizes, count, first, last, characters):
    """Split the documents' words into characters, with one space where there was any.

    Args:
        text: uint8, what `split_words` wrote; a space is written where white space was.
        starts: int32, where each word starts.
        ends: int32, where it ends.
        sizes: int32[count], words of each document.
        count: documents.
        first: int32, written: where each character starts; as many entries as bytes of text.
        last: int32, written: where it ends.
        characters: int32[count], written: characters of each document.

    Returns:
        The number of characters.
    """
    word, written = int64(0), int64(0)
    for document in range(count):
        before = written
        for position in range(sizes[document]):
            i, end = int64(starts[word]), int64(ends[word])
            if position > 0 and i > int64(ends[word - 1]):
                gap = int64(ends[word - 1])
                text[gap] = uint8(32)
                first[written] = int32(gap)
                last[written] = int32(gap + 1)
                written += 1
            while i < end:
                size = _character_size(text[i])
                first[written] = int32(i)
                last[written] = int32(i + size)
                written += 1
                i += size
            word += 1
        characters[document] = int32(written - before)
    return written
