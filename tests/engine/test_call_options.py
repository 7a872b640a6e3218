"""Options of calls, workers and engines that cannot be are refused at once, by name."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from pybridge import (
    ConfigError,
    LimitExceeded,
    Limits,
    Pool,
    PooledEngine,
    Worker,
    configure_runtime,
    decode,
    encode,
)
from pybridge._call_options import CallOptions, checked


async def handler(request: object) -> AsyncGenerator[object, None]:
    yield request


@pytest.mark.guarantee("E-18", "L-08")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metadata": {"a": 1}}, r"metadata\['a'\]: must be text, not 1"),
        ({"metadata": {1: "a"}}, "metadata: must be text, not 1"),
        ({"metadata": [1]}, "metadata: must map text to text"),
        ({"metadata": {"a": "\ud800"}}, r"metadata\['a'\]: must not hold surrogates"),
        ({"request_id": 5}, "request_id: must be text, not 5"),
        ({"request_id": "\udfff"}, "request_id: must not hold surrogates"),
        ({"traceparent": b"00-"}, "traceparent: must be text"),
        ({"tracestate": 3}, "tracestate: must be text"),
        ({"metadata": {"a": "b\r\nSet-Cookie: c"}}, r"metadata\['a'\]: must not hold control characters"),
        ({"metadata": {"a\0b": "c"}}, "metadata: must not hold control characters"),
        ({"request_id": "a\nb"}, "request_id: must not hold control characters"),
        ({"traceparent": "00-\x7f"}, "traceparent: must not hold control characters"),
        ({"tracestate": "a=1\x85"}, "tracestate: must not hold control characters"),
        ({"timeout": "5"}, "timeout: must be seconds"),
        ({"idle_timeout": -1}, "idle_timeout: must be seconds"),
        ({"parent": object()}, "parent: must be a Context or None, not object"),
        ({"encoded": "yaml"}, "encoded: must be one of"),
    ],
)
def test_option_that_cannot_be_is_named_before_anything_starts(options: dict[str, Any], said: str) -> None:
    engine = PooledEngine(handler)
    for call in (engine, engine.frames, engine.chunks):
        with pytest.raises(ConfigError, match=said):
            call(None, **options)
    assert engine.stats().streams.started == 0


@pytest.mark.parametrize("name", ["timeout", "idle_timeout"])
def test_timeout_is_a_number_of_seconds_from_zero_to_below_a_thousand_million(name: Any) -> None:
    for seconds in (None, 0, 0.5, 999_999_999):
        allowed: Any = {name: seconds}
        assert checked(allowed, Limits()) == allowed
    for wrong in (True, -0.001, -1, 1e9, float("nan"), float("inf"), "5"):
        refused: Any = {name: wrong}
        with pytest.raises(ConfigError, match=rf"^{name}: must be seconds, at least 0, not {re.escape(repr(wrong))}$"):
            checked(refused, Limits())


def test_options_that_are_none_are_as_good_as_left_out() -> None:
    unset: Any = {"request_id": None, "traceparent": None, "tracestate": None, "parent": None}
    assert checked(unset, Limits()) == unset
    absent: Any = {"metadata": None}
    assert checked(absent, Limits(max_metadata_entries=0, max_metadata_bytes=0)) == {"metadata": {}}
    assert checked({}, Limits()) == {}


def test_options_are_copied_and_metadata_as_well() -> None:
    options: CallOptions = {"metadata": {"a": "b"}, "request_id": "mine"}
    found = checked(options, Limits())
    assert found == options
    assert found is not options
    assert found["metadata"] is not options["metadata"]


def test_limit_of_metadata_says_what_was_given() -> None:
    for metadata, limits, said in (
        ({"a": "", "b": ""}, Limits(max_metadata_entries=1), "metadata of 2 entries is over max_metadata_entries"),
        ({"é": "ü"}, Limits(max_metadata_bytes=3), "metadata of 4 bytes is over max_metadata_bytes"),
    ):
        with pytest.raises(LimitExceeded, match=said):
            checked({"metadata": metadata}, limits)
    assert checked({"metadata": {"é": "ü"}}, Limits(max_metadata_bytes=4, max_metadata_entries=1))


@pytest.mark.guarantee("E-18")
def test_unknown_option_is_a_type_error_that_names_the_known_ones() -> None:
    unknown: dict[str, Any] = {"tiemout": 5}
    with pytest.raises(TypeError, match=r"no option 'tiemout'; it has .*timeout"):
        PooledEngine(handler)(None, **unknown)


@pytest.mark.guarantee("L-08")
def test_metadata_is_limited_in_entries_and_bytes() -> None:
    engine = PooledEngine(handler, limits=Limits(max_metadata_entries=2, max_metadata_bytes=10))
    assert list(engine.iter(1, metadata={"a": "1234", "b": "1234"})) == [1]
    for metadata, limit in (
        ({"a": "", "b": "", "c": ""}, "max_metadata_entries"),
        ({"a": "1234", "b": "123é"}, "max_metadata_bytes"),
    ):
        with pytest.raises(LimitExceeded) as raised:
            engine(1, metadata=metadata)
        assert raised.value.limit == limit


@pytest.mark.guarantee("L-08")
def test_hostile_metadata_is_refused_with_a_short_message() -> None:
    """A value of 1 MB, and 100,000 entries."""
    engine = PooledEngine(handler)
    for metadata, limit in (
        ({"a": "b" * 1_000_000}, "max_metadata_bytes"),
        ({str(number): "" for number in range(100_000)}, "max_metadata_entries"),
    ):
        with pytest.raises(LimitExceeded) as raised:
            engine(1, metadata=metadata)
        assert raised.value.limit == limit
        assert len(str(raised.value)) < 100
    assert engine.stats().streams.started == 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Worker(cpu=-1), "cpu: must be the number of a processor, not -1"),
        (lambda: Worker(cpu="0"), "cpu: must be the number of a processor, not '0'"),  # type: ignore[arg-type]
        (lambda: Worker(loop=3), "loop: must be 'asyncio' or 'uvloop', not 3"),  # type: ignore[arg-type]
        (lambda: Worker(loop=None), "loop: must be 'asyncio' or 'uvloop', not None"),  # type: ignore[arg-type]
        (lambda: Worker(name=5), "name: must be text without surrogates, not 5"),  # type: ignore[arg-type]
        (lambda: Worker(name="\ud800"), "name: must be text without surrogates"),
        (lambda: Pool("64MiB"), "config: must be a PoolConfig or None, not str"),  # type: ignore[arg-type]
        (lambda: encode([], limits={"max_depth": 3}), "limits: must be a Limits, not dict"),  # type: ignore[arg-type]
        (lambda: decode(b"", limits=3), "limits: must be a Limits, not int"),  # type: ignore[arg-type]
        (lambda: configure_runtime(-1), "workers: must be a whole number, at least 1, not -1"),
        (lambda: configure_runtime("a"), "workers: must be a whole number, at least 1, not 'a'"),  # type: ignore[arg-type]
        (lambda: PooledEngine(handler, name="\ud800"), "name: must not hold surrogates"),
        (lambda: PooledEngine(handler, name=4), "name: must be text, not 4"),  # type: ignore[arg-type]
    ],
)
def test_setting_that_cannot_be_is_named(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


def test_worker_is_shown_in_the_notation_of_python() -> None:
    for worker in (Worker(cpu=99, name="it's"), Worker("uvloop")):
        copy = eval(repr(worker))
        assert repr(copy) == repr(worker)
    assert repr(Worker(cpu=99)) == "Worker(loop='asyncio', cpu=99, name='pybridge-worker')"


def test_processor_that_does_not_exist_fails_the_call_that_needs_it() -> None:
    engine = PooledEngine(handler, worker=Worker(cpu=100_000))
    for _ in range(2):
        with pytest.raises(ConfigError, match="cpu: this process cannot run on processor 100000"):
            list(engine.iter(None))


@pytest.mark.parametrize("given", [5, object(), None])
def test_lifespan_that_is_none_says_what_it_gave(given: Any) -> None:
    with pytest.raises(TypeError, match=f"lifespan returned {type(given).__name__}, which is no async"):
        list(PooledEngine(handler, worker="dedicated", lifespan=lambda: given).iter(None))


@pytest.mark.guarantee("H-03")
def test_awaitable_that_gives_no_iterator_is_a_type_error() -> None:
    class Wrong:
        def __await__(self) -> Any:
            return 5

    with pytest.raises(TypeError, match=r"__await__\(\) returned non-iterator of type 'int'"):
        list(PooledEngine(lambda request: Wrong()).iter(None))
