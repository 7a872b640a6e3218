from __future__ import annotations

from collections.abc import Callable

import pytest

from pybridge import ConfigError, JsonCodec, MsgpackCodec, RawCodec
from pybridge.codecs import resolve_codec


@pytest.mark.parametrize(("name", "kind"), [("msgpack", MsgpackCodec), ("json", JsonCodec), ("raw", RawCodec)])
def test_name_of_a_codec_means_the_codec_with_its_defaults(name: str, kind: type[object]) -> None:
    assert resolve_codec(name) == kind()
    assert resolve_codec(name).format == name


def test_codec_object_is_taken_as_it_is() -> None:
    codec = JsonCodec(default=str, bytes="base64", nonfinite="null")
    assert resolve_codec(codec) is codec


@pytest.mark.parametrize("wrong", ["yaml", "", "JSON", None, 1, MsgpackCodec, b"json", "x" * 10_000])
def test_what_is_no_codec_is_a_config_error(wrong: object) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_codec(wrong)
    assert caught.value.field == "codec"
    assert len(str(caught.value)) < 200


async def _coroutine(_: object) -> object:
    return None


@pytest.mark.parametrize("codec", [JsonCodec, MsgpackCodec])
@pytest.mark.parametrize(("hook", "said"), [(5, "must be a callable"), (_coroutine, "not a coroutine")])
def test_hook_that_cannot_answer_is_refused(codec: Callable[..., object], hook: object, said: str) -> None:
    with pytest.raises(ConfigError, match=f"default: .*{said}"):
        codec(default=hook)
