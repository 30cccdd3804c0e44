"""Tests use public names of the code under test only, so that its insides may change."""

from tests.support.private_names import private_names, private_names_of
from tests.support.public_names import ROOT

# Uses that are left to mend, by file. A number may fall, never rise.
ALLOWED = {
    "tests/bandits/policies/linear/test_learned_precision.py": 1,
    "tests/bandits/policies/linear/test_ridge.py": 5,
    "tests/bandits/policies/reinforce/test_reinforce.py": 6,
}


def test_no_test_uses_a_private_name_of_the_code_under_test():
    wrong = []
    for file in sorted((ROOT / "tests").rglob("*.py")):
        path = file.relative_to(ROOT).as_posix()
        uses = private_names_of(file)
        if len(uses) > ALLOWED.get(path, 0):
            wrong += [f"{path}:{use.line}: {use.name}" for use in uses]
    assert not wrong, "use a public name, or offer one:\n" + "\n".join(wrong)


def test_reading_importing_and_patching_a_private_name_are_found():
    source = "from bandits.seeds import _key\nengine._cache.rows\nmonkeypatch.setattr(engine, '_head', 1)\n"
    assert {use.name for use in private_names(source)} == {"_key", "_cache", "_head"}


def test_what_a_test_defines_itself_is_its_own():
    source = "class Fake:\n    def __init__(self):\n        self._rows = []\n"
    source += "print(Fake()._rows, point._replace(x=1), x.__dict__)\n"
    assert private_names(source) == []
