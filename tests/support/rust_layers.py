"""Layers of the Rust crates, and the arrows between their files: which file names what of which other."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

RUST = Path(__file__).parents[2] / "rust"

# Layers of the bridge from the lowest to the highest: the folder of each, and the files beside them. A file may name
# files of its own layer and of those below it.
LAYERS: dict[str, tuple[str, ...]] = {
    "base": ("base",),
    "error": ("error",),
    "state": ("state",),
    "worker": ("worker",),
    "driver": ("driver",),
    "consumer": ("consumer",),
    "engine": ("engine",),
    "memory": ("memory",),
    "top": ("embed", "extension", "lib", "module", "prometheus"),
}

# Files that lead to each other, since they are one idea. The list may become shorter.
CIRCLES: dict[str, set[str]] = {
    "the state of engines and of their streams": {
        "state/admission",
        "state/engine_state",
        "state/command",
        "state/start_request",
        "state/stream_state",
        "state/call_span",
        "state/call_timeouts",
        "state/cancel_grace",
    },
    "a driver: coroutine, state machine, handler and output": {
        "driver/state_machine",
        "driver/coroutine",
        "driver/handler",
        "driver/output",
    },
    "a Python stream and the coroutines that read it": {
        "consumer/awaitable/awaited",
        "consumer/awaitable/goal",
        "consumer/awaitable/single_call",
        "consumer/py_stream",
    },
    "the Python engine and its calls": {"engine/py_calls", "engine/py_engine"},
}

CODEC_LAYERS: dict[str, tuple[str, ...]] = {
    "base": ("error", "format", "framing", "limits", "simd", "stack_limit"),
    "py": ("py",),
    # Between a format and the side that uses it: the sink and the visitor, with their limits.
    "ports": (
        "decode/nesting",
        "decode/read_limits",
        "decode/visitor",
        "encode/arrays_and_maps",
        "encode/frame_sink",
        "encode/unused_serializer_methods",
        "encode/utf8_out",
    ),
    "formats": ("json", "msgpack", "raw", "sse_lines"),
    "objects": ("decode", "encode"),
    "typed": ("typed",),
    "top": ("lib",),
}
CODEC_CIRCLES: dict[str, set[str]] = {
    "the walk over a value": {"encode/value", "encode/walk"},
}

BASE_LAYERS: dict[str, tuple[str, ...]] = {
    "base": ("exception", "exit_parking", "fault", "lock"),
    "top": ("lib",),
}

HTTP_LAYERS: dict[str, tuple[str, ...]] = {
    "base": ("failure_answer", "media_types", "option_headers"),
    "openai": ("openai",),
    "observe": ("observe",),
    "answer": ("answer", "api", "unary_call"),
    "faces": ("axum", "sse_and_ndjson", "tower"),
    "protocol": ("protocol",),
    "guard": ("guard",),
    "server": ("server",),
    "top": ("lib",),
}
HTTP_CIRCLES: dict[str, set[str]] = {
    "an observer and its records": {"observe/observer", "observe/request_record"},
}

POOL_LAYERS: dict[str, tuple[str, ...]] = {
    "base": ("available_memory", "budget", "leak", "setters", "short_copy", "sync"),
    "memory": ("decay", "mapping", "segment", "segment_pool", "size_classes"),
    "buffers": ("batch", "buffer", "config", "cursor", "fallback", "inbound", "pool", "pool_state", "stats", "writer"),
    "top": ("lib", "models"),
}
POOL_CIRCLES: dict[str, set[str]] = {
    "a pool and what is leased from it": {"buffer", "cursor", "inbound", "pool", "pool_state", "stats", "writer"},
}

EXTENSION_LAYERS: dict[str, tuple[str, ...]] = {
    "http": ("http",),
    "baselines": ("bridge_thread", "naive"),
    "bench": ("bench",),
    "top": ("lib", "module"),
}


class Table(NamedTuple):
    """The layers of one crate, from the lowest to the highest, and the files that lead to each other."""

    sources: Path
    layers: Mapping[str, tuple[str, ...]]
    circles: Mapping[str, set[str]]


TABLES = {
    "pybridge-pool": Table(RUST / "pool/src", POOL_LAYERS, POOL_CIRCLES),
    "pybridge-base": Table(RUST / "base/src", BASE_LAYERS, {}),
    "pybridge-codec": Table(RUST / "codec/src", CODEC_LAYERS, CODEC_CIRCLES),
    "pybridge": Table(RUST / "bridge/src", LAYERS, CIRCLES),
    "pybridge-http": Table(RUST / "http/src", HTTP_LAYERS, HTTP_CIRCLES),
    "pybridge-extension": Table(RUST / "extension/src", EXTENSION_LAYERS, {}),
}

USE = re.compile(r"^ *(?:pub(?:\([^)]*\))? )?use ([\w:{},\s*]+);", re.MULTILINE)
PATH = re.compile(r"\b(?:crate|super)(?:::\w+)+")
ITEM = re.compile(r"\b(fn|struct|enum|trait|impl|static|const|type|macro_rules)\b")

Module = tuple[str, ...]


def code(path: Path) -> str:
    """The text without comments and without the tests at its end."""
    lines = path.read_text().split("#[cfg(test)]\nmod tests {")[0].splitlines()
    return "\n".join(line.split("//")[0] for line in lines)


def leaves(tree: str) -> Iterator[tuple[Module, str]]:
    """The paths of a `use` tree, each with the name that it gets."""
    head, brace, rest = tree.partition("{")
    if not brace:
        path, _, alias = tree.partition(" as ")
        parts = tuple(part.strip() for part in path.split("::"))
        if parts[-1] == "self":
            parts = parts[:-1]
        yield parts, alias.strip() or parts[-1]
        return
    depth, item = 0, ""
    for char in rest[: rest.rindex("}")] + ",":
        if char == "," and depth == 0:
            if item.strip():
                yield from leaves(head + item.strip())
            item = ""
            continue
        depth += {"{": 1, "}": -1}.get(char, 0)
        item += char


class Crate:
    """The files of a crate, by module path, and the names that each brings in."""

    def __init__(self, folder: Path) -> None:
        self.text: dict[Module, str] = {}
        for path in folder.rglob("*.rs"):
            if "tests" not in path.parts and path.name != "tests.rs":
                parts = path.relative_to(folder).with_suffix("").parts
                self.text[parts[:-1] if parts[-1] in {"mod", "lib"} else parts] = code(path)
        self.names = {module: dict(self.imports(module)) for module in self.text}

    def absolute(self, module: Module, path: Module) -> Module | None:
        """The path from the crate's root; `None` where it leads to another crate."""
        if path[0] == "crate":
            return path[1:]
        base = module
        while path and path[0] in {"self", "super"}:
            base = base if path[0] == "self" else base[:-1]
            path = path[1:]
        return base + path if base != module or (*module, path[0]) in self.text else None

    def imports(self, module: Module) -> Iterator[tuple[str, Module]]:
        for use in USE.finditer(self.text[module]):
            for path, name in leaves(" ".join(use[1].split())):
                found = self.absolute(module, path)
                if found:
                    yield name, found

    def file_of(self, path: Module, seen: frozenset[Module] = frozenset()) -> Module:
        """The file that defines what `path` names, through whatever it is exported by."""
        known = max((path[:length] for length in range(len(path) + 1) if path[:length] in self.text), key=len)
        if len(path) > len(known) and path not in seen:
            further = self.names[known].get(path[len(known)])
            if further:
                return self.file_of(further + path[len(known) + 1 :], seen | {path})
        return known

    def arrows(self) -> dict[str, set[str]]:
        """The files that each file names; those without items of their own are no part of it."""
        found: dict[str, set[str]] = {}
        bodies = {module: USE.sub("", text) for module, text in self.text.items()}
        bodies = {module: body for module, body in bodies.items() if ITEM.search(body)}
        for module, body in bodies.items():
            paths = list(self.names[module].values())
            for path in PATH.findall(body):
                absolute = self.absolute(module, tuple(path.split("::")))
                paths += [absolute] if absolute else []
            for name, path in self.names[module].items():
                if path in self.text:
                    paths += [(*path, item) for item in re.findall(rf"(?<![\w:]){name}::(\w+)", body)]
            files = {self.file_of(path) for path in paths} - {module, ()}
            found["/".join(module) or "lib"] = {"/".join(file) for file in files if file in bodies}
        return found


def layer_of(file: str, layers: Mapping[str, tuple[str, ...]]) -> str:
    places = [
        (len(name), layer) for layer, names in layers.items() for name in names if f"{file}/".startswith(f"{name}/")
    ]
    assert places, f"{file} has no layer"
    return max(places)[1]


def upward(arrows: Mapping[str, set[str]], layers: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The arrows that lead to a higher layer."""
    order = list(layers)
    rank = {file: order.index(layer_of(file, layers)) for file in arrows}
    return sorted(
        f"{file} ({order[rank[file]]}) names {target} ({order[rank[target]]})"
        for file, targets in arrows.items()
        for target in targets
        if rank[target] > rank[file]
    )


def circles(arrows: Mapping[str, set[str]]) -> list[set[str]]:
    """Files that lead to each other."""

    def reached(file: str) -> set[str]:
        found: set[str] = set()
        pending = [file]
        while pending:
            for target in arrows[pending.pop()] - found:
                found.add(target)
                pending.append(target)
        return found

    reach = {file: reached(file) for file in arrows}
    groups = {
        frozenset(other for other in reach[file] if file in reach[other]) for file in arrows if file in reach[file]
    }
    return [set(group) for group in sorted(groups, key=sorted)]


def main() -> int:
    wrong = []
    for crate, table in TABLES.items():
        arrows = Crate(table.sources).arrows()
        print(crate)
        for layer in table.layers:
            files = [file for file in arrows if layer_of(file, table.layers) == layer]
            targets = [layer_of(target, table.layers) for file in files for target in arrows[file]]
            counts = ", ".join(f"{name} {targets.count(name)}" for name in table.layers if name in targets)
            print(f"  {layer:9} {len(files):3} files -> {counts}")
        wrong += [f"{crate}: {arrow}" for arrow in upward(arrows, table.layers)]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
