"""The docstrings of what the stub of the extension declares: Rust has them, and so has the built extension."""

from __future__ import annotations

import inspect
from typing import Any

from griffe import Alias, Docstring, Extension, Module, Object

from pybridge import _pybridge


class Docstrings(Extension):
    """Gives each class, method and attribute of the stub the text that `help()` shows."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Fills the stub in once the package is read."""
        if pkg.name == "pybridge":
            declared = pkg.members["_pybridge"]
            assert isinstance(declared, Module)
            self._fill(declared, _pybridge)

    def _fill(self, declared: Object, real: Any) -> None:
        for name, member in declared.members.items():
            if isinstance(member, Alias) or name.startswith("__"):
                continue
            found = inspect.getattr_static(real, name, None)
            text = getattr(found, "__doc__", None)
            if member.docstring is None and text:
                member.docstring = Docstring(inspect.cleandoc(text), parent=member)
            if member.is_class and found is not None:
                self._fill(member, getattr(real, name))
