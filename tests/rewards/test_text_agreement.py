"""What all agreements of texts share, and the value of each by hand."""

import math
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arms import Observation, Query, Reference
from bandits import FullInformationData, HashingEncoder
from rewards import (
    REWARDS,
    Bleu,
    ChrF,
    CommonPrefix,
    ExactMatch,
    Gleu,
    OnFailure,
    SemanticSimilarity,
    TextAgreement,
    TokenF1,
)

HASHED = SemanticSimilarity(HashingEncoder(64))
ALL = [HASHED if kind is SemanticSimilarity else kind() for kind in REWARDS.values() if issubclass(kind, TextAgreement)]
ONE_CHANGED = ("今天天气很好我们去公园", "今天天气很好我们去学园")


def observe(own: str | None, target: str = "the cat sat") -> Observation:
    return Observation("a", "q", "", 0, 0.0, own_text=own, reference=Reference(target, seconds=1.0, n_tokens=1))


def named(rewards):
    return pytest.mark.parametrize("reward", rewards, ids=lambda reward: reward.name)


@pytest.mark.parametrize(
    ("reward", "own", "target", "value"),
    [
        (TokenF1(), "the dog and the cat", "The cat sat", 2 * 2 / (5 + 3)),
        (TokenF1(), "...", "", 1.0),
        (Gleu(), "the cat sat on", "the cat sat", 6 / 10),  # 4 + 3 + 2 + 1 runs against 3 + 2 + 1
        (Gleu(), "the the", "the", 1 / 3),
        (ExactMatch(), " the cat\n", "the cat", 1.0),
        (ExactMatch(), "The cat", "the cat", 0.0),
        (CommonPrefix(), "abcd", "abxdefgh", 2 / 8),
        (CommonPrefix(), "", "ab", 0.0),
        # Runs of 1 to 4 words found: 5 of 6, 3 of 5, 2 of 4, 1 of 3; equally long.
        (Bleu(), "the cat sat on the mat", "the dog sat on the mat", (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25),
    ],
)
def test_value_by_hand(reward, own, target, value):
    assert reward(observe(own, target)) == pytest.approx(value)


def test_chrf_weighs_recall_twice_over_runs_of_characters():
    def runs(text, n):
        return {text[i : i + n] for i in range(len(text) - n + 1)}

    own, target = "abcde", "abcdefg"  # no run twice
    scores = []
    for n in range(1, 6):  # of 6 characters the draft has none
        shared = len(runs(own, n) & runs(target, n))
        precision, recall = shared / len(runs(own, n)), shared / len(runs(target, n))
        scores.append(5 * precision * recall / (4 * precision + recall))
    assert ChrF()(observe(own, target)) == pytest.approx(np.mean(scores), abs=0.01)


@named([reward for reward in ALL if not isinstance(reward, ExactMatch | SemanticSimilarity)])
@pytest.mark.parametrize("texts", [ONE_CHANGED, ("สวัสดีครับ", "สวัสดีค่ะ"), ("हिन्दी भाषा", "हिन्दी भाषी")])
def test_one_changed_character_of_any_script_leaves_some_agreement(reward, texts):
    assert 0.0 < reward(observe(*texts)) < 1.0


@named(ALL)
@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_equal_texts_agree_fully_and_no_pair_leaves_the_bounds(reward, own, target):
    low, high = reward.bounds
    assert low <= reward(observe(own, target)) <= high
    assert reward(observe(own, own)) == 1.0


@named(ALL)
def test_what_is_missing_is_told_by_name(reward):
    where = f"{reward.name} cannot value the observation of arm 'a' on query 'q': "
    with pytest.raises(ValueError, match=where + "own_text .* is missing"):
        reward(observe(None))
    with pytest.raises(ValueError, match=where + "reference .* is missing"):
        reward(Observation("a", "q", "", 0, 0.0, own_text="x"))
    with pytest.raises(ValueError, match=re.escape("missing must be a finite number in [0, 1], got -3")):
        type(reward)(missing=-3)


@pytest.mark.parametrize("reward", [Bleu, ChrF])
def test_without_sacrebleu_its_extra_is_named(reward, monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(ImportError, match=r"sacrebleu.metrics is needed here .* '\.\[text\]'"):
        reward()


def test_semantic_similarity_is_a_cosine_and_0_of_zeros():
    class Angles:
        def encode(self, texts):
            return np.array([[math.cos(float(t)), math.sin(float(t))] if t else [0, 0] for t in texts], np.float32)

    reward = SemanticSimilarity(Angles())
    assert reward(observe("0", "1")) == pytest.approx(math.cos(1), abs=1e-6)
    assert reward(observe("0", str(math.pi))) == pytest.approx(-1, abs=1e-6)
    assert reward(observe("", "1")) == 0.0
    with pytest.raises(TypeError, match="encoder must have a method encode, or be a path to a class, got 3"):
        SemanticSimilarity(3)


def test_texts_of_stored_observations_are_encoded_once_all_together():
    class Counting(HashingEncoder):
        def encode(self, texts):
            asked.append(list(texts))
            return super().encode(texts)

    asked: list[list[str]] = []
    row = [observe("a b"), observe("c d"), observe(None), observe("the cat sat"), observe("a b")]
    row = [Observation.from_dict({**o.to_dict(), "arm": f"arm {i}"}) for i, o in enumerate(row)]
    reward = OnFailure(2 * SemanticSimilarity(Counting(), missing=0.0), -2.0)
    data = FullInformationData.from_observations(
        [Query(id="q", prompt="?")], [row], encoder=HashingEncoder(8), reward=reward
    )
    assert asked == [["a b", "the cat sat", "c d"]]
    one_by_one = [OnFailure(2 * SemanticSimilarity(HashingEncoder(), missing=0.0), -2.0)(o) for o in row]
    assert data.rewards[0].tolist() == pytest.approx(one_by_one)
