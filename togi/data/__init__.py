"""Choosing data."""
