"""The kind of answer that a handler gives, as far as its own kind and its bytecode tell."""

from __future__ import annotations

import dis
import inspect
import re
from collections.abc import Callable

from pybridge._handlers import innermost

DISPLAYS = {
    "BUILD_CONST_KEY_MAP": "dict",
    "BUILD_LIST": "list",
    "BUILD_MAP": "dict",
    "BUILD_SET": "set",
    "BUILD_STRING": "str",
    "BUILD_TUPLE": "tuple",
    "FORMAT_SIMPLE": "str",
    "FORMAT_VALUE": "str",
    "FORMAT_WITH_SPEC": "str",
}
"""Instructions that leave a new value of a type that is known."""

LOADS = {"LOAD_COMMON_CONSTANT", "LOAD_CONST", "LOAD_SMALL_INT"}
"""Instructions that leave a constant."""

ASYNC_ITERATOR = re.compile(r"^(\w+\.)*Async(Iterator|Iterable|Generator)\b")


def streams_items(function: object) -> bool:
    """Whether this is an async generator function, or a decorator's cover of one."""
    is_cover = callable(function) and inspect.isasyncgenfunction(inspect.unwrap(function))
    return is_cover or inspect.isasyncgenfunction(function)


def returns_items(function: Callable[..., object]) -> bool:
    """Whether the annotations of a coroutine function say that it returns an async iterator."""
    annotation = getattr(function, "__annotations__", {}).get("return")
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__qualname__", repr(annotation))
    return bool(ASYNC_ITERATOR.match(text))


def returns_one_value(handler: object) -> bool:
    """Whether a handler is a coroutine function that returns its one value, as far as its annotations say."""
    inner = innermost(handler)
    return inspect.iscoroutinefunction(inner) and not returns_items(inner)


def plain_function(handler: object) -> Callable[..., object] | None:
    """The function below a handler that is neither asynchronous nor a generator; None: it is another kind."""
    inner = innermost(handler)
    kinds = (inspect.isasyncgenfunction, inspect.iscoroutinefunction, inspect.isgeneratorfunction)
    return inner if inspect.isfunction(inner) and not any(is_kind(inner) for is_kind in kinds) else None


def returned_types(function: object) -> list[str]:
    """Names of the types that a function returns, each once; empty: not all of them are known."""
    if not inspect.isfunction(function):
        return []
    types: dict[str, None] = {}
    before: dis.Instruction | None = None
    for instruction in dis.get_instructions(function):
        found: str | None = ""
        if instruction.opname == "RETURN_CONST":
            found = type(instruction.argval).__name__
        elif instruction.opname == "RETURN_VALUE":
            found = None if before is None or instruction.is_jump_target else _left(before)
        if found is None:
            return []
        if found:
            types[found] = None
        before = instruction
    return [*types]


def _left(instruction: dis.Instruction) -> str | None:
    """The name of the type of what an instruction leaves; None: it may be anything."""
    if instruction.opname in LOADS:
        return type(instruction.argval).__name__
    return DISPLAYS.get(instruction.opname)
