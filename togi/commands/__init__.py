"""What the commands do; `togi/cli.py` only names them. Each is imported when it is called."""
