"""A proposer for vLLM drafts for each row as its policy says, wherever the row's request has moved.

The runner here is a fake with the interface of vLLM 0.32's V1 runner: it keeps the batch's tokens in one array,
verifies what is proposed, moves the last row into the place of one that ends, and names no request.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from bandits import EpsilonGreedy, LinUCB
from speculative.collection.arm_plan import NO_DRAFT, ArmPlan
from speculative.rounds import RecordLayout
from speculative.serving.vllm_proposer import Proposer
from speculative.serving.vllm_rows import RowTracker

LONGEST, N_DRAFT = 64, 4
PLANS = {
    "no_draft": NO_DRAFT,
    "prompt_lookup_2": ArmPlan.fixed("prompt_lookup", 2),
    "suffix_4": ArmPlan.fixed("suffix", 4),
}


def config(policy, most=N_DRAFT, **more):
    return SimpleNamespace(
        speculative_config=SimpleNamespace(num_speculative_tokens=most),
        model_config=SimpleNamespace(max_model_len=LONGEST),
        additional_config={"draftpick": {"policy": str(policy), **more}},
    )


def saved(folder, plans=PLANS, epsilon=1.0):
    layout = RecordLayout(plans)
    policy = EpsilonGreedy(LinUCB(), epsilon=epsilon)
    policy.start(list(plans), len(layout.names), layout.mark)
    return policy.save(folder / "rounds.safetensors")


class FakeRunner:
    """vLLM's V1 runner, as far as a proposer sees it, with a target whose text repeats with a period of its own."""

    def __init__(self, proposer, prompts, n_new, n_rows):
        self.proposer, self.n_new = proposer, n_new
        self.waiting = [(list(prompt), period) for prompt, period in prompts]
        self.rows, self.texts = [], []
        self.token_ids, self.lengths = np.zeros((n_rows, LONGEST), np.int32), np.zeros(n_rows, np.int32)
        self.n_rounds = 0

    @staticmethod
    def next_token(text, period):
        return text[-period] if len(text) % 7 else (text[-1] + 1) % 20

    def run(self):
        while self.waiting or self.rows:
            while self.waiting and len(self.rows) < len(self.lengths):
                prompt, period = self.waiting.pop(0)
                self.rows.append({"text": prompt, "period": period, "n_prompt": len(prompt), "draft": [], "read": 0})
            self.step()
        return self.texts

    def step(self):
        self.n_rounds += 1
        sampled = [self.verify(row) for row in self.rows]
        for i, row in enumerate(self.rows):
            self.token_ids[i, : len(row["text"])], self.lengths[i] = row["text"], len(row["text"])
        drafts = self.proposer.propose(sampled, self.lengths, self.token_ids, slot_mappings=None)
        assert len(drafts) == len(sampled)
        for row, draft, given in zip(self.rows, drafts, sampled, strict=True):
            assert len(draft) <= N_DRAFT
            assert given or not draft
            assert len(row["text"]) + len(draft) < LONGEST
            row["draft"] = draft
        self.end_rows()

    def verify(self, row):
        if row["read"] < row["n_prompt"]:
            row["read"] += 5  # a prompt is read in chunks
            if row["read"] < row["n_prompt"]:
                return []
        given = []
        for drafted in [*row["draft"], None]:
            given.append(self.next_token(row["text"], row["period"]))
            row["text"].append(given[-1])
            if given[-1] != drafted:
                break
        return given

    def end_rows(self):
        for i in reversed(range(len(self.rows))):
            row = self.rows[i]
            if len(row["text"]) - row["n_prompt"] >= self.n_new:
                self.texts.append((row["text"][: row["n_prompt"]], row["text"][: row["n_prompt"] + self.n_new]))
                self.rows[i] = self.rows[-1]
                self.rows.pop()


def prompts(n=7):
    rng = np.random.default_rng(0)
    made = [(rng.integers(20, size=int(rng.integers(4, 12))).tolist(), int(rng.integers(1, 4))) for _ in range(n)]
    return [*made, made[0]]  # two requests of one text


def plain(prompt, period, n_new):
    text = list(prompt)
    for _ in range(n_new):
        text.append(FakeRunner.next_token(text, period))
    return text


def test_texts_are_the_targets_own_and_drafts_save_rounds(tmp_path):
    proposer = Proposer(config(saved(tmp_path)))
    proposer.load_model(None)
    runner = FakeRunner(proposer, prompts(), n_new=30, n_rows=3)
    texts = runner.run()
    assert sorted(text for _, text in texts) == sorted(plain(*one, 30) for one in prompts())
    assert set(proposer.chosen) == set(PLANS)
    silent = FakeRunner(Proposer(config(saved(tmp_path, {"no_draft": NO_DRAFT}))), prompts(), n_new=30, n_rows=3)
    silent.run()
    assert runner.n_rounds < silent.n_rounds


class KeepsRounds:
    """Proposes nothing, and keeps what the tracker says."""

    def __init__(self):
        self.tracker, self.begun, self.ended = RowTracker(), [], []

    def propose(self, sampled, lengths, token_ids, slot_mappings):
        seen = self.tracker.take(sampled, lengths, token_ids)
        self.begun += sorted(seen.begun)
        self.ended += [request.text for request in seen.ended]
        for i, (request, given) in enumerate(zip(seen.rows, sampled, strict=True)):
            assert (request is None) == (not given)
            assert request is None or request.text == token_ids[i, : lengths[i]].tolist()
        return [[] for _ in sampled]


def test_every_request_is_begun_once_and_told_when_it_ends_wherever_it_moved():
    keeper = KeepsRounds()
    texts = FakeRunner(keeper, prompts(), n_new=20, n_rows=3).run()
    keeper.propose([], [], np.zeros((0, LONGEST), np.int32), None)
    assert len(set(keeper.begun)) == len(keeper.begun) == len(prompts())
    assert sorted(keeper.ended) == sorted(text for _, text in texts)


def test_the_same_seed_proposes_the_same(tmp_path):
    first, again, other = (Proposer(config(saved(tmp_path), seed=seed)) for seed in (1, 1, 2))
    for proposer in (first, again, other):
        FakeRunner(proposer, prompts(), n_new=20, n_rows=3).run()
    assert first.chosen == again.chosen != other.chosen


def test_a_policy_learned_from_records_chooses_by_them(tmp_path):
    layout = RecordLayout(PLANS)
    rng = np.random.default_rng(0)
    contexts = rng.normal(size=(300, len(layout.names))).astype(np.float32)
    contexts[:, 0] = 1
    at = layout.names.index("suffix.match_is_0")
    contexts[:, at] = np.arange(300) % 2
    policy = LinUCB(ucb_width=0.0, arm_names=list(PLANS))
    policy.start(list(PLANS), len(layout.names), layout.mark)
    for action, name in enumerate(PLANS):
        found = contexts[:, at] == 0
        rewards = np.where(found, action == 2, action == 0).astype(float)
        policy.update(contexts, [name] * 300, rewards)
    proposer = Proposer(config(policy.save(tmp_path / "p.safetensors")))
    row = np.zeros((1, LONGEST), np.int32)
    row[0, :9] = [1, 2, 3, 4, 5, 6, 1, 2, 3]
    assert proposer.propose([[3]], [9], row) == [[4, 5, 6, 1]]
    row[0, 9] = 9  # never seen before: nothing matches
    assert proposer.propose([[9]], [10], row) == [[]]
    assert proposer.chosen == {"suffix_4": 1, "no_draft": 1}


@pytest.mark.parametrize(
    ("plans", "most", "message"),
    [
        (PLANS, 3, "arm 'suffix_4' proposes 4 tokens: start vLLM with num_speculative_tokens >= 4"),
        ({"no_draft": NO_DRAFT, "draft_2": ArmPlan.fixed("draft", 2)}, 4, "got 'draft_2'"),
    ],
)
def test_a_policy_that_cannot_serve_is_refused(tmp_path, plans, most, message):
    with pytest.raises(ValueError, match=message):
        Proposer(config(saved(tmp_path, plans), most))


@pytest.mark.parametrize("additional", [None, {}, {"draftpick": 3}, {"draftpick": {}}, {"draftpick": {"police": "x"}}])
def test_missing_settings_are_told_by_name(additional):
    wrong = SimpleNamespace(additional_config=additional)
    with pytest.raises(ValueError, match="additional_config"):
        Proposer(wrong)


def test_a_policy_of_a_query_is_refused(tmp_path):
    policy = LinUCB(arm_names=list(PLANS))
    policy.start(list(PLANS), 8, "hashing_8")
    with pytest.raises(ValueError, match="fit it on theirs"):
        Proposer(config(policy.save(tmp_path / "p.safetensors")))
