"""Typed rows, and the public file formats that they are read from."""
