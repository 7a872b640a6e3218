"""Objects that change what is being encoded, call back, or lie about themselves."""

from __future__ import annotations

import dataclasses
import gc
import sys
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

import pybridge
from pybridge import EncodeError, JsonCodec, MsgpackCodec

from support import skips
from support.processes import PythonRunner

CODECS: list[Callable[..., Any]] = [MsgpackCodec, JsonCodec]


def strict(frame: pybridge.Frame, codec: Any) -> Any:
    """What a strict reader finds in the frame, with nothing after it."""
    decode: Callable[[bytes], Any] = msgspec.json.decode if isinstance(codec, JsonCodec) else msgspec.msgpack.decode
    return decode(bytes(frame))


def shrink(box: Any) -> None:
    box.pop() if isinstance(box, list) else box.popitem()


def clear(box: Any) -> None:
    box.clear()


def grow(box: Any) -> None:
    if isinstance(box, list):
        box.append(0)
    else:
        box[f"new{len(box)}"] = 0


def replace(box: Any) -> None:
    for key in range(len(box)) if isinstance(box, list) else list(box):
        box[key] = "replaced"


def swap(box: Any) -> None:
    """Another key, the same length."""
    if isinstance(box, list):
        box.insert(0, box.pop())
    else:
        box.popitem()
        box[f"new{id(box)}"] = 0


class Probe:
    """Something the codec does not know."""


def list_of_probes() -> Any:
    return [Probe() for _ in range(256)]


def dict_of_probes() -> Any:
    return {f"key {number}": Probe() for number in range(256)}


@pytest.mark.guarantee("V-16")
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("change", [shrink, clear, grow, replace, swap])
@pytest.mark.parametrize("make", [list_of_probes, dict_of_probes])
@pytest.mark.parametrize("nest", ["alone", "nested", "only reference"])
def test_a_container_that_the_hook_changes_is_an_error(
    codec: Callable[..., Any], change: Callable[[Any], None], make: Callable[[], Any], nest: str
) -> None:
    box = make()
    outer: Any = box if nest == "alone" else {"outer": [0, box, 1]}
    asked = 0

    def hook(_: object) -> Any:
        nonlocal asked
        asked += 1
        if asked == 100:
            if nest == "only reference":
                outer["outer"][1] = None
            change(box)
            gc.collect()
        return asked

    spec = codec(default=hook)
    with pytest.raises(EncodeError, match="container changed"):
        pybridge.encode(outer, spec)
    assert strict(pybridge.encode({"next": [1, 2]}, spec), spec) == {"next": [1, 2]}


def floats(box: dict[str, Any]) -> None:
    """New values, most likely where the old ones were in memory."""
    for key in ("a", "b"):
        del box[key]
        box[key] = float(len(box)) + 0.25


def other_keys(box: dict[str, Any]) -> None:
    """As many as before; the first comes a second time."""
    del box["a"], box["b"]
    box.update(a=5, z=6)


def same_items(box: dict[str, Any]) -> None:
    """The same keys and values in another order."""
    box["a"] = box.pop("a")


@pytest.mark.guarantee("V-16")
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("change", [floats, other_keys, same_items])
@pytest.mark.parametrize("before", [True, False], ids=["first item", "after an item that the hook had to do with"])
def test_entries_that_change_under_the_same_length_are_noticed(
    codec: Callable[..., Any], change: Callable[[dict[str, Any]], None], before: bool
) -> None:
    """Neither a key that comes twice nor a mix of two states of a container."""
    box: dict[str, Any] = {"a": 1.5, "x": Probe(), "b": 2.5}

    def hook(probe: Probe) -> Any:
        if probe is box["x"]:
            change(box)
        return 0

    async def handler(_: Any) -> Any:
        if not before:
            yield [Probe()]
        yield {"outer": [box, 1]}

    engine = pybridge.PooledEngine(handler, codec=codec(default=hook), worker="dedicated")
    with engine, pytest.raises(EncodeError, match="container changed") as raised:
        list(engine.iter(None))
    assert "$.outer[0]" in str(raised.value)


@pytest.mark.parametrize("codec", CODECS)
def test_an_element_that_is_away_for_a_while_is_written_as_it_was(codec: Callable[..., Any]) -> None:
    here = "here"
    box: list[Any] = [Probe(), here, Probe()]

    def hook(probe: Probe) -> Any:
        box[1] = "another" if probe is box[0] else here
        return 0

    spec = codec(default=hook)
    assert strict(pybridge.encode(box, spec), spec) == [0, "here", 0]


@pytest.mark.guarantee("V-11")
@pytest.mark.parametrize("codec", CODECS)
def test_python_code_runs_once_for_each_object(codec: Callable[..., Any]) -> None:
    asked: list[str] = []

    class Record:
        __dataclass_fields__ = vars(dataclasses.make_dataclass("Fields", ["name"]))["__dataclass_fields__"]

        @property
        def name(self) -> str:
            asked.append("field")
            return "record"

    def hook(_: Probe) -> Any:
        asked.append("hook")
        return [Record()]

    spec = codec(default=hook)
    value = strict(pybridge.encode({"first": [1, "x" * 100_000], "then": [Probe(), Record()]}, spec), spec)
    assert value["then"] == [[{"name": "record"}], {"name": "record"}]
    assert asked == ["hook", "field", "field"]


@pytest.mark.parametrize("codec", CODECS)
def test_types_that_lie_about_what_they_are_go_to_the_hook(codec: Callable[..., Any]) -> None:
    class Answers(type):
        def __getattr__(cls, name: str) -> Any:
            return 7

    class Anything(metaclass=Answers): ...

    class Nameless: ...

    Nameless.__module__ = None  # type: ignore[assignment]
    for thing in (Anything(), Nameless(), type("Inherits", (Nameless,), {})()):
        spec = codec(default=lambda _: "hooked")
        assert strict(pybridge.encode([thing], spec), spec) == ["hooked"]
        with pytest.raises(EncodeError, match=r"cannot encode .*\$\[0\]"):
            pybridge.encode([thing], codec())


@pytest.mark.parametrize("codec", ["msgpack", "json", "raw"])
def test_text_of_no_code_points_is_refused(codec: Any) -> None:
    """What numpy makes of arbitrary bytes."""
    text = np.frombuffer(b"\x91\xb8\xb6\x21" * 2, "U2")[0]
    for item in (text, str(text)):
        with pytest.raises(EncodeError, match=r"U\+21B6B891"):
            pybridge.encode(item, codec)


@skips.where("classes written in Python have a buffer from Python 3.12 on")
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_a_buffer_raises_is_not_swallowed(error: type[BaseException]) -> None:
    class Shy:
        def __buffer__(self, flags: int) -> memoryview:
            raise error("no")

    with pytest.raises((error, EncodeError)) as raised:
        pybridge.encode(Shy(), "raw")
    assert raised.type is error or isinstance(raised.value.__cause__, error)


@pytest.mark.guarantee("V-18")
@pytest.mark.parametrize("codec", CODECS)
def test_what_the_hook_makes_unreachable_lives_until_it_is_written(codec: Callable[..., Any]) -> None:
    """The hook takes away every reference that the test holds to what is being encoded."""
    deaths: list[str] = []

    class Node:
        def __init__(self, name: str) -> None:
            self.name = name

        def __del__(self) -> None:
            deaths.append(self.name)

    holder: dict[str, Any] = {"list": [Node("first"), "x" * 100, {"k" * 50: Node("second"), "tail": ["y" * 100]}]}

    def hook(node: Any) -> Any:
        name = node.name
        del node
        holder.clear()
        gc.collect()
        return {"name": name, "filler": ["z" * 50]}

    spec = codec(default=hook)
    with pytest.raises(EncodeError, match="container changed"):
        pybridge.encode(holder, spec)
    assert sorted(deaths) == ["first", "second"]


@pytest.mark.parametrize("codec", CODECS)
def test_descriptors_of_fields_may_change_everything_around_them(codec: Callable[..., Any]) -> None:
    box: list[Any] = []

    @dataclasses.dataclass
    class Sly:
        a: Any

        def __getattribute__(self, name: str) -> Any:
            box.clear()
            gc.collect()
            return ["made", "now"] if name == "a" else object.__getattribute__(self, name)

    box += [Sly(1), Sly(2), "x" * 1000]
    with pytest.raises(EncodeError, match="container changed"):
        pybridge.encode({"deep": [box]}, codec())
    assert strict(pybridge.encode(Sly(1), codec()), codec()) == {"a": ["made", "now"]}


@pytest.mark.guarantee("V-18")
@pytest.mark.parametrize("codec", CODECS)
def test_finalisers_of_replaced_elements_may_encode_again(codec: Callable[..., Any]) -> None:
    """Re-entry gets a buffer of its own, frames that were kept stay as they were."""
    kept: list[memoryview] = []
    spec: Any = None

    class Last:
        def __del__(self) -> None:
            kept.append(memoryview(pybridge.encode(["from a finaliser", list(range(100))], spec)))

    box: list[Any] = [Probe(), Last(), Probe(), *([Last()] * 3)]

    def hook(_: object) -> Any:
        for index, item in enumerate(box):
            if isinstance(item, Last):
                box[index] = index
        kept.append(memoryview(pybridge.encode({"nested": "x" * 70_000}, spec)))
        return "hooked"

    spec = codec(default=hook)
    with pytest.raises(EncodeError, match="container changed"):
        pybridge.encode([box, "tail"], spec)
    box.clear()
    gc.collect()
    pybridge.encode("y" * 200_000, spec)
    found = [strict(pybridge.encode(memoryview(view).tobytes(), "raw"), spec) for view in kept]
    assert {"nested": "x" * 70_000} in found
    assert ["from a finaliser", list(range(100))] in found
    kept.clear()


@pytest.mark.guarantee("V-19")
def test_a_failed_encode_is_no_obstacle_to_the_next() -> None:
    """Good values and ones that fail after 0, 1, many bytes and 4 MiB, in turn."""
    bad: list[Any] = [object(), [object()], ["x" * 1000, object()], ["x" * (4 << 20), object()], {"a": 2**64}]
    for _ in range(3):
        for value in bad:
            for codec in ("msgpack", "json"):
                with pytest.raises(EncodeError):
                    pybridge.encode(value, codec)
                for good in ([1, "two", 3.0], "x" * 70_000, {"a": ["b"] * 100}):
                    assert pybridge.encode(good, codec).decode() == good


@pytest.mark.guarantee("V-17")
@pytest.mark.parametrize("codec", CODECS)
def test_other_threads_may_change_what_is_encoded(codec: Callable[..., Any]) -> None:
    """An error or a consistent value, never a crash."""
    box: Any = {
        "list": list(range(512)),
        "dict": {str(i): [i] for i in range(512)},
        "probe": [Probe() for _ in range(64)],
    }
    over = threading.Event()

    def disturb(seed: int) -> None:
        number = seed
        while not over.is_set():
            number = (number * 1103515245 + 12345) % 2**31
            box["list"][number % 256 : number % 512] = [str(number)] * (number % 64)
            box["list"].extend(range(512 - len(box["list"])))
            box["dict"].pop(str(number % 512), None)
            box["dict"][str(number % 700)] = [number] * (number % 5)
            box["probe"][number % 64 :] = [Probe() for _ in range(64 - number % 64)]

    def hook(_: object) -> Any:
        return sum(range(20))

    spec = codec(default=hook)
    threads = [threading.Thread(target=disturb, args=(seed,)) for seed in range(3)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for _ in range(300):
            try:
                frame = pybridge.encode(box, spec)
            except EncodeError as error:
                assert "container changed" in str(error)
            else:
                assert set(strict(frame, spec)) == {"list", "dict", "probe"}
    finally:
        over.set()
        sys.setswitchinterval(before)
        for thread in threads:
            thread.join()
    assert set(strict(pybridge.encode(box, spec), spec)) == {"list", "dict", "probe"}


LIARS = """
    import collections, dataclasses, enum, gc, sys
    import pybridge

    def attempt(value, codec="msgpack"):
        try:
            return pybridge.encode(value, codec).decode()
        except Exception as error:
            return type(error).__name__

    class Short(list):
        def __len__(self): return 10**9
        def __iter__(self): raise RuntimeError
    class Map(dict):
        def __len__(self): return -1
        def keys(self): raise RuntimeError
        def __missing__(self, key): raise RuntimeError
    class Meta(type):
        def __getattribute__(cls, name): raise SystemError(name)
        def __instancecheck__(cls, other): raise RuntimeError
    class Weird(metaclass=Meta): pass
    class Fields:
        __dataclass_fields__ = 5
    class Structs:
        __struct_fields__ = ("a", 5)
    class Attrs:
        __attrs_attrs__ = (object(),)
    class Pydantic:
        __pydantic_fields__ = {5: object()}
    class Growing:
        def __init__(self): self.n = 0
        @property
        def __class__(self): raise RuntimeError
    class Loop(enum.Enum):
        A = 1
    Loop.A._value_ = Loop.A
    class Attribute:
        __dataclass_fields__ = {}
        def __getattr__(self, name): return self
    class Everything:
        def __getattr__(self, name): return Everything()
        def __eq__(self, other): raise RuntimeError
        def __hash__(self): return 1

    print(attempt(Short([1, 2])), attempt(Map(a=1)), attempt({"k": Short()}))
    print([attempt(kind()) for kind in (Weird, Fields, Structs, Attrs, Pydantic, Growing)])
    print(attempt(Loop.A), attempt(Attribute()), attempt(Everything()), attempt([Everything()] * 3))

    # A finaliser that encodes while the collector runs in the middle of an encoding.
    class Cycle:
        def __init__(self): self.me = self
        def __del__(self): attempt([1, {"a": "b" * 40_000}])
    @dataclasses.dataclass
    class Busy:
        a: int
        @property
        def b(self):
            for _ in range(50): Cycle()
            return [Cycle.__name__]
    Busy.__dataclass_fields__["b"] = Busy.__dataclass_fields__["a"]
    gc.set_threshold(1, 1, 1)
    item = [Busy(i) for i in range(50)]
    assert attempt(item) == [{"a": i, "b": ["Cycle"]} for i in range(50)], attempt(item)
    gc.set_threshold(700)

    # The buffer of a hooked value is resized by its own release.
    class Probe: pass
    data = bytearray(b"x" * 100_000)
    def hook(ob):
        data.clear()
        return memoryview(b"ok")
    codec = pybridge.MsgpackCodec(default=hook)
    print(len(attempt([data, Probe(), data], codec)[0]), attempt([memoryview(data), 1], codec))
    view = memoryview(bytearray(b"abc"))
    print(attempt([Probe(), view], codec))
    print(attempt(sys.modules), attempt(globals()), attempt(collections.UserDict()))
    sys.modules["numpy"] = 5
    numpy = type("ndarray", (), {"__module__": "numpy"})
    print(attempt(numpy()))
    del sys.modules["enum"]
    print(attempt(Loop.A))
"""


@pytest.mark.guarantee("V-08")
def test_objects_that_lie_about_themselves_are_errors_or_their_storage(run_python: PythonRunner) -> None:
    """In an interpreter of its own: a crash would be seen."""
    lines = run_python(LIARS, timeout=60).splitlines()
    assert lines[0] == "[1, 2] {'a': 1} {'k': []}"
    assert lines[1] == str(["EncodeError"] * 6)
    assert lines[2] == "EncodeError {} EncodeError EncodeError"
    assert lines[3] == "100000 [b'', 1]"
    assert lines[4] == "[b'ok', b'abc']"
    assert lines[5] == "EncodeError EncodeError EncodeError"
    assert lines[6] == "EncodeError"
    assert lines[7] in {"EncodeError", "1"}
