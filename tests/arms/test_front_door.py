import importlib
from importlib.metadata import version

import pytest

import arms


@pytest.mark.parametrize("package", ["arms", "rewards", "bandits", "speculative"])
def test_every_package_tells_the_version_of_the_distribution(package):
    assert importlib.import_module(package).__version__ == version("draftpick")


def test_no_other_name_appears():
    with pytest.raises(AttributeError, match="no attribute 'version_'"):
        _ = arms.version_
