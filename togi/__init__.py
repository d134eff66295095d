"""togi (研ぎ): choose data, tune a model, judge it, and end in a verdict with error bars."""

__version__ = "0.1.0"
