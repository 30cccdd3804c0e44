"""Loading a package that the base install does not have."""

from __future__ import annotations

import importlib
from types import ModuleType


def optional_import(module: str, extra: str) -> ModuleType:
    """Import `module` on first use; say which extra installs it when it is missing.

    Args:
        module: dotted name, e.g. "torch".
        extra: the extra of the distribution that installs it, e.g. "llm".

    Raises:
        ImportError: naming the module and the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{module} is needed here and could not be imported ({error}): {how_to_install(extra)}"
        ) from error


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra; it works in a checkout, since the distribution is on no index."""
    return f"pip install '.[{extra}]' in draftpick's checkout"
