"""What look-ups would have done is told from an answer's tokens alone, and is what replay and a real run say."""

import pytest

from arms import Query
from speculative import Pool
from speculative.collection.answer_tokens import AnswerTokens
from speculative.collection.look_ups import replay_look_ups, replayable_arms
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.sampling.sampling_params import SamplingParams
from speculative.targets.speculative_arm import SpeculativeArm
from tests.support.tiny_pool import plain_costs, save_pool

PROMPT = "count: one two one two one"


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool.load(save_pool(tmp_path_factory.mktemp("pool")))


def test_arms_whose_drafts_are_no_function_of_the_answer_are_left_out(pool):
    learns = SpeculativeArm(pool.target, SuffixDraft(learn=True, name="learns"), 4)
    fixed = SpeculativeArm(pool.target, SuffixDraft(name="fixed"), 4)
    names = [arm.name for arm in replayable_arms([*pool.arms, learns, fixed])]
    assert names == ["no_draft", "prompt_lookup_3", "prompt_lookup_7", fixed.name]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_rounds_are_those_of_a_real_run_with_each_arm_whichever_wrote_the_answer(pool, temperature):
    sampling = SamplingParams(temperature=temperature, seed=3, max_new_tokens=20)
    written = pool.generate(PROMPT, policy="draft_small_2", sampling=sampling)
    prompt_ids = pool.target.request(Query(id="p", prompt=PROMPT), sampling).token_ids
    answer = AnswerTokens(prompt_ids, written.token_ids, 20)
    arms = replayable_arms(pool.arms)
    costs = plain_costs(*(draft.name for draft in pool.drafts))
    seconds = replay_look_ups(arms, answer, costs)
    assert list(seconds) == ["no_draft", "prompt_lookup_3", "prompt_lookup_7"]
    assert seconds["no_draft"] == pytest.approx(costs.plain_s(len(prompt_ids), len(written.token_ids)))
    for arm in arms:
        run = pool.generate(PROMPT, policy=arm.name, sampling=sampling)
        assert run.token_ids == written.token_ids
        expected, n_done = costs.prefill_s(len(prompt_ids)), 1
        if arm.draft_length:
            expected += 0.001 * len(prompt_ids)  # read at its first round
        for proposed, accepted in zip(run.stats.proposed, run.stats.accepted, strict=True):
            expected += costs.verify_s(1 + proposed, len(prompt_ids) + n_done - 1) + 0.1 * proposed
            expected += 0.01 if arm.draft_length and n_done < 19 else 0.0  # no room for a draft token before the last
            n_done += accepted + 1
        assert seconds[arm.name] == pytest.approx(expected)
