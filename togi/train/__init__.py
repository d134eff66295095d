"""The one training loop: objectives in, checkpoints out."""
