"""``python -m togi`` is the same program as ``togi``."""

from togi.cli import main

if __name__ == "__main__":
    main()
