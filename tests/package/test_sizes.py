from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybridge._sizes import MAX_SIZE, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (0, 0),
        (65536, 65536),
        ("65536", 65536),
        ("17B", 17),
        ("64KiB", 64 * 1024),
        ("64 kib", 64 * 1024),
        (" 1.5MiB ", 1536 * 1024),
        ("10MB", 10_000_000),
        ("2GiB", 2 * 2**30),
        ("3kb", 3_000),
        ("2GB", 2_000_000_000),
        ("1tb", 1_000_000_000_000),
        ("1TiB", 1_099_511_627_776),
        ("0.000000001GB", 1),
        ("9223372036854775807", 2**63 - 1),
        (2**63 - 1, 2**63 - 1),
        (f"{'1':>64}", 1),
    ],
)
def test_size_is_bytes_or_text_with_a_unit(text: int | str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "wrong",
    ["", "KiB", "-1", "1.5", "0.3B", "64 Kib ib", "1e6", "64K", "٣MiB", "1_000", "9" * 10_000, f"{2**63}", -1, 2**63],
)
def test_what_is_no_size_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"size|bytes"):
        parse_size(wrong)


@pytest.mark.parametrize("wrong", [-1, 2**63, 10**30 - 1, 1 - 10**30])
def test_number_out_of_range_is_shown(wrong: int) -> None:
    with pytest.raises(ValueError, match=rf"not {wrong}$"):
        parse_size(wrong)


@pytest.mark.parametrize("wrong", [10**30, -(10**30), 10**4000])
def test_number_of_many_digits_is_not_shown(wrong: int) -> None:
    with pytest.raises(ValueError, match=r"not one far beyond$"):
        parse_size(wrong)


def test_long_text_is_refused_unread_and_shown_in_part() -> None:
    with pytest.raises(ValueError, match=f"^'{'7' * 64}' is not a size"):
        parse_size("7" * 65)
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(f"{'1':>65}")
    with pytest.raises(ValueError, match=r"^'0\.5' is not a whole number of bytes"):
        parse_size("0.5")


@pytest.mark.parametrize("wrong", [True, None, 1.5, b"64KiB", [64]])
def test_other_types_are_no_sizes(wrong: object) -> None:
    with pytest.raises(ValueError, match=type(wrong).__name__):
        parse_size(wrong)


@given(st.integers(0, MAX_SIZE))
def test_every_whole_number_of_bytes_is_a_size_as_number_and_as_text(size: int) -> None:
    assert parse_size(size) == parse_size(str(size)) == parse_size(f"{size} B") == size


@given(st.text(max_size=80))
def test_any_text_is_a_size_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert 0 <= parse_size(text) <= MAX_SIZE


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (17, "17 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (-2048, "-2 KiB"),
        (65536, "64 KiB"),
        (1536 * 1024, "1.5 MiB"),
        (2**30, "1 GiB"),
        (2**50, "1,024 TiB"),
    ],
)
def test_size_is_shown_with_a_binary_unit(size: int, text: str) -> None:
    assert format_size(size) == text
