"""The version of the installed distribution."""


def lazy_version(name: str) -> str:
    """Return the version for a package's `__getattr__`, which asks for it by the name `__version__`.

    Raises:
        AttributeError: for every other name.
    """
    if name != "__version__":
        raise AttributeError(f"this package has no attribute {name!r}")
    from importlib.metadata import version

    return version("draftpick")
