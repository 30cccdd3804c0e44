"""Drafts of a pool that stop where they are unsure."""

import pytest

from speculative.drafts.draft_model import DraftModel
from speculative.pools.pool import Pool
from tests.support.tiny_pool import POOL, plain_costs, save_pool


@pytest.fixture(scope="module")
def pool_file(tmp_path_factory):
    return save_pool(tmp_path_factory.mktemp("pool"))


def test_a_draft_may_stop_at_more_than_one_confidence_and_is_loaded_once(pool_file, monkeypatch):
    arms = "".join(
        f'\n[[arms]]\nkind = "draft_model"\nmodel = "small"\ndraft_length = 4\nmin_confidence = {least}\n'
        for least in ("0.25", '"auto"')
    )
    file = pool_file.with_name("unsure.toml")
    file.write_text(POOL + arms)
    asked = []

    def measured(model, name, drafts, folder):
        asked.append([(draft.name, draft.min_confidence) for draft in drafts if isinstance(draft, DraftModel)])
        return plain_costs(*(draft.name for draft in drafts), token_s=0.2)

    monkeypatch.setattr("speculative.pools.pool.cached_costs", measured)
    pool = Pool.load(file)
    own, fixed, auto = (draft for draft in pool.drafts if isinstance(draft, DraftModel))
    assert (fixed.name, fixed.min_confidence) == ("draft_small_confident_0.25", 0.25)
    assert auto.name == "draft_small_confident_auto"
    assert auto.min_confidence == pytest.approx((0.2 + (2.0 - 1.2) / 8) / 1.2)  # a draft token, and a wider pass
    assert own.model is fixed.model is auto.model
    assert asked == [[("draft_small", 0.0), ("draft_small_confident_0.25", 0.25), ("draft_small_confident_auto", 0.0)]]


def test_a_confidence_left_to_the_machine_needs_a_pool(pool_file):
    target = Pool.load(pool_file).target
    spec = DraftModel.Spec(model=str(pool_file.parent / "small"), min_confidence="auto")
    with pytest.raises(ValueError, match='min_confidence = "auto" needs a cost profile, which a pool has'):
        spec.build(target)
