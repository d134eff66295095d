"""Choose the data: `togi.data.dsir` picks what is like a target, `togi.data.steps` for recipes.

Reading order: `dsir` (the method's door) → `importance` (its mathematics) → `selection` (fit,
weigh, pick, tell) → `index` and `features` (from bytes to hashed n-grams) → `kernels`.

How much: `scaling` (the laws) → `scaling_fit` → `scaling_optimal` → `scaling_plan`; how often:
`repeated` → `repeated_fit` → `repeated_plan`; how much there is: `runout`.
"""
