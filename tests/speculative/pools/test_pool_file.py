"""Pool files that are written: what is read back is what was written."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from speculative.pools.pool_file import toml_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["a b", "a.b", "", '"', "\x7f", "é"]
)
PLAIN = TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
VALUE = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


def test_keys_that_are_not_bare_are_quoted_wherever_they_stand():
    table = {"a b": 1, "c.d": {"e f": {"g.h": [{"": True}]}}, "i j": [{"k.l": "m"}], "n-o_1": "p"}
    assert tomllib.loads(toml_of(table)) == table
    assert '\n[["i j"]]\n' in toml_of(table)
    assert "\nn-o_1 = " in toml_of(table)


@given(st.dictionaries(TEXT, VALUE, max_size=4))
def test_what_is_written_is_read_back(table):
    assert tomllib.loads(toml_of(table)) == table
