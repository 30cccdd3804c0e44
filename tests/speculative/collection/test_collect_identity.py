"""What a collection was begun with: its arms, models and encoder, by what they are."""

import pytest
from safetensors.torch import load_file, save_file

from arms.fingerprint import fingerprint
from bandits import HashingEncoder
from speculative.collection.collect import PART_SIZE, collect
from speculative.pools.pool import Pool
from speculative.protocols.draft import Draft, DraftSession, Proposal
from speculative.targets.speculative_arm import SpeculativeArm
from tests.support.equal_data import assert_equal_data
from tests.support.tiny_pool import plain_costs, queries, save_pool

COSTS = plain_costs("prompt_lookup", "draft_small")
N = 2 * PART_SIZE + 3


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool.load(save_pool(tmp_path_factory.mktemp("pool")))


class StockPhrases(Draft):
    """Proposes the rest of a phrase that the text has begun."""

    name = "stock_phrases"

    def __init__(self, phrases):
        self.phrases = phrases

    def open(self, prompt, shared=None):
        return _PhraseSession(self.phrases)


class _PhraseSession(DraftSession):
    def __init__(self, phrases):
        self.phrases = phrases

    def propose(self, prefix, draft_length, sampler=None):
        return Proposal(next((p[1 : 1 + draft_length] for p in self.phrases if p[0] == prefix[-1]), []))


def test_ones_own_draft_and_encoder_count_by_what_they_are_not_by_name(pool, tmp_path):
    def collected(phrases, encoder):
        arms = [pool.arms["no_draft"], SpeculativeArm(pool.target, StockPhrases(phrases), 4)]
        return collect(queries(3), Pool(pool.target, arms, encoder=encoder), tmp_path, plain_costs("stock_phrases"))

    first = collected([[5, 6, 7, 8, 9]], HashingEncoder(32))
    assert_equal_data(collected([[5, 6, 7, 8, 9]], HashingEncoder(32)), first)
    with pytest.raises(ValueError, match="was begun with other encoder, arm stock_phrases_4; name another folder"):
        collected([[9, 8, 7]], HashingEncoder(64))
    with pytest.raises(ValueError, match="was begun with other arm stock_phrases_4; name"):
        collected([[9, 8, 7]], HashingEncoder(32))


def test_a_model_counts_by_its_weights_not_by_its_folder(tmp_path):
    file = save_pool(tmp_path)
    pool = Pool.load(file)
    collect(queries(2), pool, tmp_path / "data", COSTS)
    again = Pool.load(file)
    collect(queries(2), again, tmp_path / "data", COSTS)
    weights = load_file(tmp_path / "small" / "model.safetensors")
    save_file({name: 1.01 * tensor for name, tensor in weights.items()}, tmp_path / "small" / "model.safetensors")
    trained = Pool.load(file)
    with pytest.raises(ValueError, match="was begun with other arm draft_small_2;"):
        collect(queries(2), trained, tmp_path / "data", COSTS)


def test_fingerprints_do_not_change_with_use(pool, tmp_path):
    before = [fingerprint(thing) for thing in (pool.target, pool.encoder, *pool.drafts)]
    collect(queries(2), pool, tmp_path, COSTS)
    assert [fingerprint(thing) for thing in (pool.target, pool.encoder, *pool.drafts)] == before
