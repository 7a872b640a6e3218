from __future__ import annotations

import pickle
import re
import traceback
from pathlib import Path

import pytest

import pybridge
from pybridge import (
    ConfigError,
    DecodeError,
    EncodeError,
    EngineClosed,
    ForkError,
    HandlerExit,
    InternalError,
    InvalidArgument,
    LimitExceeded,
    Overloaded,
    PoolExhausted,
    PybridgeError,
    StreamCancelled,
)

CASES: list[tuple[PybridgeError, type[Exception], bool, dict[str, object]]] = [
    (ConfigError("pool", "is no pool"), ValueError, False, {"field": "pool", "reason": "is no pool"}),
    (EncodeError("cannot encode object (at $.a[3])", "$.a[3]"), TypeError, False, {"path": "$.a[3]"}),
    (DecodeError("trailing bytes at byte 7", 7), ValueError, False, {"offset": 7}),
    (LimitExceeded("too deep at byte 9", "max_depth"), ValueError, False, {"limit": "max_depth", "path": None}),
    (LimitExceeded("too deep at $.a", "max_depth", "$.a"), ValueError, False, {"limit": "max_depth", "path": "$.a"}),
    (InvalidArgument("no prompt"), ValueError, False, {}),
    (StreamCancelled("shutdown"), PybridgeError, True, {"reason": "shutdown"}),
    (StreamCancelled("external"), PybridgeError, True, {"reason": "external"}),
    (StreamCancelled("client"), PybridgeError, False, {"reason": "client"}),
    (Overloaded("no place"), PybridgeError, True, {}),
    (PoolExhausted("no byte"), PybridgeError, True, {}),
    (EngineClosed("closed"), RuntimeError, True, {}),
    (HandlerExit("SystemExit: 3"), PybridgeError, False, {}),
    (ForkError("forked"), RuntimeError, False, {}),
    (InternalError("panic"), RuntimeError, False, {}),
]


@pytest.mark.parametrize(("error", "base", "retryable", "attributes"), CASES, ids=lambda case: repr(case)[:40])
def test_error_has_its_built_in_base_its_attributes_and_its_flag(
    error: PybridgeError, base: type[Exception], retryable: bool, attributes: dict[str, object]
) -> None:
    assert isinstance(error, base)
    assert isinstance(error, PybridgeError)
    assert error.retryable is retryable
    assert {name: getattr(error, name) for name in attributes} == attributes


@pytest.mark.parametrize("error", [case[0] for case in CASES], ids=repr)
def test_error_survives_pickling_with_message_attributes_and_notes(error: PybridgeError) -> None:
    error.add_note("request 7")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.args, vars(copy)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize(
    "reason", ["client", "caller", "deadline", "idle", "shutdown", "parent", "slow_consumer", "external"]
)
def test_cancelled_stream_says_its_reason_in_words(reason: str) -> None:
    text = str(StreamCancelled(reason))
    assert reason in text
    assert ": " in text


def test_what_is_worth_another_try_is_what_the_document_says() -> None:
    """The bridge's own tests hold the same table against the rule in Rust."""
    page = (Path(__file__).parents[2] / "docs" / "streams.md").read_text()
    section = page.split("## What is worth another try\n")[1].split("\n## ")[0]
    told = dict(re.findall(r"^\| `(.+?)` \| \d+ \| (yes|no) \|$", section, re.MULTILINE))
    of_class = {name: getattr(pybridge, name).retryable for name in told if hasattr(pybridge, name)}
    of_reason = {
        f'StreamCancelled("{reason}")': StreamCancelled(reason).retryable
        for reason in re.findall(r'`StreamCancelled\("(\w+)"\)`', section)
    }
    builtin = {"TimeoutError": False}
    assert {name: verdict == "yes" for name, verdict in told.items()} == of_class | of_reason | builtin
    assert set(of_class) | {"PybridgeError", "ConfigError", "StreamCancelled"} == {
        name for name, kind in vars(pybridge).items() if isinstance(kind, type) and issubclass(kind, PybridgeError)
    }


def test_traceback_shows_the_public_name_and_the_message() -> None:
    last = traceback.format_exception_only(LimitExceeded("too many values", "max_nodes"))[-1]
    assert last == "pybridge.errors.LimitExceeded: too many values\n"


def test_every_public_exception_is_a_pybridge_error() -> None:
    exceptions = [
        value for value in vars(pybridge).values() if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert {type(case[0]) for case in CASES} | {PybridgeError} == set(exceptions)
    assert all(issubclass(exception, PybridgeError) for exception in exceptions)
