from __future__ import annotations

import ast
import dataclasses
import inspect
import pickle
from typing import Any

import pytest

from pybridge import ConfigError, FlowConfig, JsonCodec, Limits, MsgpackCodec, PoolConfig, RawCodec
from pybridge._settings import Settings
from pybridge.config import MemoryConfig

ALL: list[type[Settings]] = [PoolConfig, FlowConfig, Limits, MsgpackCodec, JsonCodec, RawCodec]

KIB, MIB = 2**10, 2**20


def values(config: Any) -> dict[str, object]:
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}


def test_defaults_are_normalised() -> None:
    assert values(PoolConfig()) == {
        "segment_bytes": 64 * KIB,
        "small_parked_bytes": 4 * MIB,
        "large_parked_bytes": 32 * MIB,
        "max_live_bytes": None,
        "decay_interval": 1.0,
        "idle_timeout": 5.0,
        "zero_on_reuse": False,
        "leak_after": 60.0,
    }
    assert values(FlowConfig()) == {
        "flush": "turn",
        "batch_items": 64,
        "batch_bytes": MIB,
        "high_water": MIB,
        "high_water_items": 1024,
        "low_water": None,
        "write_timeout": None,
        "max_concurrency": None,
        "max_queue": None,
        "max_held_bytes": None,
        "cancel_grace": 5.0,
        "abandon_timeout": 30.0,
    }
    assert values(Limits()) == {
        "max_depth": 128,
        "max_nodes": 1_000_000,
        "max_frame_bytes": 16 * MIB,
        "max_decoded_bytes": 256 * MIB,
        "max_metadata_bytes": 8 * KIB,
        "max_metadata_entries": 64,
        "duplicate_keys": "last",
        "max_expansion": 8,
    }
    assert values(MsgpackCodec()) == {"default": None, "keys": "str", "model_dump": None}
    assert values(JsonCodec()) == {
        "default": None,
        "bytes": "error",
        "nonfinite": "error",
        "keys": "str",
        "ascii": False,
        "model_dump": None,
    }
    assert values(RawCodec()) == {}


def test_sizes_become_bytes_and_durations_become_float_seconds() -> None:
    pool = PoolConfig(segment_bytes="128KiB", max_live_bytes="1GiB", decay_interval=2, idle_timeout=0)
    assert (pool.segment_bytes, pool.max_live_bytes) == (128 * KIB, 2**30)
    assert [type(value) for value in (pool.decay_interval, pool.idle_timeout)] == [float, float]
    flow = FlowConfig(high_water="2MB", low_water=0, write_timeout=3, max_queue=0)
    assert (flow.high_water, flow.low_water, flow.write_timeout, flow.max_queue) == (2_000_000, 0, 3.0, 0)


WRONG: list[tuple[type[Settings], str, object]] = [
    (PoolConfig, "segment_bytes", 1024),
    (PoolConfig, "segment_bytes", "1GiB"),
    (PoolConfig, "segment_bytes", "many"),
    (PoolConfig, "small_parked_bytes", -1),
    (PoolConfig, "large_parked_bytes", 1.5),
    (PoolConfig, "large_parked_bytes", None),
    (PoolConfig, "max_live_bytes", 0),
    (PoolConfig, "decay_interval", 0),
    (PoolConfig, "decay_interval", float("nan")),
    (PoolConfig, "idle_timeout", -1),
    (PoolConfig, "idle_timeout", float("inf")),
    (PoolConfig, "zero_on_reuse", 1),
    (PoolConfig, "zero_on_reuse", "yes"),
    (PoolConfig, "leak_after", "60"),
    (PoolConfig, "leak_after", 10**400),
    (FlowConfig, "flush", "item"),
    (FlowConfig, "flush", None),
    (FlowConfig, "batch_items", 0),
    (FlowConfig, "batch_items", "64"),
    (FlowConfig, "batch_items", True),
    (FlowConfig, "batch_bytes", 0),
    (FlowConfig, "high_water", 0),
    (FlowConfig, "high_water_items", 0),
    (FlowConfig, "low_water", "2MiB"),
    (FlowConfig, "write_timeout", 0),
    (FlowConfig, "max_concurrency", 0),
    (FlowConfig, "max_queue", -1),
    (FlowConfig, "max_held_bytes", 0),
    (FlowConfig, "cancel_grace", -0.1),
    (FlowConfig, "abandon_timeout", 0),
    (Limits, "max_depth", 0),
    (Limits, "max_depth", 10**6),
    (Limits, "max_nodes", 0),
    (Limits, "max_frame_bytes", "5GiB"),
    (Limits, "max_decoded_bytes", 0),
    (Limits, "max_metadata_bytes", -1),
    (Limits, "max_metadata_entries", 1.0),
    (Limits, "duplicate_keys", "first"),
    (Limits, "max_expansion", 0),
    (Limits, "max_expansion", 2.5),
    (MsgpackCodec, "keys", "int"),
    (MsgpackCodec, "default", "str"),
    (JsonCodec, "bytes", "hex"),
    (JsonCodec, "nonfinite", "nan"),
    (JsonCodec, "default", 1),
    (JsonCodec, "keys", "int"),
    (JsonCodec, "ascii", "yes"),
]


@pytest.mark.guarantee("E-18")
@pytest.mark.parametrize(("kind", "field", "value"), WRONG)
def test_wrong_value_is_a_config_error_that_names_the_field(kind: type[Any], field: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        kind(**{field: value})
    assert caught.value.field == field
    assert str(caught.value) == f"{field}: {caught.value.reason}"
    assert len(str(caught.value)) < 200


class Hostile:
    def fail(self, *arguments: object) -> Any:
        raise RuntimeError("a setting was asked for more than its type")

    __repr__ = __str__ = __int__ = __float__ = __index__ = __bool__ = __eq__ = __hash__ = fail


@pytest.mark.parametrize("kind", [PoolConfig, FlowConfig, Limits])
def test_hostile_object_is_a_config_error_in_every_field(kind: type[Any]) -> None:
    for field in dataclasses.fields(kind):
        with pytest.raises(ConfigError) as caught:
            kind(**{field.name: Hostile()})
        assert caught.value.field == field.name


def test_bound_is_shown_exactly() -> None:
    with pytest.raises(ConfigError, match="between 1 B and 4294967295 bytes, not '4GiB'"):
        Limits(max_frame_bytes="4GiB")
    with pytest.raises(ConfigError, match="between 4 KiB and 1 MiB, not 1"):
        PoolConfig(segment_bytes=1)


@pytest.mark.parametrize(
    ("kind", "field", "value", "said"),
    [
        (Limits, "max_nodes", 0, "must be at least 1, not 0"),
        (Limits, "max_depth", 385, "must be between 1 and 384, not 385"),
        (Limits, "max_decoded_bytes", 0, "must be at least 1 B, not 0"),
        (PoolConfig, "segment_bytes", 5000, "must be a multiple of 4 KiB, not 5000"),
        (PoolConfig, "decay_interval", 0, "must be above 0 seconds, not 0"),
        (PoolConfig, "decay_interval", -1.5, "must be above 0 seconds, not -1.5"),
        (PoolConfig, "idle_timeout", -1, "must be at least 0 seconds, not -1"),
        (PoolConfig, "leak_after", 315_360_001, "must be at most 315,360,000 seconds, not 315360001"),
        (PoolConfig, "leak_after", float("nan"), "must be a finite number of seconds, not nan"),
        (PoolConfig, "leak_after", True, "must be a finite number of seconds, not True"),
        (PoolConfig, "zero_on_reuse", "x" * 100, f"must be True or False, not '{'x' * 64}'"),
        (Limits, "max_expansion", -(10**40), "must be at least 1, not a value of type int"),
        (Limits, "max_nodes", 2**63, "must be between 1 and 9223372036854775807, not 9223372036854775808"),
        (FlowConfig, "flush", b"turn", "must be one of 'turn', 'suspend', not a value of type bytes"),
    ],
)
def test_message_names_what_is_allowed_and_what_was_given(
    kind: type[Any], field: str, value: object, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        kind(**{field: value})
    assert caught.value.reason == said


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (PoolConfig, "segment_bytes", 4 * KIB),
        (PoolConfig, "segment_bytes", MIB),
        (PoolConfig, "small_parked_bytes", 0),
        (PoolConfig, "large_parked_bytes", 2**63 - 1),
        (PoolConfig, "max_live_bytes", 1),
        (PoolConfig, "decay_interval", 5e-324),
        (PoolConfig, "leak_after", 315_360_000.0),
        (FlowConfig, "batch_items", 1),
        (FlowConfig, "batch_bytes", 1),
        (FlowConfig, "high_water", 1),
        (FlowConfig, "high_water_items", 1),
        (FlowConfig, "low_water", 0),
        (FlowConfig, "low_water", MIB),
        (FlowConfig, "max_concurrency", 1),
        (FlowConfig, "max_queue", 0),
        (FlowConfig, "max_held_bytes", 1),
        (FlowConfig, "cancel_grace", 0.0),
        (Limits, "max_depth", 1),
        (Limits, "max_depth", 384),
        (Limits, "max_nodes", 1),
        (Limits, "max_nodes", 2**63 - 1),
        (Limits, "max_frame_bytes", 1),
        (Limits, "max_frame_bytes", 2**32 - 1),
        (Limits, "max_decoded_bytes", 1),
        (Limits, "max_metadata_bytes", 0),
        (Limits, "max_metadata_entries", 0),
        (Limits, "max_expansion", 1),
        (MemoryConfig, "min_gain", 0),
    ],
)
def test_bound_itself_is_allowed(kind: type[Any], field: str, value: object) -> None:
    assert getattr(kind(**{field: value}), field) == value


def test_number_in_the_environment_has_at_most_32_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYBRIDGE_FLOW_BATCH_ITEMS", f"{'7':>032}")
    assert FlowConfig().batch_items == 7
    monkeypatch.setenv("PYBRIDGE_FLOW_BATCH_ITEMS", f"{'7':>033}")
    with pytest.raises(ConfigError, match="must be a whole number, not '0000"):
        FlowConfig()


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("YES", True), (" on ", True), ("True", True), ("0", False), ("no", False)]
)
def test_switch_in_the_environment_is_a_word(monkeypatch: pytest.MonkeyPatch, text: str, value: bool) -> None:
    monkeypatch.setenv("PYBRIDGE_POOL_ZERO_ON_REUSE", text)
    assert PoolConfig().zero_on_reuse is value


@pytest.mark.parametrize(("wrong", "said"), [(int(1e30) - 1, f"{int(1e30) - 1}"), (int(1e30), "a value of type int")])
def test_number_of_many_digits_is_not_shown(wrong: int, said: str) -> None:
    with pytest.raises(ConfigError, match=f", not {said}$"):
        FlowConfig(batch_items=wrong)


def test_unknown_setting_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="segment_size"):
        PoolConfig(segment_size=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", [*ALL, MemoryConfig])
def test_settings_are_frozen_comparable_picklable_and_copyable_with_changes(kind: type[Any]) -> None:
    config = kind()
    assert config == kind()
    assert hash(config) == hash(kind())
    assert pickle.loads(pickle.dumps(config)) == config
    assert dataclasses.replace(config) == config
    for field in dataclasses.fields(config):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(config, field.name, getattr(config, field.name))
    assert not hasattr(config, "__dict__")


def test_low_water_above_high_water_is_refused_on_copy_as_well() -> None:
    with pytest.raises(ConfigError, match="low_water"):
        dataclasses.replace(FlowConfig(low_water="1MiB"), high_water=512 * KIB)


@pytest.mark.parametrize("kind", ALL)
def test_signature_shows_the_defaults(kind: type[Any]) -> None:
    shown = {name: repr(parameter.default) for name, parameter in inspect.signature(kind).parameters.items()}
    assert kind(**{name: eval(default) for name, default in shown.items()}) == kind()


@pytest.mark.parametrize("kind", [*ALL, MemoryConfig])
def test_defaults_that_editors_see_are_those_of_the_fields(kind: type[Any]) -> None:
    tree = ast.parse(inspect.getsource(kind))
    shown = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            names = [argument.arg for argument in [*node.args.args[1:], *node.args.kwonlyargs]]
            defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            shown = {name: ast.unparse(default) for name, default in zip(names, defaults, strict=True)}
    assert shown == {name: repr(parameter.default) for name, parameter in inspect.signature(kind).parameters.items()}


@pytest.mark.guarantee("E-19")
@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("PYBRIDGE_POOL_SEGMENT_BYTES", "128KiB", "segment_bytes", 128 * KIB),
        ("PYBRIDGE_POOL_SMALL_PARKED_BYTES", "0", "small_parked_bytes", 0),
        ("PYBRIDGE_POOL_LARGE_PARKED_BYTES", "1048576", "large_parked_bytes", MIB),
        ("PYBRIDGE_POOL_MAX_LIVE_BYTES", "2GiB", "max_live_bytes", 2**31),
        ("PYBRIDGE_POOL_MAX_LIVE_BYTES", "none", "max_live_bytes", None),
        ("PYBRIDGE_POOL_DECAY_INTERVAL", "0.25", "decay_interval", 0.25),
        ("PYBRIDGE_POOL_IDLE_TIMEOUT", "0", "idle_timeout", 0.0),
        ("PYBRIDGE_POOL_ZERO_ON_REUSE", "true", "zero_on_reuse", True),
        ("PYBRIDGE_POOL_ZERO_ON_REUSE", "off", "zero_on_reuse", False),
        ("PYBRIDGE_POOL_LEAK_AFTER", "1e3", "leak_after", 1000.0),
        ("PYBRIDGE_FLOW_FLUSH", "suspend", "flush", "suspend"),
        ("PYBRIDGE_FLOW_BATCH_ITEMS", "8", "batch_items", 8),
        ("PYBRIDGE_FLOW_MAX_QUEUE", "", "max_queue", None),
        ("PYBRIDGE_LIMITS_MAX_EXPANSION", "64", "max_expansion", 64),
        ("PYBRIDGE_LIMITS_MAX_DECODED_BYTES", "1GiB", "max_decoded_bytes", 2**30),
    ],
)
def test_environment_replaces_the_default_and_no_argument(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, field: str, value: object
) -> None:
    kind: type[Any] = {"POOL": PoolConfig, "FLOW": FlowConfig, "LIMITS": Limits}[variable.split("_")[1]]
    default = getattr(kind(), field)
    monkeypatch.setenv(variable, text)
    assert getattr(kind(), field) == value
    assert getattr(kind(**{field: default}), field) == default


@pytest.mark.guarantee("E-19")
@pytest.mark.parametrize("field", dataclasses.fields(PoolConfig), ids=lambda field: field.name)
def test_wrong_environment_is_a_config_error_that_names_field_and_variable(
    monkeypatch: pytest.MonkeyPatch, field: dataclasses.Field[Any]
) -> None:
    variable = f"PYBRIDGE_POOL_{field.name.upper()}"
    monkeypatch.setenv(variable, "no such value")
    with pytest.raises(ConfigError, match=variable) as caught:
        PoolConfig()
    assert caught.value.field == field.name


@pytest.mark.parametrize(
    ("variable", "text", "arguments", "said"),
    [
        ("PYBRIDGE_FLOW_LOW_WATER", "2MiB", {}, "1048576, not 2097152 (from PYBRIDGE_FLOW_LOW_WATER)"),
        ("PYBRIDGE_FLOW_HIGH_WATER", "9", {"low_water": 10}, "9 (from PYBRIDGE_FLOW_HIGH_WATER), not 10"),
        ("PYBRIDGE_FLOW_LOW_WATER", "5", {"low_water": 10, "high_water": 9}, "9, not 10"),
    ],
)
def test_marks_that_contradict_each_other_name_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, arguments: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigError) as caught:
        FlowConfig(**arguments)
    assert str(caught.value) == f"low_water: must be at most high_water, which is {said}"
