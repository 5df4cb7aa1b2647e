"""What a node is and can run, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List

from .events import Layer, copied


@dataclass(frozen=True)
class Runtime:
    """A configured runtime. When it is not `available`, `detail` says why."""
    name: str
    version: str
    available: bool
    detail: str
    compiled: bool
    extensions: List[str]


@dataclass(frozen=True)
class Limit:
    """A limit as the operator has set it; `unit` is "bytes", "ms" or "count"."""
    name: str
    unit: str
    default_value: int
    ceiling: int


@dataclass(frozen=True)
class NodeInfo:
    """What the node is and enforces; `tenant` is who the caller is taken for."""
    node: str
    version: str
    launcher: str
    cgroup_version: str
    layers: List[Layer]
    limits: Dict[str, Limit]
    running_max: int
    slots_max: int
    queue_max: int
    queue_per_tenant: int
    tenant: str


def runtime(message) -> Runtime:
    return Runtime(message.name, message.version, message.available, message.detail, message.compiled,
                   list(message.extensions))


def info(message) -> NodeInfo:
    return NodeInfo(
        node=message.node, version=message.version, launcher=message.launcher, cgroup_version=message.cgroup_version,
        layers=[copied(Layer, layer) for layer in message.layers],
        limits={limit.name: copied(Limit, limit) for limit in message.limits},
        running_max=message.running_max, slots_max=message.slots_max, queue_max=message.queue_max,
        queue_per_tenant=message.queue_per_tenant, tenant=message.tenant)
