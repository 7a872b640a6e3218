"""The engines that are served, each with the options of its front."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pybridge import FlowConfig, Limits, PooledEngine

from support.served.script import raw_script, script, unary_script


@dataclass(frozen=True)
class Service:
    """An engine, and how it is served: the arguments of `engine.asgi`."""

    engine: PooledEngine
    options: dict[str, Any] = field(default_factory=dict)


def engine(name: str, handler: Any = script, **settings: Any) -> PooledEngine:
    """An engine with a name that metrics tell apart."""
    return PooledEngine(handler, name=name, **settings)


def closed() -> PooledEngine:
    """An engine that takes no calls any more."""
    late = engine("closed")
    late.close()
    return late


SERVICES = {
    "generic": Service(
        engine("generic"), {"health": True, "metrics": True, "pass_headers": ["X-Tenant", "accept-language"]}
    ),
    "hasty": Service(engine("hasty"), {"commit_after": 0.1, "keepalive": 0.1}),
    "quiet": Service(engine("quiet"), {"commit_after": 0.2, "keepalive": 0}),
    "unary": Service(engine("unary", unary_script, unary=True)),
    "raw": Service(engine("raw", raw_script, codec="raw")),
    "moved": Service(engine("moved"), {"path": "/api/run"}),
    "narrow": Service(engine("narrow", limits=Limits(max_depth=16)), {"max_body": "64KiB", "max_timeout": 2}),
    "full": Service(engine("full", flow=FlowConfig(max_concurrency=1, max_queue=0))),
    "counted": Service(engine("counted")),
    "closed": Service(closed(), {"health": True}),
    "gathered": Service(engine("gathered"), {"flush_interval": 0.2}),
    "openai": Service(engine("openai"), {"protocol": "openai"}),
    "models": Service(engine("models"), {"protocol": "openai", "models": ["small", "org/large"]}),
    "openai_narrow": Service(engine("openai_narrow"), {"protocol": "openai", "max_body": "64KiB"}),
    "openai_unary": Service(engine("openai_unary", unary_script, unary=True), {"protocol": "openai"}),
    "openai_full": Service(
        engine("openai_full", flow=FlowConfig(max_concurrency=1, max_queue=0)), {"protocol": "openai"}
    ),
}
