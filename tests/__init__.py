"""The tests. Each module of the core has a file of its own here; support.py is shared."""
