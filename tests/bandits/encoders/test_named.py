"""An encoder from what an option, or the mark of data, calls it."""

import pytest

from bandits import HashingEncoder, SentenceEncoder
from bandits.encoders.named import make_encoder, recorded_encoder
from bandits.encoders.sentence import DEFAULT_MODEL
from tests.support.word_encoder import WordCount


def test_a_kind_and_the_name_that_data_are_marked_with_make_the_encoder():
    assert make_encoder("hashing").name == "hashing-256"
    made = make_encoder(HashingEncoder(64).name)
    assert (type(made), made.n_features) == (HashingEncoder, 64)
    assert isinstance(make_encoder("tests.support.word_encoder:WordCount"), WordCount)
    assert make_encoder(DEFAULT_MODEL).name == SentenceEncoder().name


@pytest.mark.parametrize("name", ["hashing-0", "hashing-x", "nobody"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ValueError, match=f"unknown encoder '{name}'"):
        make_encoder(name)


def test_a_recorded_name_imports_nothing():
    assert recorded_encoder("os.path:join") is None
    assert recorded_encoder("hidden_state:some/model") is None
