"""Aligning a model: SFT, LoRA, DPO."""
