"""Rules about the source itself."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import rust_layers

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pybridge"

# What each part of the package may import from the rest of it. A part is a module or a folder.
ALLOWED: dict[str, set[str]] = {
    "_one_line_text": set(),
    "errors": {"_one_line_text"},
    "_sizes": set(),
    "from_sync": {"errors"},
    "_system": set(),
    "_interpreter": set(),
    "_field_checks": {"_sizes"},
    "_settings": {"_field_checks", "errors"},
    "codecs": {"errors", "_field_checks", "_settings"},
    "config": {"errors", "_field_checks", "_settings"},
    "_unknown_variables": {"config"},
    "_readable": {"_sizes"},
    "stats": {"config", "_readable"},
    "_handlers": set(),
    "_handler_checks": {"_handlers"},
    "pool": {"config", "errors", "stats"},
    "_configure_memory": {"config", "errors"},
    "memory": {"stats"},
    "_call_options": {"codecs", "config", "errors", "_one_line_text"},
    "_http_options": {"_field_checks", "_settings"},
    "_asgi_types": set(),
    "_client_watch": {"_asgi_types"},
    "_asgi_answer": {"_asgi_types", "_client_watch"},
    "_native": {"codecs", "config", "errors", "pool"},
    "_starlette_response": {"_asgi_answer", "_asgi_types", "errors", "_one_line_text"},
    "asgi": {"_asgi_answer", "_asgi_types", "_http_options", "errors"},
    "_serve": {"_http_options", "engine", "errors", "_handlers", "_field_checks", "_settings"},
    "_serve_command": {
        "_serve",
        "config",
        "engine",
        "_unknown_variables",
        "errors",
        "_handlers",
        "_configure_memory",
        "_settings",
        "_field_checks",
    },
    "server": {"_serve", "engine"},
    "engine": {
        "_http_options",
        "_native",
        "_starlette_response",
        "asgi",
        "codecs",
        "config",
        "errors",
        "_handler_checks",
        "_handlers",
        "_configure_memory",
        "_call_options",
        "pool",
        "stats",
    },
    "codec": {"codecs", "config", "engine"},
    "_executor": set(),
    "_traceback": set(),
    "_lifespan": set(),
    "_worker": {"_executor", "_lifespan", "errors"},
    "_stop_at_exit": {"_worker"},
    "_extension": {"_interpreter"},
    "doctor": {
        "__version__",
        "_worker",
        "config",
        "_unknown_variables",
        "errors",
        "_system",
        "_configure_memory",
        "memory",
        "_sizes",
    },
    "cli": {"__version__", "_serve_command", "bench", "doctor", "errors"},
    "__main__": {"cli"},
    "demo": set(),
}
MAY_USE_THE_EXTENSION = {
    "__init__",
    "_asgi_answer",
    "_configure_memory",
    "_stop_at_exit",
    "_client_watch",
    "_extension",
    "_native",
    "_serve",
    "_serve_command",
    "_starlette_response",
    "_worker",
    "asgi",
    "bench",
    "codec",
    "engine",
    "memory",
    "_call_options",
    "pool",
    "server",
}
MAY_USE_OTHER_DISTRIBUTIONS = {"_serve_command", "_starlette_response", "_worker", "bench", "integrations"}

MAX_LINES = 500
MAX_RUST_LINES = 500


# The only parts of the bridge that may attach, beside what Python calls.
MAY_ATTACH = {
    "worker/attach.rs",
    "codec/decode/builder.rs",  # frees decoded values where the interpreter still is; their owner is attached
}
KNOWS_NO_PYTHON = {
    "base/fork.rs",
    "base/lock.rs",
    "codec/decode/decoded_size_limit.rs",
    "codec/framing.rs",
    "codec/limits.rs",
    "codec/format.rs",
    "engine/engine_stats.rs",
    "error/cancel_reasons.rs",
    "error/failure_kinds.rs",
    "error/public_text.rs",
    "error/failure.rs",
    "state/credit.rs",
    "state/ending.rs",
    "state/metrics.rs",
    "state/outbox.rs",
    "state/queue.rs",
    "worker/alarm.rs",
    "worker/inbox.rs",
    "worker/lendable.rs",
    "worker/busy_worker_relief.rs",
    "worker/busy_worker_alarm.rs",
    "worker/shared_outbox.rs",
}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_table(path: Path) -> None:
    part = part_of(path)
    for name in imports(path):
        top, *rest = name.split(".")
        if top != "pybridge":
            known = top in sys.stdlib_module_names or part in MAY_USE_OTHER_DISTRIBUTIONS
            assert known, f"{part} uses {top}: the engine needs nothing but the standard library"
        elif rest and rest[0] == "_pybridge":
            assert part in MAY_USE_THE_EXTENSION, f"{part} uses the extension"
        elif part in ALLOWED and rest:
            assert rest[0] in ALLOWED[part] | {part}, f"{part} uses {rest[0]}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_file_has_one_responsibility_that_fits_in_five_hundred_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def rust_sources() -> list[Path]:
    return sorted(ROOT.glob("rust/*/src/**/*.rs"))


# The crates that Python calls, and how the name of a file in each begins.
WITH_PYTHON = {
    ROOT / "rust/base/src": "base/",
    ROOT / "rust/codec/src": "codec/",
    ROOT / "rust/bridge/src": "",
    ROOT / "rust/extension/src": "extension/",
}


def sources_with_python() -> dict[str, Path]:
    """The files by their names below the crate's sources: `state/queue.rs`."""
    return {
        prefix + path.relative_to(folder).as_posix(): path
        for folder, prefix in WITH_PYTHON.items()
        for path in folder.rglob("*.rs")
        if "tests" not in path.with_suffix("").parts
    }


@pytest.mark.parametrize("path", rust_sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_rust_file_is_split_at_five_hundred_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_RUST_LINES


@pytest.mark.parametrize("folder", ["bench", "examples", "pybridge", "rust", "tests", "website"])
def test_headers_name_what_a_file_holds(folder: str) -> None:
    """A noun phrase, and no riddle that begins with What or Who."""
    sources = [
        path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".rs"} and "target" not in path.parts
    ]
    headers = {
        path.relative_to(ROOT).as_posix(): next(
            (line for line in path.read_text().splitlines() if line.startswith(('"""', "//! "))), ""
        )
        for path in sources
    }
    riddle = re.compile(r'(?:"""|//! )(?:How|What|When|Where|Whether|Which|Who|Whose|Why)\b')
    assert sources
    assert not {name: header for name, header in headers.items() if riddle.match(header)}


def files_with(pattern: str) -> set[str]:
    return {name for name, path in sources_with_python().items() if re.search(pattern, rust_layers.code(path))}


@pytest.mark.parametrize("crate", rust_layers.TABLES)
def test_rust_files_name_files_of_their_layer_and_of_those_below(crate: str) -> None:
    table = rust_layers.TABLES[crate]
    assert not rust_layers.upward(rust_layers.Crate(table.sources).arrows(), table.layers)


@pytest.mark.parametrize("crate", rust_layers.TABLES)
def test_rust_files_lead_to_each_other_only_where_they_are_one_idea(crate: str) -> None:
    table = rust_layers.TABLES[crate]
    circles = rust_layers.circles(rust_layers.Crate(table.sources).arrows())
    assert sorted(map(sorted, circles)) == sorted(map(sorted, table.circles.values()))


@pytest.mark.parametrize("crate", rust_layers.TABLES)
def test_every_name_in_the_table_of_rust_layers_is_a_file_or_a_folder(crate: str) -> None:
    table = rust_layers.TABLES[crate]
    names = [name for names in table.layers.values() for name in names]
    gone = [name for name in names if not list(table.sources.glob(f"{name}.rs")) + list(table.sources.glob(name))]
    assert not gone


@pytest.mark.parametrize(
    ("use", "named"),
    [
        ("use crate::engine::Engine;", "engine/face"),
        ("use crate::engine::{Other as Known, Engine};", "engine/face"),
        ("use super::super::engine::face::Engine;", "engine/face"),
        ("use crate::{\n    engine::{self, Other},\n};\nfn f(_: engine::Engine) {}", "engine/face"),
        ("fn f(_: crate::engine::Engine) {}", "engine/face"),
        ("// use crate::engine::Engine;", None),
        ('const TEXT: &str = "use engine.iter(); here";', None),
    ],
)
def test_an_arrow_to_a_higher_layer_is_seen_however_it_is_written(tmp_path: Path, use: str, named: str | None) -> None:
    files = {
        "lib.rs": "mod state;\nmod engine;\n",
        "state/mod.rs": "mod limits;\n",
        "state/limits.rs": f"{use}\npub fn limit() {{}}\n",
        "engine/mod.rs": "mod face;\npub(crate) use face::{Engine, Face as Other};\n",
        "engine/face.rs": "use crate::state;\npub struct Engine;\npub struct Face;\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    arrows = rust_layers.Crate(tmp_path).arrows()
    assert arrows["state/limits"] == ({named} if named else set())
    assert len(rust_layers.upward(arrows, rust_layers.LAYERS)) == bool(named)


def test_only_the_worker_attaches() -> None:
    for crate in ("bridge", "codec"):
        banned = tomllib.loads((ROOT / "rust" / crate / "clippy.toml").read_text())["disallowed-methods"]
        assert {entry["path"].rpartition("::")[2] for entry in banned} == {"attach", "try_attach", "attach_unchecked"}
    assert files_with(r"Python::(attach|try_attach|attach_unchecked)\b") <= MAY_ATTACH
    assert files_with(r"Python::assume_attached\b") == {"worker/attach.rs"}
    assert files_with(r"clippy::disallowed_methods") <= MAY_ATTACH


def test_every_way_from_python_into_rust_prepares_its_thread_for_the_interpreters_end() -> None:
    """`rust/base/src/exit_parking.rs`: a thread that comes back for the interpreter too late must not be unwound."""
    ways, missing = 0, []
    for name, path in sources_with_python().items():
        text = rust_layers.code(path)
        for way in re.finditer(
            r"#\[(pyfunction|pymethods|pymodule_init|pyclass)\b[^{;]*?\b(?:fn|impl|struct) (\w+)", text
        ):
            ways += 1
            marked = text[: way.start()].rstrip().endswith("#[python_entry]")
            if not marked and f"#[python_entry]\nimpl Drop for {way[2]} " not in text:
                missing.append(f"{name}: {way[1]} {way[2]}")
        callbacks = re.findall(r"Python::(?:attach|try_attach|assume_attached)\b|PyCFunction::new_\w+", text)
        if len(callbacks) > len(re.findall(r"\benter\(\);", text)):
            missing.append(name)
    assert ways > 30
    assert not missing


def test_mutexes_are_those_that_debug_builds_count() -> None:
    """A lock that is held while Python runs may never be given back; `rust/bridge/tests/locks.rs` looks for one."""
    assert files_with(r"\bsync::(\{[^}]*\b)?(Mutex|RwLock|Condvar)\b") == {"base/lock.rs"}


def test_extension_declares_that_it_needs_the_interpreter_lock() -> None:
    """Nothing here was examined for free threading; PyO3 says the opposite unless told."""
    assert files_with(r"#\[pymodule\b") == {"extension/module.rs"}
    assert files_with(r"#\[pymodule\(gil_used = true\)\]") == {"extension/module.rs"}


def test_only_one_file_names_exception_classes_of_the_package() -> None:
    assert files_with(r"pybridge\.errors|create_exception!") == {"error/py_errors.rs"}


@pytest.mark.parametrize("name", sorted(KNOWS_NO_PYTHON))
def test_file_knows_no_python(name: str) -> None:
    assert name not in files_with(r"\bpyo3\b")


def test_unsafe_code_is_fenced_in_named_files() -> None:
    fence = r"allow\(unsafe_code\)"
    assert files_with(r"\bunsafe (\{|fn|impl|extern)") <= files_with(fence)


def is_timed_sleep(call: ast.Call) -> bool:
    return ast.unparse(call.func).split(".")[-1] == "sleep" and ast.unparse(call.args[0]) != "0"


def sleeps(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.Call]:
    """Calls of `sleep` with a time in the function itself; handlers and threads inside it may take their time."""
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Call) and is_timed_sleep(node):
            yield node
        pending.extend(ast.iter_child_nodes(node))


def is_test_or_fixture(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return function.name.startswith("test_") or any("fixture" in ast.unparse(mark) for mark in function.decorator_list)


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/**/test_*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_sleeps_instead_of_waiting_for_what_it_means(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_test_or_fixture(node):
            found = [f"{path.relative_to(ROOT)}:{call.lineno}" for call in sleeps(node)]
            assert not found, f"wait with support.waiting instead: {found}"


def test_the_rule_against_sleeps_sees_a_sleep() -> None:
    source = "async def test_x():\n    async def handler(r):\n        await asyncio.sleep(1)\n    {}"
    for line, number in [("await asyncio.sleep(0.1)", 1), ("time.sleep(x)", 1), ("await asyncio.sleep(0)", 0)]:
        function = ast.parse(source.format(line)).body[0]
        assert isinstance(function, ast.AsyncFunctionDef)
        assert len(list(sleeps(function))) == number
