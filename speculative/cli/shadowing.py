"""Folders of the caller's own that Python would take instead of draftpick's packages."""

import importlib.util
from pathlib import Path

from arms.toml_file import read_toml

PACKAGES = ("arms", "rewards", "bandits", "speculative")


def shadow_warnings(folder: Path) -> list[str]:
    """Say which of our packages Python would take from `folder` instead of from the installation.

    Args:
        folder: the current directory. The project's own folder shadows nothing: it is the installation.
    """
    if is_project(folder):
        return []
    warnings = []
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
        if any(place and Path(place).resolve().is_relative_to(folder.resolve() / package) for place in places):
            warnings.append(
                f"warning: the folder {folder / package} shadows draftpick's package {package!r}; "
                "run draftpick elsewhere, or rename the folder"
            )
    return warnings


def is_project(folder: Path) -> bool:
    """Return whether a folder is draftpick's own checkout."""
    file = folder / "pyproject.toml"
    try:
        project = read_toml(file, "project file").get("project", {})
    except ValueError:
        return False
    return isinstance(project, dict) and project.get("name") == "draftpick"
