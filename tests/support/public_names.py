"""The public names of the project, and the reference page that each belongs on.

Public is what an `__all__` lists: those of the four packages and of every sub-package that has one. An object exported
at several places is documented once, under the shortest of its paths, on the page of the room that defines it.
"""

import importlib
import inspect
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("arms", "rewards", "bandits", "speculative")
ONE_PAGE = ("arms", "rewards")  # small enough for one page; the others have a page a room


def package_folders() -> dict[str, Path]:
    """Return every package of the project by its dotted name, parents first."""
    found = {}
    for top in PACKAGES:
        for file in sorted((ROOT / top).rglob("__init__.py")):
            found[".".join(file.parent.relative_to(ROOT).parts)] = file.parent
    return found


@dataclass(frozen=True)
class PublicName:
    """One exported object: the path that documents it, and the page that this path belongs on."""

    path: str
    page: str


def public_names() -> dict[str, PublicName]:
    """Return the documented path of every exported object, keyed by that path."""
    paths: dict[object, list[str]] = defaultdict(list)
    objects: dict[object, object] = {}
    for package in package_folders():
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.ismodule(value):
                continue
            key = (id(value),) if inspect.isroutine(value) or inspect.isclass(value) else (id(value), name)
            objects[key] = value
            paths[key].append(f"{package}.{name}")
    chosen = {}
    for key, places in paths.items():
        home = getattr(objects[key], "__module__", None) or ""
        path = min(places, key=lambda place: (place.count("."), place.split(".")[0] != home.split(".")[0], place))
        chosen[path] = PublicName(path, _page(home if home.split(".")[0] in PACKAGES else path.rpartition(".")[0]))
    return chosen


def _page(module: str) -> str:
    """Return the reference page of the room that a module lies in."""
    top, *rest = module.split(".")
    if top in ONE_PAGE:
        return f"docs/reference/{top}.md"
    if rest and f"{top}.{rest[0]}" in package_folders():
        return f"docs/reference/{top}/{rest[0]}.md"
    return f"docs/reference/{top}/index.md"
