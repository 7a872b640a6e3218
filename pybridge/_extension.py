"""The version, read from the extension; the import that says what to do where there is no extension."""

import sys
from pathlib import Path

from pybridge._interpreter import refuse_free_threading

__all__ = ["__version__"]

refuse_free_threading()

try:
    from pybridge._pybridge import __version__
except ModuleNotFoundError as error:
    if error.name != "pybridge._pybridge":
        raise
    folder = Path(__file__).parent
    others = ", ".join(sorted(path.name for path in folder.glob("_pybridge*.so")))
    raise ImportError(
        f"pybridge's extension is not built for this Python ({sys.implementation.cache_tag}, {sys.executable}):"
        f" {folder} holds {others or 'Python sources only'}. In a clone: `make build`, then use .venv/bin/python."
        " Where pybridge-engine is installed: start Python in another folder than the clone",
        name=error.name,
    ) from None
