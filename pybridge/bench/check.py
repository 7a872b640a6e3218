"""The check that lanes gave the same output."""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from pybridge.bench.protocol import Result


def digest(values: Iterable[Any]) -> str:
    """A digest of the items of one stream, in order; the order of keys in a map does not matter."""
    encoder = msgspec.json.Encoder(order="sorted")
    content = hashlib.sha256()
    for value in values:
        content.update(encoder.encode(value))
        content.update(b"\n")
    return content.hexdigest()[:16]


def differences(results: dict[str, Result], rule: str) -> list[str]:
    """What is not the same in the lanes, as sentences; `rule` is `exact`, `count` or `off`."""
    if rule == "off" or not results:
        return []
    reference_name, reference = next(iter(results.items()))
    found = []
    for name, result in results.items():
        if sorted(result.counts) != sorted(reference.counts):
            found.append(
                f"{name} gave {sum(result.counts)} items in {len(result.counts)} streams, "
                f"{reference_name} {sum(reference.counts)} in {len(reference.counts)}"
                " (a handler whose number of items varies: --check off)"
            )
        elif rule == "exact" and sorted(result.digests) != sorted(reference.digests):
            found.append(
                f"{name} gave other items than {reference_name} (a handler that never repeats itself: --check count)"
            )
    return found
