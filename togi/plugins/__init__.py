"""Doors from other programs: togi's engine as a model of lm-evaluation-harness and of Inspect."""
