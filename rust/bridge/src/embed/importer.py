"""Imports the package from sources that are compiled into the program."""

import sys
from collections.abc import Mapping
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType


class Importer(MetaPathFinder, ExecutionLoader):
    """Finds and loads the modules whose text it was given, and the one extension module beside them."""

    def __init__(self, sources: Mapping[str, str], packages: frozenset[str], extension: ModuleType) -> None:
        self._sources = sources
        self._packages = packages
        self._extension = extension

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname == self._extension.__name__:
            return ModuleSpec(fullname, self, origin="built-in")
        return spec_from_loader(fullname, self) if fullname in self._sources else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._extension if spec.name == self._extension.__name__ else None

    def exec_module(self, module: ModuleType) -> None:
        if module is not self._extension:
            super().exec_module(module)

    def is_package(self, fullname: str) -> bool:
        return fullname in self._packages

    def get_filename(self, fullname: str) -> str:
        path = fullname.replace(".", "/")
        return f"<embedded>/{path}/__init__.py" if self.is_package(fullname) else f"<embedded>/{path}.py"

    def get_source(self, fullname: str) -> str:
        """Gives the text, also to tracebacks."""
        try:
            return self._sources[fullname]
        except KeyError:
            raise ImportError(f"{fullname} is not embedded", name=fullname) from None


def install(sources: Mapping[str, str], packages: frozenset[str], extension: ModuleType) -> None:
    """Makes the modules importable, before any that are installed."""
    sys.meta_path.insert(0, Importer(sources, packages, extension))
