"""docs/values.md is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[2] / "docs" / "values.md").read_text()


def test_every_example_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) > 8
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        exec(block, names)
