"""`pybridge doctor`: its report in words and as JSON, and variables of the environment that are wrong or unknown."""

from __future__ import annotations

import json

from support.processes import COMMAND, PythonRunner


def test_doctor_reports_every_section_in_words(run_python: PythonRunner) -> None:
    text = run_python(COMMAND, "doctor")
    sections = [line for line in text.splitlines() if not line.startswith(" ")]
    assert sections == [
        "versions", "machine", "memory", "event loop", "configure_memory", "pool settings", "flow settings",
        "limits", "memory settings", "environment",
    ]  # fmt: skip
    assert "pybridge-engine" in text


def test_doctor_gives_the_same_report_as_json(run_python: PythonRunner) -> None:
    report = json.loads(run_python(COMMAND, "doctor", "--json"))
    assert report["pool settings"]["segment_bytes"] == "64 KiB"
    assert all(isinstance(finding, str) for section in report.values() for finding in section.values())


def test_doctor_shows_what_the_environment_changed(run_python: PythonRunner) -> None:
    environment = {"PYBRIDGE_POOL_SEGMENT_BYTES": "128KiB", "MALLOC_ARENA_MAX": "2", "PYTHONMALLOC": "malloc"}
    report = json.loads(run_python(COMMAND, "doctor", "--json", environment=environment))
    assert report["pool settings"]["segment_bytes"] == "128 KiB (from PYBRIDGE_POOL_SEGMENT_BYTES)"
    assert "MALLOC_ARENA_MAX=2" in report["memory"]["malloc arenas"]
    assert "PYTHONMALLOC=malloc" in report["configure_memory"]['python_allocator="system"']


def test_doctor_shows_which_variables_are_in_effect_and_flags_those_it_does_not_know(run_python: PythonRunner) -> None:
    environment = {
        "PYBRIDGE_POOL_SEGMENT_BYTES": "131072",
        "PYBRIDGE_FLOW_MAX_QUEUE": "none",
        "PYBRIDGE_MEMORY_MIN_GAIN": "8MiB",
        "PYBRIDGE_MEMORY_IDLE_RELEASES": "all",
        "PYBRIDGE_POOL_IDLE_TIMOUT": "1",
        "PYBRIDGE_SEGMENT_BYTES": "1",
        "pybridge_flow_flush": "turn",
        "PYBRIDGE_WORKERS": "4",
    }
    report = json.loads(run_python(COMMAND, "doctor", "--json", environment=environment))
    assert report["memory settings"]["min_gain"] == "8 MiB (from PYBRIDGE_MEMORY_MIN_GAIN)"
    assert report["memory settings"]["idle_release"] == "all"
    unknown = "UNKNOWN, no effect:"
    kinds = "PYBRIDGE_FLOW_<FIELD>, PYBRIDGE_LIMITS_<FIELD>, PYBRIDGE_MEMORY_<FIELD>, PYBRIDGE_POOL_<FIELD>"
    assert report["environment"] == {
        "PYBRIDGE_POOL_SEGMENT_BYTES": "in effect: 128 KiB",
        "PYBRIDGE_FLOW_MAX_QUEUE": "in effect: no limit",
        "PYBRIDGE_MEMORY_MIN_GAIN": "in effect: 8 MiB",
        "PYBRIDGE_MEMORY_IDLE_RELEASES": f"{unknown} did you mean PYBRIDGE_MEMORY_IDLE_RELEASE?",
        "PYBRIDGE_POOL_IDLE_TIMOUT": f"{unknown} did you mean PYBRIDGE_POOL_IDLE_TIMEOUT?",
        "PYBRIDGE_SEGMENT_BYTES": f"{unknown} did you mean PYBRIDGE_POOL_SEGMENT_BYTES?",
        "pybridge_flow_flush": f"{unknown} did you mean PYBRIDGE_FLOW_FLUSH?",
        "PYBRIDGE_WORKERS": f"{unknown} there are {kinds}",
    }


def test_doctor_says_in_words_what_unset_settings_mean(run_python: PythonRunner) -> None:
    report = json.loads(run_python(COMMAND, "doctor", "--json"))
    assert report["flow settings"]["max_queue"] == "no limit"
    assert report["flow settings"]["cancel_grace"] == "5 s"
    assert report["pool settings"]["zero_on_reuse"] == "off"
    assert report["environment"] == {"PYBRIDGE_*": "none is set"}


def test_doctor_names_every_wrong_variable_and_gives_its_report(run_python: PythonRunner) -> None:
    environment = {
        "PYBRIDGE_POOL_SEGMENT_BYTES": "huge",
        "PYBRIDGE_FLOW_HIGH_WATER": "1KiB",
        "PYBRIDGE_FLOW_LOW_WATER": "2KiB",
        "PYBRIDGE_MEMORY_MIN_GAIN": "-1",
        "PYBRIDGE_MEMORY_TUNE_MALLOC": "perhaps",
    }
    wrong = {name: name.split("_", 2)[2].lower() for name in environment if name != "PYBRIDGE_FLOW_HIGH_WATER"}
    for field in wrong.values():
        out = run_python(COMMAND, "doctor", "--json", status=1, stderr=f"pybridge: {field}: ", environment=environment)
    report = json.loads(out)
    for name, field in wrong.items():
        assert report["environment"][name].startswith(f"WRONG: {field}: ")
    assert report["environment"]["PYBRIDGE_FLOW_HIGH_WATER"] == "in effect: 1 KiB"
    assert report["pool settings"]["segment_bytes"] == "64 KiB"
    assert report["memory settings"]["tune_malloc"] == "off"
