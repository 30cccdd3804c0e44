import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import replay
from speculative.collection.trace import Trace
from speculative.drafts.draft_model import VocabularyMismatchError
from speculative.drafts.feature_head import FeatureHead
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.measuring.cost_measurement import Effort, measure_costs
from speculative.models.head_files import load_head
from speculative.models.loading import load_decoder
from speculative.protocols.draft import Draft, DraftSession
from speculative.protocols.request import Request
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import GREEDY
from tests.support.hard_cases import RandomSelector
from tests.support.heads import foretold, save_head
from tests.support.tiny_models import N_VOCAB, Arm, bounded, tokenizer_of
from tests.support.tiny_pool import plain_costs

FEW = 5  # tokens, so that a random head is right now and then
FORMS = ("eagle", "eagle3")


@pytest.fixture(scope="module")
def few(tiny):
    return tiny("llama", seed=31, vocab_size=FEW)


@pytest.fixture(scope="module")
def heads(few, tmp_path_factory):
    found = {}
    for form in FORMS:
        saved = save_head(form, tmp_path_factory.mktemp(form), n_vocab=FEW)
        head = load_head(saved.folder, few.decoder)
        found[form] = FeatureHead(head, few.decoder, name=form)
        found[f"{form}_unsure"] = FeatureHead(head, few.decoder, name=f"{form}_unsure", min_confidence=0.3)
    return found


class Recording(Draft):
    """Keeps what another draft was shown and proposed; only that draft's promises reach the engine."""

    def __init__(self, draft):
        self.draft, self.name, self.asked = draft, draft.name, []
        self.state_layers, self.max_positions = draft.state_layers, draft.max_positions

    def open(self, prompt, shared=None):
        return RecordingSession(self, self.draft.open(prompt, shared))


class RecordingSession(DraftSession):
    def __init__(self, recording, session):
        self.recording, self.session = recording, session

    def propose(self, prefix, draft_length, sampler=GREEDY):
        proposal = self.session.propose(prefix, draft_length, sampler)
        self.recording.asked.append((list(prefix), draft_length, proposal))
        return proposal


def requests(params=SamplingParams()):  # noqa: B008 (frozen)
    prompts = [(3, 1, 4, 1, 2), (2,), (0, 1, 0, 1, 0, 1, 0, 1, 0), (4, 4, 3), (1, 2, 3, 4, 0, 1)]
    return [
        Request(f"q{i}", prompt, 6 + 5 * i % 17, eos_ids=(3,) if i == 3 else (), sampling=params)
        for i, prompt in enumerate(prompts)
    ]


@pytest.mark.parametrize("form", ["eagle", "eagle3"])
@bounded(max_examples=10)
@given(
    text=st.lists(st.integers(0, N_VOCAB - 1), min_size=2, max_size=16),
    growth=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=5),
)
def test_a_session_proposes_what_the_plainest_loop_foretells_however_it_came_there(
    tiny, tmp_path_factory, form, text, growth
):
    target = tiny("llama")
    saved = save_head(form, tmp_path_factory.mktemp(form))
    draft = FeatureHead(load_head(saved.folder, target.decoder), target.decoder, name=form)
    session, prefix = draft.open(text[:1]), text[:2]
    for n_new, draft_length in growth:
        proposal = session.propose(prefix, draft_length)
        assert proposal.token_ids == foretold(saved, target.reference, prefix, draft_length)[0]
        assert 1 <= proposal.n_read < len(prefix)
        prefix = prefix + proposal.token_ids[: n_new - 1] + text[1 : 1 + n_new]


@pytest.mark.parametrize("form", [*FORMS, "eagle_unsure", "eagle3_unsure"])
@pytest.mark.parametrize("params", [SamplingParams(), SamplingParams(1.0, seed=5)], ids=["greedy", "coupled"])
@pytest.mark.parametrize("seed", [0, 1])
def test_in_an_engine_it_proposes_what_it_would_alone_and_the_text_is_the_targets(few, heads, form, params, seed):
    """Batched rows that move, idle rounds, rejected tokens, short prefill chunks, ends inside a round."""
    head = Recording(heads[form])
    arms = [Arm(NoDraft(), 0), Arm(head, 4), Arm(head, 2), Arm(PromptLookup(), 3)]
    settings = EngineSettings(max_batch=3, prefill_chunk=3)
    plain = generate(Engine(few.decoder, arms[:1], settings=settings), requests(params))
    found = generate(Engine(few.decoder, arms, RandomSelector(4, seed), settings=settings), requests(params))
    assert [text.token_ids for text in found] == [text.token_ids for text in plain]
    assert all(text.stats.faults == [] for text in found)
    assert sum(sum(text.stats.accepted) for text in found) > 0
    if params.greedy:
        for prefix, draft_length, proposal in head.asked:
            assert proposal.token_ids == heads[form].open(prefix).propose(prefix, draft_length).token_ids


def test_a_head_that_was_idle_reads_the_states_that_were_kept(few, heads):
    head = Recording(heads["eagle3"])
    generate(Engine(few.decoder, [Arm(NoDraft(), 0), Arm(head, 2)], RandomSelector(2, 0)), requests()[-1:])
    shown = [0, *(len(prefix) - 1 for prefix, _, _ in head.asked)]
    assert [proposal.n_read for _, _, proposal in head.asked] == np.diff(shown).tolist()


class Spoiled:
    """The target, every row of whose passes is spoiled by a draft token 2."""

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        return getattr(self.model, name)

    def forward(self, batch, cache, logit_rows=None):
        output = self.model.forward(batch, cache, logit_rows)
        if logit_rows is None and 2 in batch.token_ids.tolist()[1:]:
            return replace(output, logits=output.logits * math.nan, hidden=output.hidden * math.nan)
        return output


def test_states_are_those_of_the_tokens_read_again_where_a_draft_token_spoiled_a_pass(few, heads):
    head = Recording(heads["eagle"])
    arms = [Arm(head, 3), Arm(PromptLookup(), 4), Arm(NoDraft(), 0)]
    n_faults = 0
    for seed in range(4):
        for text in generate(Engine(Spoiled(few.decoder), arms, RandomSelector(3, seed)), requests()):
            n_faults += len(text.stats.faults)
    assert n_faults > 0
    for prefix, draft_length, proposal in head.asked:
        assert proposal.token_ids == heads["eagle"].open(prefix).propose(prefix, draft_length).token_ids


def test_an_engine_keeps_no_states_that_no_draft_asks_for(few, heads):
    engine = Engine(few.decoder, [Arm(PromptLookup(), 3), Arm(NoDraft(), 0)])
    assert engine.target is few.decoder
    engine.submit(requests()[0])
    engine.step()
    assert engine.running[0].states is None
    assert Engine(few.decoder, [Arm(heads["eagle"], 2)]).target is few.decoder  # the last states come anyway
    assert Engine(few.decoder, [Arm(heads["eagle3"], 2)]).target is not few.decoder


def test_states_of_inner_layers_need_the_own_decoder(few, heads):
    with pytest.raises(ValueError, match=r"asks for the states of layers \[0, 1\]: only draftpick's own decoder"):
        Engine(Spoiled(few.decoder), [Arm(heads["eagle3"], 2)])


@pytest.mark.parametrize("form", FORMS)
@bounded(max_examples=8)
@given(
    prompt=st.lists(st.integers(0, FEW - 1), min_size=1, max_size=8).map(tuple),
    length=st.integers(1, 5),
    unsure=st.booleans(),
)
def test_its_trace_is_that_of_asking_alone_and_replays_real_rounds(few, heads, form, prompt, length, unsure):
    draft = heads[f"{form}_unsure" if unsure else form]
    [plain] = generate(Engine(few.decoder, [Arm(NoDraft(), 0)]), [Request("q", prompt, 12)])
    found, slow = draft.trace(prompt, plain.token_ids, length), Draft.trace(draft, prompt, plain.token_ids, length)
    np.testing.assert_array_equal(found.proposed, slow.proposed)
    np.testing.assert_array_equal(found.accepted, slow.accepted)
    assert found.stops == unsure
    assert ((found.confidences > 0) == (np.arange(12) > 0)).all()
    trace = Trace("q", None, prompt, plain.token_ids, 12, length, np.zeros(1), 0.0, {draft.name: found})
    played = replay(trace, ArmPlan.fixed(draft.name, length), plain_costs(draft.name))
    [real] = generate(Engine(few.decoder, [Arm(draft, length)]), [Request("q", prompt, 12)])
    assert (played.proposed, played.accepted) == (tuple(real.stats.proposed), tuple(real.stats.accepted))


def test_its_rounds_are_timed_on_states_that_cost_nothing(few, heads):
    head = Recording(heads["eagle3"])
    costs = measure_costs(few.decoder, [head, heads["eagle_unsure"]], effort=Effort((1, 2), (8,), (8,), 2))
    assert set(costs.drafts) == {"eagle3", "eagle_unsure"}
    assert len(head.asked) == 9
    assert all(len(proposal.token_ids) == draft_length for _, draft_length, proposal in head.asked)


def test_ids_of_padding_are_never_proposed(few, heads):
    for form in FORMS:
        draft = FeatureHead(heads[form].head, few.decoder, name="x", n_target_vocab=3)
        for prefix in ([0, 1, 2, 1], [4, 3, 2, 1], [2, 2, 2]):
            assert max(draft.open(prefix).propose(prefix, 6).token_ids) < 3
    with pytest.raises(ValueError, match=r"n_target_vocab must be"):
        FeatureHead(heads["eagle"].head, few.decoder, name="x", n_target_vocab=6)


def test_a_spec_loads_a_head_for_its_target_and_refuses_another(few, tmp_path):
    folder = save_head("eagle3", tmp_path / "own", n_vocab=FEW).folder
    target = SimpleNamespace(
        name="tiny", model=few.decoder, tokenizer=tokenizer_of([f"w{i}" for i in range(FEW)]), n_tokens=None
    )
    draft = FeatureHead.Spec(model=str(folder), min_confidence=0.2).build(target)
    assert (draft.name, draft.min_confidence) == ("feature_head_own_confident_0.2", 0.2)
    (folder / "draft_vocabulary.json").write_text('{"tokenizer": "another", "target_ids": [0]}')
    with pytest.raises(VocabularyMismatchError, match="was made for tokenizer another"):
        FeatureHead.Spec(model=str(folder)).build(target)
    with pytest.raises(
        ValueError, match="feature_head needs a target that draftpick's own decoder computes, not 'tiny'"
    ):
        FeatureHead.Spec(model=str(folder)).build(SimpleNamespace(**vars(target) | {"model": object()}))


def test_heads_differ_by_what_they_are(few, heads):
    assert len({draft.fingerprint() for draft in heads.values()}) == len(heads)


def test_a_head_with_broken_weights_says_so(few, tmp_path):
    broken = load_decoder(str(few.folder))
    broken.embedding.fill_(math.nan)
    head = load_head(save_head("eagle3", tmp_path, n_vocab=FEW).folder, broken)
    [text] = generate(Engine(few.decoder, [Arm(FeatureHead(head, few.decoder, name="x"), 2)]), requests()[:1])
    assert "its logits hold NaN" in text.stats.faults[0].reason
