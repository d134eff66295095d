"""Byte kernels of data selection, written in Python and compiled once for this machine.

They are compiled by numba in a child process and kept as an object file (`build`); the running
process loads that file without numba (`togi.data.native`), which halves its memory and its start.
Reading order: `table` (what there is) → `jsonl` → `words` → `hashing` → `sums`.
"""
