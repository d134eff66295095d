"""Judging models before and after, and the verdict."""
