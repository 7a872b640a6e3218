"""Nesting on threads with small stacks: a typed error where the stack would not hold it, never a crash."""

from __future__ import annotations

import sys
import textwrap

import pytest

from support.processes import PythonRunner

KEPT_KIB = 32 if sys.version_info >= (3, 14) else 0
"""Where less than this is left of a stack the interpreter raises RecursionError; the sizes below are of the rest."""

SIZES = pytest.mark.parametrize("size", [64, 96, 128, 256, 512], ids=lambda size: f"{size} KiB")

# What each snippet begins with. A stack that overflows ends the process, so each has one of its own.
COMMON = """
import dataclasses, sys, threading
import pybridge
from pybridge import JsonCodec, LimitExceeded, Limits, MsgpackCodec

DEEPEST = Limits(max_depth=384)
CODECS = {"msgpack": MsgpackCodec, "json": JsonCodec}

@dataclasses.dataclass
class Link:
    next: object

class SubList(list):
    pass

class Foreign:
    def __init__(self, inside=None):
        self.inside = inside

WRAPS = [
    lambda it: [it], lambda it: (it,), lambda it: {"k": it}, lambda it: SubList([it]), lambda it: frozenset([it]), Link
]

def nested(depth, wrap, value=1):
    for _ in range(depth):
        value = wrap(value)
    return value

def is_refused(value, codec, limits=DEEPEST):
    try:
        assert pybridge.encode(value, codec, limits)
    except LimitExceeded as error:
        assert error.limit == "max_depth", error
        assert "stack is too small" in str(error), error
        return True
    return False

def on_stack(run):
    results = []
    threading.stack_size(int(sys.argv[1]) << 10)
    thread = threading.Thread(target=lambda: results.append(run()))
    thread.start()
    thread.join()
    [result] = results
    return result
"""

# Prints, for each codec and kind of container, to which depth it is encoded.
DEPTHS = """
def run(codec, wrap):
    outcomes = [is_refused(nested(depth, wrap), codec) for depth in (*range(0, 384, 5), 382, 383, 384)]
    assert outcomes == sorted(outcomes)
    return outcomes.count(False) * 5

for codec in CODECS:
    for wrap in WRAPS:
        print(on_stack(lambda: run(codec, wrap)))
"""


@pytest.mark.guarantee("L-01")
@SIZES
def test_encoding_ends_before_the_stack_does(run_python: PythonRunner, size: int) -> None:
    """And not much sooner: into half a megabyte everything fits."""
    deepest = [int(line) for line in run_python(COMMON + DEPTHS, str(size + KEPT_KIB)).split()]
    assert min(deepest) >= (384 if size == 512 else 20)


def test_encoding_ends_in_an_error_where_the_interpreter_keeps_half_of_the_stack(run_python: PythonRunner) -> None:
    """On CPython 3.14; on others it is the smallest size above."""
    run_python(COMMON + DEPTHS, "64")


@SIZES
def test_hooks_have_stack_to_run_on(run_python: PythonRunner, size: int) -> None:
    """Below containers of every kind, and where each level is the answer of a hook."""
    snippet = """
    def hook(value):
        words = sorted({"hooked": str(value), "b": repr(value)}, key=lambda word: f"{word}".encode())
        return words if value.inside is None else value.inside

    def run(codec, wrap):
        below = [is_refused(nested(depth, wrap, Foreign()), codec) for depth in range(0, 383, 5)]
        assert below == sorted(below) and not below[1]
        between = [is_refused(nested(depth, lambda value: Foreign(wrap(value))), codec) for depth in range(32)]
        assert between == sorted(between) and not between[1]

    for make in CODECS.values():
        for wrap in WRAPS:
            on_stack(lambda: run(make(default=hook), wrap))
    """
    run_python(COMMON + textwrap.dedent(snippet), str(size + KEPT_KIB))


@pytest.mark.guarantee("L-02")
@SIZES
@pytest.mark.parametrize("depth", [0, 1, 5, 20])
def test_hooks_that_encode_are_refused_before_the_stack_ends(run_python: PythonRunner, size: int, depth: int) -> None:
    snippet = """
    depth = int(sys.argv[2])

    def run(make, wrap):
        def hook(value):
            return bytes(pybridge.encode(nested(depth, wrap, value), codec, DEEPEST)).hex()

        codec = make(default=hook)
        try:
            pybridge.encode(Foreign(), codec, DEEPEST)
        except LimitExceeded as error:
            return error
        except pybridge.EncodeError as error:
            while not isinstance(error, LimitExceeded):
                error = error.__cause__
            return error

    for make in CODECS.values():
        for wrap in WRAPS:
            assert on_stack(lambda: run(make, wrap)).limit == "max_depth"
    """
    run_python(COMMON + textwrap.dedent(snippet), str(size + KEPT_KIB), str(depth))


@SIZES
def test_encoding_is_refused_where_its_caller_has_used_up_the_stack(run_python: PythonRunner, size: int) -> None:
    snippet = """
    def deeper(level, codec, value):
        if is_refused(value, codec):
            return level
        try:
            return min([level], key=lambda level: reached.append(deeper(level + 1, codec, value)))
        except RecursionError:  # the bound that Python 3.12 has for C code came first
            return level

    sys.setrecursionlimit(10_000)
    for codec in CODECS:
        reached = []
        on_stack(lambda: deeper(0, codec, nested(5, WRAPS[0])))
        assert reached[0] > 5, reached
    """
    run_python(COMMON + textwrap.dedent(snippet), str(size + KEPT_KIB))


@pytest.mark.guarantee("L-01")
@SIZES
def test_decoding_nests_on_no_stack(run_python: PythonRunner, size: int) -> None:
    snippet = """
    def run(frame, codec):
        for value in (frame.decode(), pybridge.decode(bytes(frame), codec, DEEPEST)):
            depth = 0
            while value != 1:
                [value] = value if isinstance(value, list) else value.values()
                depth += 1
            assert depth == 384
        return True

    for codec in CODECS:
        for wrap in WRAPS:
            frame = pybridge.encode(nested(384, wrap), codec, DEEPEST)
            assert on_stack(lambda: run(frame, codec))
    """
    run_python(COMMON + textwrap.dedent(snippet), str(size + KEPT_KIB))
