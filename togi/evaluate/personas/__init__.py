"""Personas: what telling a model "if you were a …" changes, with games, exams and descriptions.

`persona` holds who is played and the wording; `bandit`, `protocol`, `players` and `lockstep` are
the two-armed bandit, `weights` its probit analysis; `exam` and `descriptions` are the other two
probes; `effects` says of every difference whether it was detected; `steps` is the recipe's
`evaluate.personas`. Source: Salewski et al. 2023, In-Context Impersonation, arXiv 2305.14930.
"""
