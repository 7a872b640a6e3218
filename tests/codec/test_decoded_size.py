"""The bound on the size of objects that one message may become."""

from __future__ import annotations

from typing import Any

import pytest

import pybridge
from pybridge import LimitExceeded, Limits

from support.consumers import collect
from support.engines import EngineMaker
from support.processes import PythonRunner

RECORDS = [{"id": number, "v": number} for number in range(300_000)]


@pytest.fixture(scope="module", params=["msgpack", "json"])
def records(request: pytest.FixtureRequest) -> tuple[Any, bytes]:
    data = bytes(pybridge.encode(RECORDS, request.param))
    assert len(data) > 4 << 20
    return request.param, data


def over(data: bytes, codec: Any, limits: Limits | None = None) -> str:
    with pytest.raises(LimitExceeded) as caught:
        pybridge.decode(data, codec, limits)
    assert str(caught.value).endswith(f"({caught.value.limit})")
    assert caught.value.path is None
    return caught.value.limit


@pytest.mark.guarantee("L-06")
def test_the_setting_that_is_named_is_the_one_that_lifts_the_bound(records: tuple[Any, bytes]) -> None:
    codec, data = records
    assert over(data, codec) == "max_expansion"
    assert over(data, codec, Limits(max_decoded_bytes="4GiB")) == "max_expansion"
    assert over(data, codec, Limits(max_expansion=64, max_decoded_bytes="80MiB")) == "max_decoded_bytes"
    assert over(data, codec, Limits(max_expansion=1000, max_decoded_bytes="8MiB")) == "max_decoded_bytes"
    assert pybridge.decode(data, codec, Limits(max_expansion=64)) == RECORDS


def test_the_error_says_both_sizes(records: tuple[Any, bytes]) -> None:
    codec, data = records
    most = max(64 << 20, 8 * len(data))
    with pytest.raises(
        LimitExceeded, match=f"^objects of more than {most} bytes from a message of {len(data)} bytes at"
    ):
        pybridge.decode(data, codec)


@pytest.mark.guarantee("L-06")
def test_the_first_64_mib_are_free() -> None:
    small = b"\xdd\0\x06\0\0" + b"\x80" * 0x60000
    assert len(pybridge.decode(small, limits=Limits(max_expansion=1))) == 0x60000
    large = b"\xdd\0\x0f\0\0" + b"\x80" * 0xF0000
    assert over(large, "msgpack") == "max_expansion"


async def test_a_request_and_an_items_frame_are_held_to_it(make_engine: EngineMaker) -> None:
    async def handler(request: Any) -> Any:
        yield len(request)

    body = bytes(pybridge.encode(RECORDS))
    with pytest.raises(LimitExceeded, match="max_expansion"):
        await collect(make_engine(handler)(body, encoded="msgpack"))
    engine = make_engine(handler, limits=Limits(max_expansion=64))
    assert await collect(engine(body, encoded="msgpack")) == [len(RECORDS)]


@pytest.mark.guarantee("L-10")
def test_the_environment_sets_the_limits_of_calls_that_name_none(run_python: PythonRunner) -> None:
    snippet = """
        import pybridge
        try:
            pybridge.decode(b"[[[1]]]", "json")
        except pybridge.LimitExceeded as error:
            print(error.limit)
        print(pybridge.Limits().max_expansion, pybridge.decode(b"[[1]]", "json"))
    """
    environment = {"PYBRIDGE_LIMITS_MAX_DEPTH": "2", "PYBRIDGE_LIMITS_MAX_EXPANSION": "64"}
    assert run_python(snippet, environment=environment) == "max_depth\n64 [[1]]\n"
