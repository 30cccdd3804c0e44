"""A package's front door: names that are imported when they are first asked for (PEP 562)."""

import importlib
import sys
from collections.abc import Callable, Mapping


def front_door(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Return the `__getattr__` of a package that is quick to import.

    It knows `__version__` besides, the version of the installed distribution.

    Args:
        package: its name.
        homes: each exported name to the module inside the package that defines it.
    """

    def getattr_of_package(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version("draftpick")
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return getattr_of_package
