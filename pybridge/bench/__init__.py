"""Measures a handler through every lane: the usual bridges, pybridge, and plain Python as the floor."""
