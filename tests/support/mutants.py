"""Modules with a fault put into them, to see that a test finds it."""

import types


def mutant(module: types.ModuleType, old: str, new: str) -> types.ModuleType:
    """A module made of another one's text with one place changed."""
    text = module.__loader__.get_source(module.__name__)  # type: ignore[union-attr]  # every loader of a file has it
    assert text.count(old) == 1
    made = types.ModuleType(module.__name__)
    made.__file__ = module.__file__
    exec(compile(text.replace(old, new), str(module.__file__), "exec"), made.__dict__)
    return made
