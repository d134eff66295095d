"""Aligning a model: SFT, LoRA, NF4, DPO."""
