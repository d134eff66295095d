"""DSIR over any number of shards, in bounded memory, by any engine, with one and the same answer.

Reading order: `cut` (sources to shards) → `reading` (a shard's documents) → `kept` (its files) →
`tasks` (what is done to one shard) → `engines` (who does it) → `threshold` (which keys are the
k largest) → `select` (all of it) → `told` and `card` (what is said of it).
"""
