"""Standard input, output and error of a server that is started with some of them closed."""

from __future__ import annotations

import os

STANDARD_ERROR = 2
"""The highest of their descriptors."""


def keep_standard_descriptors() -> None:
    """Opens those that are closed, so that no socket gets their numbers."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STANDARD_ERROR:
        pass
    os.close(descriptor)
