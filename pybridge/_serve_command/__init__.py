"""The command `pybridge serve`: its options, what they name, and several processes."""
