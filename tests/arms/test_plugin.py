"""A plug-in is found by name or by path, and each mistake in naming one has its own error."""

import sys

import pytest

from arms import Arm, CallableArm
from arms.plugin import find_plugin, resolve_plugin

TABLE = {"callable": CallableArm}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Put a module of a user's own on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    yield write
    for name in [name for name in sys.modules if name.startswith("own_plugin_")]:
        del sys.modules[name]


def test_name_of_the_table_is_found_without_an_import():
    assert find_plugin("callable", TABLE, Arm, "arm") is CallableArm


def test_path_gives_the_class_it_names():
    assert find_plugin("arms.callable_arm:CallableArm", TABLE, Arm, "arm") is CallableArm


def test_unknown_name_is_told_with_the_names_there_are():
    with pytest.raises(ValueError, match=r"unknown arm 'nobody'; there are callable"):
        find_plugin("nobody", TABLE, Arm, "arm")


@pytest.mark.parametrize(
    "path", ["arms.arm", ":Arm", "arms.arm:", "arms..arm:Arm", "arms.arm:Arm.name", "../x:Arm", ""]
)
def test_malformed_path_is_refused_before_any_import(path):
    with pytest.raises(ValueError, match=r'must have the form "package.module:Class"'):
        resolve_plugin(path, Arm, "arm")


def test_module_that_is_missing_is_named():
    with pytest.raises(ValueError, match=r"module own_plugin_missing does not import .*ModuleNotFoundError"):
        resolve_plugin("own_plugin_missing:Mine", Arm, "arm")


def test_module_that_raises_is_named_with_its_error(module):
    name = module("own_plugin_raises", "raise OSError('no disk')")
    with pytest.raises(ValueError, match="OSError: no disk"):
        resolve_plugin(f"{name}:Mine", Arm, "arm")


def test_each_wrong_thing_in_a_module_has_its_error(module):
    name = module("own_plugin_things", "from arms import Arm\nNUMBER = 3\nclass Other: ...\nclass Half(Arm): ...\n")
    with pytest.raises(ValueError, match="has no 'Mine'"):
        resolve_plugin(f"{name}:Mine", Arm, "arm")
    with pytest.raises(TypeError, match="must be a class, got a int"):
        resolve_plugin(f"{name}:NUMBER", Arm, "arm")
    with pytest.raises(TypeError, match=r"must be a subclass of arms\.arm\.Arm"):
        resolve_plugin(f"{name}:Other", Arm, "arm")
    with pytest.raises(TypeError, match=r"must not be abstract: it lacks .*pull"):
        resolve_plugin(f"{name}:Half", Arm, "arm")
