"""Counters of requests and answers; only these tests call the handler `counted`."""

from __future__ import annotations

import pytest

from support.exposition import parse
from support.fronts import Server

FIRST = 'pybridge_time_to_first_item_seconds_count{handler="counted"}'
GAPS = 'pybridge_inter_item_seconds_count{handler="counted"}'
IN_PROGRESS = 'http_requests_in_progress{handler="counted"}'


def requests(method: str, status: int) -> str:
    return f'http_requests_total{{method="{method}",status="{status}",handler="counted"}}'


def durations(method: str) -> str:
    return f'http_request_duration_seconds_count{{method="{method}",handler="counted"}}'


@pytest.mark.guarantee("W-29")
async def test_requests_are_counted_by_method_and_status(server: Server) -> None:
    before = await server.metrics()
    async with server.client() as client:
        for method, path in (
            ("POST", "/generate"),
            ("GET", "/generate"),
            ("GET", "/nothing"),
            ("PROPFIND", "/generate"),
        ):
            await client.request(method, server.url("counted", path), json={"do": [{"count": 2}]})
    await server.post("counted", b"<", {"Content-Type": "text/html"})
    await server.post("counted", b"{")
    await server.post("counted", [{"raise": "it"}])
    more = {
        requests("POST", 200): 1.0,
        requests("GET", 405): 1.0,
        requests("GET", 404): 1.0,
        requests("OTHER", 405): 1.0,
        requests("POST", 415): 1.0,
        requests("POST", 400): 1.0,
        requests("POST", 500): 1.0,
        durations("POST"): 4.0,
        durations("GET"): 2.0,
        durations("OTHER"): 1.0,
        FIRST: 1.0,
        IN_PROGRESS: 0.0,
    }
    await server.assert_counts(before, more)


@pytest.mark.guarantee("W-29")
@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson", "application/json"])
async def test_a_request_is_in_progress_until_its_answer_ends(server: Server, accept: str) -> None:
    before = await server.metrics()
    async with await server.ask("counted", [{"count": 1}, "wait"], {"Accept": accept}):
        await server.assert_counts(before, {IN_PROGRESS: 1.0, durations("POST"): 0.0})
    await server.assert_counts(before, {IN_PROGRESS: 0.0, durations("POST"): 1.0})


@pytest.mark.guarantee("W-29")
async def test_a_client_that_goes_before_the_head_is_counted_as_499(server: Server) -> None:
    before = await server.metrics()
    async with await server.ask("counted", ["wait"], {"X-Request-Id": "counted-gone"}):
        await server.noted("counted-gone", "begun")
    await server.assert_counts(before, {requests("POST", 499): 1.0, FIRST: 0.0, IN_PROGRESS: 0.0})


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson", "application/msgpack"])
async def test_each_item_after_the_first_is_counted_with_the_gap_before_it(server: Server, accept: str) -> None:
    before = await server.metrics()
    do = [{"yield": 0}, {"pause": 0.2}, *({"yield": number} for number in range(4))]
    assert (await server.post("counted", do, {"Accept": accept})).status_code == 200
    now = await server.assert_counts(before, {FIRST: 1.0, GAPS: 4.0})
    gaps = GAPS.replace("_count{", "_sum{")
    assert now[gaps] - before[gaps] > 0.15, "but for how late the first was taken"


async def test_an_answer_in_one_piece_has_a_first_item_and_no_gaps(one_server: Server) -> None:
    before = await one_server.metrics()
    await one_server.post("counted", [{"count": 3, "each": 0.01}], {"Accept": "application/json"})
    await one_server.post("counted", [], {"Accept": "application/json"})
    await one_server.assert_counts(before, {requests("POST", 200): 2.0, FIRST: 1.0, GAPS: 0.0})


async def test_an_answer_that_breaks_off_is_counted_with_the_status_it_began_with(server: Server) -> None:
    before = await server.metrics()
    answer = await server.stream("counted", [{"count": 2}, {"raise": "it"}], {"Accept": "text/event-stream"})
    async with answer.connection:
        _, whole = await answer.body()
    assert not whole
    await server.assert_counts(before, {requests("POST", 200): 1.0, IN_PROGRESS: 0.0})


async def test_pages_are_not_counted(one_server: Server) -> None:
    before = await one_server.metrics()
    async with one_server.client() as client:
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert (await client.get(one_server.url("generic", path))).status_code == 200
    samples = [name for name in await one_server.metrics() if name.startswith("http_requests_total")]
    assert not [name for name in samples if 'method="GET",status="200"' in name and 'handler="generic"' in name]
    assert before.keys() >= {IN_PROGRESS, FIRST, GAPS}, "services that had no request are there"


async def test_the_page_is_a_strict_exposition_with_growing_buckets(one_server: Server) -> None:
    await one_server.post("counted", [{"count": 3, "each": 0.01}])
    async with one_server.client() as client:
        page = parse((await client.get(one_server.url("generic", "/metrics"))).text)
    for metric, labels in (
        ("http_request_duration_seconds", 'method="POST",handler="counted"'),
        ("pybridge_time_to_first_item_seconds", 'handler="counted"'),
        ("pybridge_inter_item_seconds", 'handler="counted"'),
    ):
        samples = page[metric]
        buckets = [value for name, value in samples.items() if name.startswith(f"_bucket,{labels},le=")]
        assert len(buckets) == 16
        assert buckets == sorted(buckets)
        assert buckets[-1] == samples[f"_count,{labels}"] > 0
        assert samples[f"_sum,{labels}"] > 0
