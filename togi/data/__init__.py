"""Choose the data: `togi.data.dsir` picks what is like a target, `togi.data.lima` what is good.

Reading order of DSIR: `dsir` (the method's door) → `importance` (its mathematics) → `selection`
(fit, weigh, pick, tell) → `index` and `features` (from bytes to hashed n-grams) → `kernels`.

Of LIMA: `lima` and `speech` (the published rules) → `curate` (the way of a row) → `candidates` with
`neardup`, `picking` with `diverse` and `vectors` → `forum` and `dumps` (where rows come from).
"""
