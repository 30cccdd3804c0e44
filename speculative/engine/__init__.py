"""The generation core: any draft in any round, the target's text always."""

from speculative.engine.engine import Engine
from speculative.engine.settings import EngineSettings
from speculative.protocols.request import Request

__all__ = ["Engine", "EngineSettings", "Request"]
