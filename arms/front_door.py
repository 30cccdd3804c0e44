"""A package's front door: names that are imported when they are first asked for (PEP 562)."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping


def front_door(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` of a package that is quick to import.

    It knows `__version__` besides, the version of the installed distribution, and the package's modules.

    Args:
        package: its name.
        homes: each exported name to the module inside the package that defines it.
    """

    def getattr_of_package(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version("draftpick")
        if name not in homes:
            return _module(package, name)
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return getattr_of_package


def _module(package: str, name: str) -> object:
    """Import a module of the package that is asked for as its attribute.

    Raises:
        AttributeError: if there is none of that name.
    """
    if name.startswith("_") or not name.isidentifier() or importlib.util.find_spec(f"{package}.{name}") is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return importlib.import_module(f"{package}.{name}")
