"""Vectors are made once for a text, kept whole or not at all, and valued again without their model."""

import numpy as np
import pytest

from arms import Observation, Reference
from bandits import HashingEncoder
from rewards import SemanticSimilarity
from rewards.stored_vectors import StoredVectors


class Counting:
    """Two features a text; what it was asked is counted, and it may end early."""

    def __init__(self, name="counting", n_most=10**9):
        self.name, self.n_most, self.n_asked = name, n_most, 0

    def encode(self, texts):
        self.n_asked += len(texts)
        if self.n_asked > self.n_most:
            raise ImportError("some_library is needed here")
        return np.array([[3.0 * len(text), float(text.count("a"))] for text in texts], np.float32)


def observe(own, target="the cat sat"):
    return Observation("a", "q", "", 0, 0.0, own_text=own, reference=Reference(target, seconds=1.0, n_tokens=1))


def test_stored_observations_are_valued_again_without_a_model_and_alike(tmp_path):
    row = [observe("a b"), observe("c \ud800 d"), observe("the cat sat"), observe("a b", "another target")]
    first = SemanticSimilarity(Counting(), vectors=tmp_path / "vectors")
    first.prepare(row)
    values = [first(one) for one in row]
    asked = first.encoder.n_asked
    assert asked == 4  # no text twice, and none that is its target's own
    second = SemanticSimilarity(Counting(n_most=0), vectors=tmp_path / "vectors")
    assert [second(one) for one in row] == values
    second.prepare(row)
    assert [second(one) for one in row] == values
    plain = SemanticSimilarity(Counting())
    assert values == pytest.approx([plain(one) for one in row], abs=1e-3)


def test_what_was_kept_before_an_end_is_not_made_again(tmp_path):
    texts = [str(i) for i in range(5000)]
    with pytest.raises(
        ImportError, match=r"no vector of counting is kept in .*vectors.*: value the same observations once"
    ):
        StoredVectors(tmp_path / "vectors", Counting(n_most=4096)).keep(texts)
    rest = Counting()
    again = StoredVectors(tmp_path / "vectors", rest)
    again.keep(texts)
    assert rest.n_asked == 5000 - 4096
    np.testing.assert_allclose(np.linalg.norm(again.encode(texts), axis=1), 1.0, atol=1e-3)
    assert len([*(tmp_path / "vectors").iterdir()]) == 2


def test_encoders_that_share_a_folder_keep_apart(tmp_path):
    for name in ("one", "other"):
        encoder = Counting(name)
        StoredVectors(tmp_path, encoder).keep(["a", "b"])
        assert encoder.n_asked == 2
    hashed = StoredVectors(tmp_path, HashingEncoder(8))
    assert hashed.encode(["a"]).shape == (1, 8)
    assert hashed.encode([]).shape == (0, 8)
    assert len([*tmp_path.iterdir()]) == 2  # what is only encoded is not kept


def test_an_encoder_that_has_changed_under_its_name_makes_its_own_vectors(tmp_path):
    class Trained(Counting):
        def __init__(self, weights):
            super().__init__("a folder's name")
            self.weights = weights

        def fingerprint(self):
            return self.weights

    for weights, n_asked in (("first", 1), ("second", 1), ("first", 0)):
        encoder = Trained(weights)
        StoredVectors(tmp_path, encoder).keep(["a"])
        assert encoder.n_asked == n_asked


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([[np.nan, 1.0]], "1 of them not finite"),
        ([[1.0, 2.0], [3.0, 4.0]], "must give 1 rows of finite numbers, got shape"),
        ([[1.0, 2.0, 3.0]], "must give rows of 2 numbers as those in .*, got 3: give an encoder that has changed"),
    ],
)
def test_vectors_that_cannot_be_kept_are_refused_and_leave_the_folder_as_it_was(tmp_path, monkeypatch, rows, told):
    encoder = Counting()
    stored = StoredVectors(tmp_path, encoder)
    stored.keep(["a"])
    monkeypatch.setattr(encoder, "encode", lambda texts: np.array(rows, np.float32))
    with pytest.raises(ValueError, match=told):
        stored.keep(["b"])
    assert len([*tmp_path.iterdir()]) == 1
    assert StoredVectors(tmp_path, Counting(n_most=0)).encode(["a"]).shape == (1, 2)


def test_a_damaged_file_and_an_encoder_without_a_name_are_refused(tmp_path):
    StoredVectors(tmp_path, Counting()).keep(["a"])
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{path.name} is no whole file of vectors .*: delete it"):
        StoredVectors(tmp_path, Counting()).encode(["a"])

    class Nameless:
        encode = Counting.encode

    with pytest.raises(TypeError, match="an encoder whose vectors are stored must have a name, got"):
        SemanticSimilarity(Nameless(), vectors=tmp_path)
