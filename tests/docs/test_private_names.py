"""Tests use public names of the code under test only, so that its insides may change."""

from tests.support.private_names import private_names, private_names_of
from tests.support.public_names import ROOT


def test_no_test_uses_a_private_name_of_the_code_under_test():
    wrong = []
    for file in sorted((ROOT / "tests").rglob("*.py")):
        wrong += [f"{file.relative_to(ROOT)}:{use.line}: {use.name}" for use in private_names_of(file)]
    assert not wrong, "use a public name, or offer one:\n" + "\n".join(wrong)


def test_reading_importing_and_patching_a_private_name_are_found():
    source = "from bandits.seeds import _key\nengine._cache.rows\nmonkeypatch.setattr(engine, '_head', 1)\n"
    assert {use.name for use in private_names(source)} == {"_key", "_cache", "_head"}


def test_what_a_test_defines_itself_is_its_own():
    source = "class Fake:\n    def __init__(self):\n        self._rows = []\n"
    source += "print(Fake()._rows, point._replace(x=1), x.__dict__)\n"
    assert private_names(source) == []


def test_names_of_libraries_are_none_of_the_code_under_test():
    source = "import torch\nimport bandits.data as data\ntorch._C._log()\ndata._rows\n"
    assert {use.name for use in private_names(source)} == {"_rows"}
