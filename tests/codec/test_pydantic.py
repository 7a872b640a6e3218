"""Models of pydantic: what their own serializers give, in frames of ours."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import gc
import ipaddress
import math
import pickle
import re
import uuid
import weakref
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Generic, NoReturn, TypeVar

import msgspec
import numpy as np
import pydantic
import pydantic.v1
import pydantic.v1.dataclasses
import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field, field_serializer
from pydantic_core import PydanticSerializationError

import pybridge
from pybridge import ConfigError, EncodeError, JsonCodec, LimitExceeded, Limits, MsgpackCodec, PooledEngine

from support.encoding import refusal

CODECS = pytest.mark.parametrize("make", [MsgpackCodec, JsonCodec])
Item = TypeVar("Item")


class Level(enum.Enum):
    HIGH = "high"


class User(BaseModel):
    name: str


class Stored(User):
    password_hash: str


class Answer(BaseModel):
    user: User
    users: list[User] = []
    other: Any = None


class Renamed(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True)
    first_name: str = Field(serialization_alias="firstName")
    maybe: int | None = None


class Computed(BaseModel):
    side: int
    secret: str = Field(default="s", exclude=True)

    @computed_field
    def area(self) -> int:
        return self.side**2

    @field_serializer("side")
    def as_text(self, side: int) -> str:
        return f"{side} cm"


class Reshaped(BaseModel):
    a: int

    @pydantic.model_serializer
    def shape(self) -> list[int]:
        return [self.a, self.a + 1]


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Shadowed(BaseModel):
    """What came under the field's own name is an extra."""

    model_config = ConfigDict(extra="allow")
    a: int = Field(alias="b")


class Box(BaseModel, Generic[Item]):
    item: Item


class Numbers(RootModel[list[int]]): ...


class Tree(BaseModel):
    name: str = "leaf"
    children: list[Tree] = []


class Anything(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    value: Any


@pydantic.dataclasses.dataclass
class Checked:
    a: int
    user: User
    secret: str = Field(default="hidden", exclude=True)


class Rich(BaseModel):
    when: dt.datetime = dt.datetime(2024, 2, 29, 12, 0, 0, 5, dt.UTC)
    day: dt.date = dt.date(2024, 2, 29)
    at: dt.time = dt.time(1, 2, 3)
    uid: uuid.UUID = uuid.UUID(int=7)
    price: Decimal = Decimal("1.50")
    level: Level = Level.HIGH
    path: PurePosixPath = PurePosixPath("/tmp/é")
    address: ipaddress.IPv4Address = ipaddress.IPv4Address("10.0.0.1")
    pair: tuple[int, str] = (1, "a\n\u2028")
    numbers: set[int] = {3}


STORED = Stored(name="ada", password_hash="$2b$")
MODELS: list[Any] = [
    User(name="é\u2028\n"),
    STORED,
    Answer(user=STORED, users=[STORED], other=User(name="x")),
    Renamed(first_name="ada"),
    Computed(side=3),
    Reshaped(a=1),
    Extra.model_validate({"a": 1, "more": [2]}),
    Shadowed.model_validate({"b": 1, "a": 99, "c": 2}),
    Box[User](item=STORED),
    Box[int](item=1),
    Numbers([1, 2]),
    Tree(children=[Tree(), Tree(children=[Tree(name="deep")])]),
    Checked(1, STORED),
    Rich(),
]


def dumped(value: Any, **options: Any) -> Any:
    return pydantic.TypeAdapter(type(value)).dump_python(value, **options)


def dumped_json(value: Any, **options: Any) -> bytes:
    return pydantic.TypeAdapter(type(value)).dump_json(value, **options)


def name(value: object) -> str:
    return type(value).__name__


@pytest.mark.guarantee("V-12")
@pytest.mark.parametrize("model", MODELS, ids=name)
def test_a_model_is_what_its_own_serializer_gives(model: Any) -> None:
    expected = dumped_json(model)
    assert bytes(pybridge.encode(model, "json")) == expected
    nested = b'[0,%b,{"a":%b,"b":[%b,%b]},1]' % ((expected,) * 4)
    assert bytes(pybridge.encode([0, model, {"a": model, "b": (model, model)}, 1], "json")) == nested
    table = pybridge.encode(dumped(model))
    assert pybridge.encode(model) == table
    assert pybridge.encode({"a": [model, 1]}).decode() == {"a": [table.decode(), 1]}


@pytest.mark.guarantee("V-12")
def test_what_an_annotation_hides_is_hidden_and_what_is_yielded_is_shown_as_its_own_class() -> None:
    hidden, shown = {"name": "ada"}, {"name": "ada", "password_hash": "$2b$"}
    for codec in ("msgpack", "json"):
        answer = pybridge.encode(Answer(user=STORED, users=[STORED]), codec).decode()
        assert answer == {"user": hidden, "users": [hidden], "other": None}
        assert pybridge.encode([STORED], codec).decode() == [shown]
        assert pybridge.encode(Checked(1, STORED), codec).decode() == {"a": 1, "user": hidden}


async def test_models_are_items_of_streams_in_every_framing() -> None:
    async def handler(_: Any) -> Any:
        for model in MODELS:
            yield model
            yield {"models": [model]}

    engine = PooledEngine(handler, codec="json", worker="attached")
    texts = [text for model in MODELS for text in (dumped_json(model), b'{"models":[%b]}' % dumped_json(model))]
    assert [bytes(frame) async for frame in engine.frames(None)] == texts
    assert b"".join([bytes(chunk) async for chunk in engine.chunks(None, framing="ndjson")]) == b"".join(
        text + b"\n" for text in texts
    )
    events = b"".join([bytes(chunk) async for chunk in engine.chunks(None, framing="sse")])
    assert events == b"".join(b"data: %b\n\n" % text for text in texts)
    packed = PooledEngine(handler, worker="attached")
    assert [item async for item in packed(None)][::2] == [pybridge.encode(dumped(model)).decode() for model in MODELS]


@pytest.mark.guarantee("V-12")
@CODECS
def test_model_dump_is_handed_to_the_serializer(make: Callable[..., Any]) -> None:
    for options in (
        {"by_alias": True, "exclude_none": True},
        {"by_alias": False},
        {"exclude_unset": True},
        {"exclude_defaults": True},
        {"exclude": {"first_name"}},
        {"include": {"maybe"}},
        {"round_trip": True, "warnings": "none", "context": {"a": 1}},
        {"serialize_as_any": True},
    ):
        codec = make(model_dump=options)
        for model in (Renamed(first_name="ada"), Answer(user=STORED), Checked(1, STORED)):
            assert pybridge.encode([model], codec).decode() == [dumped(model, **options)]
            if make is JsonCodec:
                assert bytes(pybridge.encode(model, codec)) == dumped_json(model, **options)
    assert pybridge.encode(Renamed(first_name="ada"), make(model_dump={})).decode() == {
        "firstName": "ada",
        "maybe": None,
    }


@CODECS
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("by_alias", "must be a mapping of argument names"),
        ({1: True}, "must be a mapping of argument names"),
        ([("by_alias", True)], "must be a mapping of argument names"),
        ({"by_alais": True}, "unexpected keyword argument 'by_alais'"),
        ({"by_alias": object()}, "is not what pydantic takes"),
        ({"fallback": str}, "the codec's default="),
        ({"mode": "json"}, "cannot hold 'mode'"),
    ],
)
def test_model_dump_is_checked_where_the_codec_is_made(make: Callable[..., Any], options: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(reason)) as caught:
        make(model_dump=options)
    assert caught.value.field == "model_dump"


@CODECS
def test_a_codec_keeps_its_own_copy_of_model_dump(make: Callable[..., Any]) -> None:
    options = {"exclude": {"name"}}
    codec = make(model_dump=options)
    options.clear()
    assert pybridge.encode(STORED, codec).decode() == {"password_hash": "$2b$"}
    assert pickle.loads(pickle.dumps(codec)) == codec
    assert make() == make(model_dump=None)


@CODECS
def test_what_pydantic_refuses_later_is_an_encode_error(make: Callable[..., Any]) -> None:
    error = refusal([0, STORED], make(model_dump={"exclude": 5}))
    assert error.path == "$[1]"
    assert isinstance(error.__cause__, TypeError | PydanticSerializationError)
    assert "exclude" in str(error)


async def test_the_text_codec_of_a_msgpack_engine_has_its_model_dump() -> None:
    async def handler(_: Any) -> Any:
        yield Renamed(first_name="ada")

    engine = PooledEngine(handler, codec=MsgpackCodec(model_dump={"exclude_none": True}), worker="attached")
    assert [bytes(chunk) async for chunk in engine.chunks(None, framing="ndjson")] == [b'{"firstName":"ada"}\n']


def test_the_models_own_settings_win_inside_json_and_the_table_rules_msgpack() -> None:
    class Own(BaseModel):
        model_config = ConfigDict(ser_json_inf_nan="strings", ser_json_bytes="base64")
        number: float = math.nan
        data: bytes = b"\xff\x00"
        keys: dict[int, str] = {1: "a"}

    text = b'{"number":"NaN","data":"_wA=","keys":{"1":"a"}}'
    assert bytes(pybridge.encode(Own(), "json")) == dumped_json(Own()) == text
    error = refusal([Own()])
    assert error.path == "$[0].keys"
    assert "key of type int" in str(error)
    packed = bytes(pybridge.encode(Own(), MsgpackCodec(keys="any")))
    back = msgspec.msgpack.decode(packed)
    assert math.isnan(back.pop("number"))
    assert back == {"data": b"\xff\x00", "keys": {1: "a"}}


@CODECS
def test_default_is_asked_for_what_the_serializer_does_not_know(make: Callable[..., Any]) -> None:
    asked: list[str] = []

    def hook(value: object) -> Any:
        asked.append(name(value))
        return {"was": [name(value)]} if isinstance(value, complex | Box) else User(name="from the hook")

    class Foreign: ...

    model = Anything(value={"deep": [Foreign()]})
    assert pybridge.encode([model], make(default=hook)).decode() == [{"value": {"deep": [{"name": "from the hook"}]}}]
    assert asked == ["Foreign"]
    error = refusal({"a": [model]}, make())
    assert "Foreign" in str(error)
    assert error.path.startswith("$.a[0]")


def test_msgpack_of_a_model_has_all_of_the_table() -> None:
    """Pydantic gives what it does not know as it is; the hook is asked for what the table does not have either."""

    class Struct(msgspec.Struct):
        a: int

    def hook(value: object) -> NoReturn:
        raise AssertionError(value)

    value = {"array": np.arange(2), "struct": Struct(1), "delta": dt.timedelta(1), "bytes": b"\xff"}
    expected = {"array": [0, 1], "struct": {"a": 1}, "delta": "P1D", "bytes": b"\xff"}
    assert pybridge.encode(Anything(value=value), MsgpackCodec(default=hook)).decode() == {"value": expected}


@CODECS
def test_what_a_serializer_raises_is_the_cause_at_the_models_path(make: Callable[..., Any]) -> None:
    class Broken(BaseModel):
        a: int = 1

        @field_serializer("a")
        def fail(self, _: int) -> int:
            raise ZeroDivisionError("in the serializer")

    error = refusal({"a": [Broken()]}, make())
    assert error.path == "$.a[0]"
    assert "ZeroDivisionError: in the serializer" in str(error)
    assert isinstance(error.__cause__, PydanticSerializationError)
    assert pybridge.encode([User(name="x")], make()).decode() == [{"name": "x"}]


@CODECS
def test_what_the_hook_raises_for_something_in_a_model_is_the_cause(make: Callable[..., Any]) -> None:
    failure = KeyError("inner")

    def hook(value: object) -> NoReturn:
        raise failure

    error = refusal({"a": [Anything(value=object())]}, make(default=hook))
    assert error.path.startswith("$.a[0]")
    assert str(error).startswith("default= raised for an object of type object: KeyError: 'inner' (at $.a[0]")
    assert error.__cause__ is failure


@CODECS
def test_hooks_that_give_back_what_they_got_end_in_an_error(make: Callable[..., Any]) -> None:
    error = refusal([Anything(value=object())], make(default=lambda value: value))
    assert str(error).startswith("default= gave back what it was given, of type object (at $[0]")
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises((EncodeError, LimitExceeded), match=r"\$\[0\]"):
        pybridge.encode([Anything(value=loop)], make())


@CODECS
def test_a_container_that_a_serializer_changes_is_an_error(make: Callable[..., Any]) -> None:
    box: list[Any] = []

    class Changing(BaseModel):
        a: int = 1

        @field_serializer("a")
        def change(self, a: int) -> int:
            box.clear()
            return a

    box += [Changing(), 1, 2]
    assert "container changed" in str(refusal({"box": box}, make()))
    assert pybridge.encode(Changing(), make()).decode() == {"a": 1}


@CODECS
def test_serializers_may_encode(make: Callable[..., Any]) -> None:
    class Nested(BaseModel):
        inner: Any

        @field_serializer("inner")
        def encoded(self, inner: Any) -> Any:
            return pybridge.encode(inner, make()).decode()

    model: Any = User(name="x")
    for _ in range(5):
        model = Nested(inner=model)
    assert pybridge.encode([model], make()).decode() == [dumped(model)]


def test_a_spliced_piece_counts_its_bytes() -> None:
    model = User(name="x" * 1000)
    size = len(dumped_json(model))
    for spare, value in ((0, model), (2, [model]), (6, {"a": model})):
        assert len(pybridge.encode(value, "json", Limits(max_frame_bytes=size + spare))) == size + spare
        with pytest.raises(LimitExceeded) as caught:
            pybridge.encode(value, "json", Limits(max_frame_bytes=size + spare - 1))
        assert caught.value.limit == "max_frame_bytes"
    with pytest.raises(LimitExceeded, match="max_depth"):
        pybridge.encode(Anything(value=[[[]]]), limits=Limits(max_depth=3))


async def test_text_of_several_lines_is_refused_where_a_frame_is_one_line() -> None:
    async def handler(_: Any) -> Any:
        yield [User(name="a\nb")]

    codec = JsonCodec(model_dump={"indent": 2})
    text = b'[{\n  "name": "a\\nb"\n}]'
    engine = PooledEngine(handler, codec=codec, worker="attached")
    assert [bytes(frame) async for frame in engine.frames(None)] == [text]
    for chunks in (engine.chunks(None, framing="ndjson"), engine.chunks(None, framing="sse")):
        with pytest.raises(EncodeError, match="leave indent out of model_dump") as caught:
            await anext(chunks)
        assert caught.value.path == "$[0]"


@CODECS
def test_models_of_pydantic_1_are_for_the_hook_and_named_without_one(make: Callable[..., Any]) -> None:
    class Old(pydantic.v1.BaseModel):
        a: int
        secret: str = pydantic.v1.Field(default="hidden", exclude=True)

    @pydantic.v1.dataclasses.dataclass
    class OldData:
        a: int

    for old in (Old(a=1), OldData(1)):
        error = refusal({"old": [old]}, make())
        assert error.path == "$.old[0]"
        assert "a model of pydantic 1; give the codec default=" in str(error)
    assert pybridge.encode([Old(a=1)], make(default=lambda old: old.dict())).decode() == [{"a": 1}]


@CODECS
def test_a_dataclass_that_inherits_from_a_checked_one_has_its_own_fields(make: Callable[..., Any]) -> None:
    class Same(Checked): ...

    @dataclasses.dataclass
    class More(Checked):
        b: int = 2

    user = {"name": "ada"}
    assert pybridge.encode(Same(1, STORED), make()).decode() == {"a": 1, "user": user}
    assert pybridge.encode(More(1, User(name="ada")), make()).decode() == {"a": 1, "user": user, "b": 2}


class Late(BaseModel):
    later: Later


def test_a_model_whose_types_come_later_is_refused_until_they_are_there() -> None:
    for codec in ("msgpack", "json"):
        assert "Later" in str(refusal([Late.model_construct(later=1)], codec))


class Later(BaseModel):
    a: int = 1


def test_a_model_that_is_built_at_its_first_use_is_encoded() -> None:
    class Deferred(BaseModel):
        model_config = ConfigDict(defer_build=True)
        a: int

    for codec in ("msgpack", "json"):
        assert pybridge.encode([Deferred.model_construct(a=1)], codec).decode() == [{"a": 1}]


def test_a_serializer_that_gives_no_bytes_is_refused() -> None:
    class Fake:
        class __pydantic_serializer__:  # noqa: N801
            @staticmethod
            def to_json(_: object) -> str:
                return "text"

            @staticmethod
            def to_python(_: object) -> list[int]:
                return [1]

    assert "gave no bytes" in str(refusal([Fake()], "json"))
    assert pybridge.encode([Fake()]).decode() == [[1]]


def test_classes_of_models_that_were_encoded_are_collected() -> None:
    def make() -> weakref.ref[type]:
        class Gone(BaseModel):
            a: int

        for codec in ("msgpack", "json"):
            assert pybridge.encode(Gone(a=1), codec).decode() == {"a": 1}
        return weakref.ref(Gone)

    gone = make()
    gc.collect()
    assert gone() is None


@pytest.mark.guarantee("M-15")
@CODECS
def test_a_codec_with_a_hook_and_model_dump_is_collected(make: Callable[..., Any]) -> None:
    class Owner:
        def hook(self, _: object) -> str:
            return "hook"

    owner = Owner()
    codec = make(default=owner.hook, model_dump={"context": {"owner": owner}})
    owner.__dict__["kept"] = [
        codec,
        pybridge.encode(Anything(value=object()), codec),
        pybridge._native.native_codec(codec),
    ]
    gone = weakref.ref(owner)
    del owner, codec
    gc.collect()
    assert gone() is None


@pytest.mark.guarantee("S-02")
@CODECS
def test_models_of_generators_stay_as_they_were_when_they_were_yielded(make: Callable[..., Any]) -> None:
    class Open(BaseModel):
        number: int

    def numbers() -> Iterator[Any]:
        model = Open(number=0)
        for _ in range(3):
            yield model
            model.number += 1

    engine = PooledEngine(pybridge.from_sync(lambda _: numbers()), codec=make(), worker="dedicated")
    with engine:
        assert list(engine.iter(None)) == [{"number": 0}, {"number": 1}, {"number": 2}]
