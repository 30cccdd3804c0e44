"""A column means the same in every table of a policy: which columns, in which order, with which levels."""

import numpy as np
import pyarrow as pa
import pytest

from bandits import HashingEncoder, LinUCB, from_long_table
from bandits.data.io import TableLayout
from bandits.encoders import ColumnFeatures
from bandits.encoders.columns import encoder_beside, shown


class TestLevels:
    """A text column means the same in every table of a policy."""

    LAYOUT = TableLayout(context_columns=["topic"])

    def table(self, *topics):
        rows = [(f"q{i}", topic, arm) for i, topic in enumerate(topics) for arm in ("big", "small")]
        ids, topic, arms = zip(*rows, strict=True)
        rewards = [float(arm == {"math": "big"}.get(topic, "small")) for _, topic, arm in rows]
        return pa.table({"query_id": ids, "topic": topic, "arm": arms, "reward": rewards})

    def numbered(self):
        return self.table("code", "math").append_column("context_0", pa.array([1.0, 1.0, 2.0, 2.0]))

    def policy(self, **options):
        layout = TableLayout(context_columns=["topic"], **options)
        return LinUCB(ucb_width=0.0).fit(from_long_table(self.table(*["code", "math"] * 20), layout=layout))

    @pytest.mark.parametrize("topics", [("math", "prose"), ("prose",), ("code", "math", "prose")])
    def test_a_table_of_other_levels_is_refused(self, topics):
        test = from_long_table(self.table(*topics), layout=self.LAYOUT)
        with pytest.raises(ValueError, match="must have contexts of one encoder"):
            test.value(self.policy())

    def test_a_policys_own_levels_read_any_table(self, tmp_path):
        policy = self.policy()
        features = ColumnFeatures.of_name(policy.learned.encoder)
        assert from_long_table(self.table("math"), layout=TableLayout(features=features)).value(policy) == 1.0
        with pytest.raises(
            ValueError, match=r"column 'topic' must hold one of the levels code, math: row 2 has 'prose'"
        ):
            from_long_table(self.table("math", "prose"), layout=TableLayout(features=features))

    def test_unknown_levels_have_a_column_of_their_own_where_asked(self):
        policy = self.policy(unknown_levels="own_column")
        features = ColumnFeatures.of_name(policy.learned.encoder)
        test = from_long_table(self.table("math", "prose", "poems"), layout=TableLayout(features=features))
        np.testing.assert_array_equal(test.contexts, [[0, 1, 0], [0, 0, 1], [0, 0, 1]])
        assert test.value(policy) >= 1 / 3

    def test_an_error_shows_columns_and_the_first_of_their_levels(self):
        features = ColumnFeatures({"topic": tuple("abcdefg"), "age": None})
        assert shown(features.name) == "the columns topic (a, b, c, d, e and 2 more), age"
        assert shown(features.beside("hashing-8")).startswith("'hashing-8' beside the columns topic (a, b")
        assert shown("hashing-8") == "'hashing-8'"
        with pytest.raises(ValueError, match=r"learned from encoder the columns topic \(code, math\), the data"):
            self.policy().update(from_long_table(self.table("prose", "math"), layout=self.LAYOUT))

    def test_an_encoder_and_columns_stand_side_by_side(self):
        table = self.table("code", "math").append_column("query", pa.array(["one", "one", "two", "two"]))
        data = from_long_table(table, HashingEncoder(n_features=8), self.LAYOUT)
        assert data.n_features == 10
        np.testing.assert_array_equal(data.contexts[:, 8:], np.eye(2))
        assert data.encoder.startswith("hashing-8+columns:")

    def test_the_features_beside_an_encoder_are_read_from_the_mark_of_both(self):
        table = self.table("code", "math").append_column("query", pa.array(["one", "one", "two", "two"]))
        encoder = HashingEncoder(n_features=8)
        data = from_long_table(table, encoder, self.LAYOUT)
        features = ColumnFeatures.of_name(data.encoder)
        assert features == ColumnFeatures({"topic": ("code", "math")})
        assert encoder_beside(data.encoder) == "hashing-8"
        again = from_long_table(table.slice(2), encoder, TableLayout(features=features))
        np.testing.assert_array_equal(again.contexts, data.contexts[1:])
        assert again.encoder == data.encoder

    def test_numbered_columns_beside_an_encoder_are_named_or_left_out_on_purpose(self):
        table = self.numbered().append_column("query", pa.array(["one", "one", "two", "two"]))
        with pytest.raises(ValueError, match="has columns context_0, and an encoder makes contexts too"):
            from_long_table(table, HashingEncoder(8))
        assert from_long_table(table, HashingEncoder(8), TableLayout(context_columns=())).n_features == 8
        assert from_long_table(table, HashingEncoder(8), TableLayout(context_columns=["context_0"])).n_features == 9

    @pytest.mark.parametrize("name", ["my_columns:v2", "columns:mine", "a+columns:b"])
    def test_an_encoder_may_be_called_anything_like_columns(self, name):
        assert ColumnFeatures.of_name(name) is None
        assert encoder_beside(name) == name
        assert shown(name) == repr(name)
        features = ColumnFeatures({"topic": ("+columns:[", "b")})
        both = features.beside(name)
        assert ColumnFeatures.of_name(both) == ColumnFeatures.of_name(features.name) == features
        assert (encoder_beside(both), encoder_beside(features.name)) == (name, None)

    def test_columns_of_numbers_in_another_order_are_other_contexts(self):
        table = self.numbered().append_column("age", pa.array([3.0, 3.0, 4.0, 4.0]))
        first, other = (
            from_long_table(table, layout=TableLayout(context_columns=names))
            for names in (("age", "context_0"), ("context_0", "age"))
        )
        with pytest.raises(ValueError, match="contexts of one encoder"):
            other.value(LinUCB().fit(first))

    @pytest.mark.parametrize(
        ("names", "error", "message"),
        [
            ({"topic", "age"}, TypeError, "context_columns must have an order, got a set"),
            ("topic", TypeError, "the single string 'topic'"),
            (["topic", "topic"], ValueError, "'topic' twice"),
        ],
    )
    def test_the_names_of_columns_are_a_list(self, names, error, message):
        with pytest.raises(error, match=message):
            TableLayout(context_columns=names)

    def test_what_features_cannot_be_is_refused(self):
        with pytest.raises(ValueError, match="unknown must be"):
            ColumnFeatures({"a": None}, "drop")
        with pytest.raises(ValueError, match="at least one column"):
            ColumnFeatures({})
        with pytest.raises(ValueError, match="does not name features of columns"):
            ColumnFeatures.of_name("columns:[")
        assert ColumnFeatures.of_name("hashing-8") is ColumnFeatures.of_name(None) is None
        numbers = ColumnFeatures({"topic": None, "other": None})
        with pytest.raises(ValueError, match="column 'topic' must hold numbers, as where its features were fixed"):
            from_long_table(self.table("a"), layout=TableLayout(features=ColumnFeatures({"topic": None})))
        with pytest.raises(ValueError, match="context column 'other' is missing"):
            numbers.encode_columns({"topic": np.zeros(2)})
        with pytest.raises(TypeError, match="the levels of 'topic' must have an order, got a set"):
            ColumnFeatures({"topic": {"a", "b"}})
        with pytest.raises(ValueError, match="leave context_columns out"):
            TableLayout(features=numbers, context_columns=["topic"])
