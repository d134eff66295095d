"""Choose the data: `togi.data.dsir` picks what is like a target, `togi.data.steps` for recipes.

Reading order: `dsir` (the method's door) → `importance` (its mathematics) → `selection` (fit,
weigh, pick, tell) → `index` and `features` (from bytes to hashed n-grams) → `kernels`.
"""
