from __future__ import annotations

import pickle
import re
import traceback
from pathlib import Path
from typing import Any

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
    PublicError,
    PybridgeError,
    StreamCancelled,
)

CASES: list[tuple[PybridgeError, type[Exception], bool, dict[str, object]]] = [
    (ConfigError("pool", "is no pool"), ValueError, False, {"field": "pool", "reason": "is no pool"}),
    (EncodeError("cannot encode object (at $.a[3])", "$.a[3]"), TypeError, False, {"path": "$.a[3]"}),
    (DecodeError("trailing bytes at byte 7", 7), ValueError, False, {"offset": 7}),
    (LimitExceeded("too deep at byte 9", "max_depth"), ValueError, False, {"limit": "max_depth", "path": None}),
    (LimitExceeded("too deep at $.a", "max_depth", "$.a"), ValueError, False, {"limit": "max_depth", "path": "$.a"}),
    (
        PublicError("no such model", 404, "model_not_found", headers={"x-model": "b"}),
        PybridgeError,
        False,
        {"message": "no such model", "status": 404, "code": "model_not_found", "headers": {"x-model": "b"}},
    ),
    (PublicError("come back", 503, retryable=True), PybridgeError, True, {"status": 503, "code": None, "headers": {}}),
    (InvalidArgument("no prompt"), ValueError, False, {"status": 400, "code": None}),
    (InvalidArgument("too long", 413), PublicError, False, {"status": 413}),
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


@pytest.mark.guarantee("S-14")
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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"message": 5}, "message: must be text, not a value of type int"),
        ({"status": 399}, "status: must be a whole number between 400 and 599, not 399"),
        ({"status": 600}, "status: must be a whole number between 400 and 599, not 600"),
        ({"status": True}, "status: must be a whole number between 400 and 599, not True"),
        ({"status": "404"}, "status: must be a whole number between 400 and 599, not '404'"),
        ({"status": 404.0}, "status: must be a whole number between 400 and 599, not a value of type float"),
        ({"code": 5}, "code: must be text, not 5"),
        ({"code": "a\nb"}, "code: must not hold control characters"),
        ({"retryable": 1}, "retryable: must be True or False, not 1"),
        ({"headers": ["x-a"]}, "headers: must map text to text, not a value of type list"),
        ({"headers": {"x-a": 5}}, "headers['x-a']: must be text, not 5"),
        ({"headers": {5: "a"}}, "headers: must be text, not 5"),
        ({"headers": {"x-a": "b\r\nset-cookie: c"}}, "headers['x-a']: must not hold control characters"),
        ({"headers": {"x-a\n": "b"}}, "headers: must not hold control characters"),
        ({"headers": {"x-a: b": "c"}}, "headers: 'x-a: b' is no name of a header"),
        ({"headers": {"": "c"}}, "headers: '' is no name of a header"),
        ({"headers": {"x-a": "\ud800"}}, "headers['x-a']: must not hold surrogates, as '\\ud800' does"),
    ],
)
@pytest.mark.parametrize("kind", [PublicError, InvalidArgument])
def test_public_answer_that_cannot_be_sent_is_a_config_error(
    kind: type[PublicError], arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        kind(**{"message": "a", **arguments})
    assert str(caught.value) == said


def test_headers_of_a_public_answer_are_its_own() -> None:
    headers = {"x-a": "b"}
    error = PublicError("a", headers=headers)
    headers["x-a"] = "c"
    assert error.headers == {"x-a": "b"}
