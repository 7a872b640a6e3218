//! No mutex of the bridge is held while Python runs; debug builds count what a thread holds.

mod support;

use pyo3::prelude::*;
use support::{Script, python};

/// Whatever Python code the bridge runs, directly or by letting an object go, calls back into it.
const SCRIPT: &str = r#"
import asyncio
import contextlib
import functools
import gc
import sys
import threading
import traceback

import pybridge
from pybridge import FlowConfig, PooledEngine, Worker, current_context, encode

FRAME = encode(1)
found = []


def probe(*_):
    # Enters the extension, which looks whether the thread holds a mutex of the bridge.
    try:
        len(FRAME)
    except BaseException:
        found.append("".join(traceback.format_stack(limit=12)))


class Watched:
    def __del__(self):
        probe()


class WatchedError(Exception):
    def __del__(self):
        probe()


class WatchedBytes(bytes):
    def __del__(self):
        probe()


class Future(asyncio.futures._PyFuture):
    def __del__(self):
        probe()


class Task(asyncio.tasks._PyTask):
    def __del__(self):
        probe()


class Loop(asyncio.SelectorEventLoop):
    def create_future(self):
        return Future(loop=self)


def make_task(loop, coroutine, context=None):
    return Task(coroutine, loop=loop, context=context)


async def handler(request):
    kept = Watched()
    for number in range(request.get("items", 3)):
        yield [number] if "raw" not in request else WatchedBytes(bytes(request["raw"]))
        if request.get("waits"):
            await asyncio.sleep(0)
    if request.get("raises"):
        raise WatchedError(kept)
    if request.get("blocks"):
        await asyncio.Event().wait()
    if request.get("listens"):
        await current_context().wait_cancelled()
        raise WatchedError(kept)
    if request.get("nested"):
        async for item in PooledEngine(handler)({"blocks": True}):
            yield item


def watched(**request):
    return {**request, "object": Watched()}


@contextlib.asynccontextmanager
async def lifespan():
    yield Watched()


async def drain(stream, most=None):
    with contextlib.suppress(WatchedError, pybridge.PybridgeError, TimeoutError):
        count = 0
        async for _ in stream:
            count += 1
            if count == most:
                break


REQUESTS = [
    {"items": 50},
    {"items": 50, "waits": True},
    {"raises": True},
    {"blocks": True},
    {"listens": True},
    {"nested": True},
]


async def use(make):
    engine = make(codec="msgpack", lifespan=lifespan)
    raw = make(codec="raw")
    narrow = make(codec="msgpack")
    for request in REQUESTS:
        for form in (engine, engine.frames, engine.chunks):
            await drain(form(watched(**request), timeout=0.05))
            await drain(form(watched(**request)), most=1)
            stream = form(watched(**request))
            with contextlib.suppress(StopAsyncIteration, WatchedError):
                await anext(stream)
                await stream.aclose()
            del stream
        with contextlib.suppress(TimeoutError, WatchedError, pybridge.PybridgeError):
            await asyncio.wait_for(drain(narrow(watched(**request))), 0.02)
    for size in (10, 300_000):
        for form in (raw, raw.frames, raw.chunks):
            await drain(form(watched(raw=size, items=5)))
            await drain(form(watched(raw=size, items=5, waits=True)), most=2)
    crowd = [asyncio.create_task(drain(narrow(watched(waits=True, blocks=n % 2), timeout=0.1))) for n in range(20)]
    await asyncio.sleep(0)
    for task in crowd[::3]:
        task.cancel()
    await asyncio.wait(crowd)
    left = [form(watched(blocks=True)) for form in (engine, engine.frames, raw)]
    for stream in left:
        with contextlib.suppress(StopAsyncIteration, TypeError):
            await anext(stream)
    del stream
    left.pop()
    await engine.aclose(0)
    left.clear()
    await narrow.aclose(0)


def use_blocking():
    worker = Worker(name="watched")
    engine = PooledEngine(handler, worker=worker, flow=FlowConfig(max_concurrency=1))
    for request in REQUESTS:
        with contextlib.suppress(WatchedError, pybridge.PybridgeError):
            list(engine.iter(watched(**request), timeout=0.05))
        stream = engine.iter(watched(**request))
        next(stream)
        del stream
    engine.close()


def run(worker):
    loop = Loop()
    loop.set_task_factory(make_task)
    flow = FlowConfig(max_concurrency=2, high_water_items=2, cancel_grace=0.2)
    with contextlib.closing(loop):
        loop.run_until_complete(use(functools.partial(PooledEngine, handler, worker=worker, flow=flow)))
        # Closed with a stream that is live.
        left = PooledEngine(handler, worker=worker)(watched(blocks=True))
        loop.run_until_complete(anext(left))


def main():
    gc.collect()
    gc.freeze()
    gc.callbacks.append(probe)
    before = gc.get_threshold()
    gc.set_threshold(20)
    threading.setprofile(probe)
    sys.setprofile(probe)
    try:
        for worker in ("attached", "dedicated"):
            run(worker)
        use_blocking()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        gc.set_threshold(*before)
        gc.callbacks.remove(probe)
        gc.unfreeze()
        gc.collect()
    return found
"#;

/// Calls, finalizers and collections all call back, while streams take every way to their ends.
/// Guarantee E-23.
#[test]
fn python_runs_under_no_lock() {
    let script = Script::new(SCRIPT);
    let found: Vec<String> = python(|py| {
        let found = script.module(py).getattr("main").expect("defined").call0();
        found.and_then(|found| found.extract()).unwrap_or_else(|error: PyErr| {
            error.print(py);
            panic!("the script ran to its end")
        })
    });
    assert!(found.is_empty(), "{} times, first:\n{}", found.len(), found[0]);
}
