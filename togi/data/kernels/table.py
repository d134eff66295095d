"""The kernels' names and C signatures: the one place that the compiler and the caller share.

`u8*` is a pointer to the first element of a contiguous array of that type; the first word is
what the kernel returns. The same function may be compiled for two index widths.
"""

from __future__ import annotations

SPACE, WORD, OTHER = 0, 1, 2  # classes of a character: \s, \w, and the rest
CLASS, IGNORABLE, CASED = 3, 4, 8  # bits of the table of kinds (`togi.data.letters`)
PLAIN, ESCAPED, BLANK, ASK = 0, 1, 2, 3  # what `scan_lines` says of a line
MEMO_ENTRY = 3  # uint64 of a memo entry of exact hashing: first word, second word, bucket
LANES = 16  # messages that SHA-256 compresses at once
PERMUTATIONS = 8 * LANES  # of a MinHash: as many as stay in registers
QUEUES = 4  # messages of 1, 2, 3, 4 blocks wait for others of their size; longer ones go alone
WAITING = QUEUES + 4 * LANES * QUEUES  # uint64 of scratch of exact hashing
SHA_WORDS = LANES * (8 + 16 * (QUEUES * (QUEUES + 1) // 2 + 1))  # uint32 of scratch
ORDERS = 8  # entries of one kind in the totals of `ngram_keys`: orders 1 to 7
FRESH = 8  # bit of a key: its n-gram stands for the first time in its document
FACTORS = 1 << 12  # factors of a fingerprint's products
DOCUMENTS, OCCURRENCES, FIRST, COUNTS = 0, 2, 4, 6  # columns of a row of counts, two corpora each

KERNELS: dict[str, tuple[str, str, str]] = {
    # name: (module below togi.data.kernels, function, signature)
    "scan_lines": ("jsonl", "scan_lines", "i64 u8* i64 u8* i64 i64* i64"),
    "split_words": (
        "words",
        "split_words",
        "i64 u8* i64* i64 i32* u8* u8* i32* i32* i32*",
    ),
    "split_characters": (
        "characters",
        "split_characters",
        "i64 u8* i32* i32* i32* i64 i32* i32* i32*",
    ),
    "fingerprints": ("sums", "fingerprints", "i64 u32* i64* i64 u64* u64*"),
    "fast_buckets": (
        "hashing",
        "fast_buckets",
        "i64 u8* i32* i32* i32* i64 i64 i64 u64* u32*",
    ),
    "exact_buckets": (
        "hashing",
        "exact_buckets",
        "i64 u8* i32* i32* i32* i64 i64 u64* u64* i64 u64* u32* u8* u32*",
    ),
    "count_buckets": ("sums", "count_buckets", "i64 u32* i64 i64*"),
    "gather16": ("sums", "gather", "i64 u16* i64* i64 f64* f64*"),
    "gather32": ("sums", "gather", "i64 u32* i64* i64 f64* f64*"),
    "minhash": ("minhash", "minhash", "i64 u32* i64* i64 u32* u32*"),
    "band_keys": ("minhash", "band_keys", "i64 u32* i64 i64 i64 u32*"),
    "keep_first": (
        "minhash",
        "keep_first",
        "i64 u32* i64* i64 i32* i64* i32* i32* i32* f64 i32* f64*",
    ),
    "ngram_keys": (
        "ngrams",
        "ngram_keys",
        "i64 u8* i32* i32* i32* i64 u8* i64 i64 u64* i64 u64* i64* i64 u64* i64* i64*",
    ),
    "sketch_keys": ("ngrams", "sketch_keys", "i64 u64* i64 u32* i64"),
    "tally_keys": (
        "ngrams",
        "tally_keys",
        "i64 u64* i64 i64 i64* i64 i64 u64* u32* i64 i64* u32* i64 i64",
    ),
    "move_keys": ("ngrams", "move_keys", "i64 u64* u32* i64 u64* u32* i64"),
    "count_picked16": ("sums", "count_picked", "i64 u16* i64* i64 u8* i64*"),
    "count_picked32": ("sums", "count_picked", "i64 u32* i64* i64 u8* i64*"),
}
