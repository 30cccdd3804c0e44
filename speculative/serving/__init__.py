"""A policy in front of engines: an OpenAI-compatible service that chooses an arm, logs the choice and learns."""

from typing import TYPE_CHECKING

from arms.front_door import front_door as _front_door

if TYPE_CHECKING:
    from speculative.serving.ray_replicas import serve_replicas
    from speculative.serving.server import ServerSettings, serve
    from speculative.serving.service import Service
    from speculative.serving.settings import ServiceSettings
    from speculative.serving.upstream_spec import UpstreamPoolSpec, UpstreamSpec

_HOMES = {
    "ServerSettings": "server",
    "Service": "service",
    "ServiceSettings": "settings",
    "UpstreamPoolSpec": "upstream_spec",
    "UpstreamSpec": "upstream_spec",
    "serve": "server",
    "serve_replicas": "ray_replicas",
}

__all__ = [
    "ServerSettings",
    "Service",
    "ServiceSettings",
    "UpstreamPoolSpec",
    "UpstreamSpec",
    "serve",
    "serve_replicas",
]

__getattr__ = _front_door("speculative.serving", _HOMES)
