import importlib
import subprocess
import sys
from importlib.metadata import version

import pytest

import arms


@pytest.mark.parametrize("package", ["arms", "rewards", "bandits", "speculative"])
def test_every_package_tells_the_version_of_the_distribution(package):
    assert importlib.import_module(package).__version__ == version("draftpick")


def test_no_other_name_appears():
    with pytest.raises(AttributeError, match="no attribute 'version_'"):
        _ = arms.version_


def test_a_room_is_an_attribute_of_its_package_without_being_imported_first():
    code = "import bandits, arms; bandits.policies.LinUCB; arms.testing; assert not hasattr(bandits, '__main__')"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["policies.linear", "nothing", "__main__"])
def test_what_is_no_module_is_no_attribute(name):
    with pytest.raises(AttributeError, match="no attribute"):
        getattr(importlib.import_module("speculative"), name)
