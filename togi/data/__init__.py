"""Choose the data: `togi.data.dsir` picks what is like a target, `togi.data.lima` what is good.

Reading order of DSIR: `dsir` (the method's door) → `importance` (its mathematics) → `selection`
(fit, weigh, pick, tell) → `index` and `features` (from bytes to hashed n-grams) → `kernels`.

Of LIMA: `lima` and `speech` (the published rules) → `curate` (the way of a row) → `candidates` with
`neardup`, `picking` with `diverse` and `vectors` → `forum` and `dumps` (where rows come from).

How much: `scaling` (the laws) → `scaling_fit` → `scaling_optimal` → `scaling_plan`; how often:
`repeated` → `repeated_fit` → `repeated_plan`; how much there is: `runout`.
"""
