import random
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from speculative.drafts import DRAFTS
from speculative.drafts.draft_model import DraftModel
from speculative.drafts.early_exit import EarlyExit
from speculative.drafts.feature_head import FeatureHead
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.models.loading import load_decoder
from speculative.protocols.draft import Draft, DraftSession, Proposal
from speculative.protocols.draft_trace import DraftLogits
from speculative.testing import check_draft
from tests.support.heads import save_head
from tests.support.tiny_models import save_tiny

N_VOCAB = 24
TRIMMED = {"n_target_vocab": N_VOCAB, "target_ids": [0, 3, 5, 8, 23, 1, 10, 11, 2]}


def drafted(folder):
    return SimpleNamespace(name="tiny", model=load_decoder(str(folder)), tokenizer=None, n_tokens=None)


def built_in_drafts(folder):
    save_tiny("llama", folder / "full")
    save_tiny("qwen3", folder / "trimmed", vocab_size=9)
    save_tiny("llama", folder / "short", max_position_embeddings=12)
    suffix = SuffixDraft(learn=False)
    suffix.store.add(random.Random(1).choices(range(N_VOCAB), k=200))
    trimmed = load_decoder(str(folder / "trimmed"))
    return {
        "no_draft": NoDraft(),
        "prompt_lookup": PromptLookup(),
        "prompt_lookup_2": PromptLookup(2, min_ngram=2),
        "suffix": suffix,
        "early_exit": EarlyExit(load_decoder(str(folder / "full")), n_layers=1),
        "draft_model": DraftModel(load_decoder(str(folder / "full")), name="full", n_target_vocab=N_VOCAB),
        "draft_model_trimmed": DraftModel(trimmed, **TRIMMED, name="trimmed"),
        "early_exit_confident": EarlyExit(load_decoder(str(folder / "full")), n_layers=1, min_confidence=0.3),
        "draft_model_confident": DraftModel(trimmed, **TRIMMED, name="confident", min_confidence=0.2),
        "feature_head": FeatureHead.load(save_head("eagle3", folder / "eagle3").folder, drafted(folder / "full")),
        "feature_head_eagle": FeatureHead.load(save_head("eagle", folder / "eagle").folder, drafted(folder / "full")),
        "draft_model_short": DraftModel(load_decoder(str(folder / "short")), name="short", n_target_vocab=N_VOCAB),
    }


@pytest.fixture(scope="module")
def drafts(tmp_path_factory):
    return built_in_drafts(tmp_path_factory.mktemp("drafts"))


@pytest.mark.parametrize(
    "name",
    [
        "no_draft",
        "prompt_lookup",
        "prompt_lookup_2",
        "suffix",
        "early_exit",
        "draft_model",
        "draft_model_trimmed",
        "draft_model_confident",
        "early_exit_confident",
        "feature_head",
        "feature_head_eagle",
        "draft_model_short",
    ],
)
def test_every_draft_keeps_the_contract(drafts, name):
    check_draft(drafts[name], N_VOCAB)


def test_every_kind_of_draft_is_among_those_checked(drafts):
    assert {type(draft) for draft in drafts.values()} == set(DRAFTS.values())


class GoodDraft(Draft):
    """Repeats the last token; each broken draft below breaks one rule."""

    name = "good"

    def open(self, prompt, shared=None):
        return GoodSession(self)

    def tokens(self, prefix, draft_length):
        return [prefix[-1]] * draft_length


class GoodSession(DraftSession):
    def __init__(self, draft):
        self.draft = draft

    def propose(self, prefix, draft_length, sampler=None):
        return Proposal(self.draft.tokens(prefix, draft_length))


class Nameless(GoodDraft):
    name = " "


class NoContext(GoodDraft):
    max_positions = 0


class WrongSession(GoodDraft):
    def open(self, prompt, shared=None):
        return prompt


class ChangingThePrompt(GoodDraft):
    def open(self, prompt, shared=None):
        prompt.append(1)
        return super().open(prompt)


class Raising(GoodDraft):
    def tokens(self, prefix, draft_length):
        raise RuntimeError("out of ideas")


class TooLong(GoodDraft):
    def tokens(self, prefix, draft_length):
        return [1] * (draft_length + 1)


class BeyondTheVocabulary(GoodDraft):
    def tokens(self, prefix, draft_length):
        return [N_VOCAB]


class Tensors(GoodDraft):
    def tokens(self, prefix, draft_length):
        return [torch.tensor(1)]


class ChangingThePrefix(GoodDraft):
    def tokens(self, prefix, draft_length):
        prefix.append(1)
        return [1]


class Remembering(GoodDraft):
    n_asked = 0

    def tokens(self, prefix, draft_length):
        self.n_asked += 1
        return [self.n_asked % N_VOCAB]


class SharingAState(GoodDraft):
    """One list for all its sessions."""

    def __init__(self):
        self.seen = []

    def tokens(self, prefix, draft_length):
        self.seen = self.seen[: len(prefix) - 1] + list(prefix[len(self.seen) :])
        return self.seen[:draft_length]


class RenamingItself(GoodDraft):
    def tokens(self, prefix, draft_length):
        self.name = "better"
        return [1]


class Drawing(GoodDraft):
    def tokens(self, prefix, draft_length):
        self.draw()
        return [1]


class DrawingFromRandom(Drawing):
    draw = staticmethod(random.random)


class DrawingFromNumpy(Drawing):
    draw = staticmethod(np.random.rand)


class DrawingFromTorch(Drawing):
    draw = staticmethod(lambda: torch.rand(1))


class WrongType(GoodDraft):
    def open(self, prompt, shared=None):
        session = super().open(prompt)
        session.propose = lambda prefix, draft_length, sampler: [1]
        return session


class ReadingTooMuch(GoodDraft):
    def open(self, prompt, shared=None):
        session = super().open(prompt)
        session.propose = lambda prefix, draft_length, sampler: Proposal([1], n_read=len(prefix) + 1)
        return session


class ReadingForNaN(GoodDraft):
    def open(self, prompt, shared=None):
        session = super().open(prompt)
        session.propose = lambda prefix, draft_length, sampler: Proposal([1], read_s=float("nan"))
        return session


class Sampling(GoodDraft):
    """Picks by the sampler, as a draft with logits does; each draft below gets one thing of it wrong."""

    proposal_kind = "sampled"
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(N_VOCAB, generator=generator)

    def open(self, prompt, shared=None):
        session = super().open(prompt)
        session.propose = lambda prefix, n, sampler: self.sample(prefix, n, sampler)
        return session

    def sample(self, prefix, n, sampler):
        token_ids = [int(sampler.pick(self.logits, len(prefix) + i)) for i in range(n)]
        return Proposal(token_ids)


class CallingItselfCertain(Sampling):
    proposal_kind = "deterministic"


class OfNoKind(Sampling):
    proposal_kind = "any"


class DroppingWhatItDrew(Sampling):
    def sample(self, prefix, n, sampler):
        return Proposal(super().sample(prefix, n, sampler).token_ids[:-1])


class MatchingTooMuch(GoodDraft):
    def open(self, prompt, shared=None):
        session = super().open(prompt)
        session.match_length = lambda prefix: len(prefix) + 1
        return session


class MatchingMoreThanItSays(GoodDraft):
    def open(self, prompt, shared=None):
        session = super().open(prompt)
        session.match_length = lambda prefix: 1
        return session


class ClosingWithoutText(GoodDraft):
    def open(self, prompt, shared=None):
        session = super().open(prompt)
        session.close = lambda: None
        return session


class ChangingTheText(GoodDraft):
    def open(self, prompt, shared=None):
        session = super().open(prompt)
        session.close = lambda text: text.append(1)
        return session


GLOBAL = "draft 'good': a global generator of random, numpy or torch must not be used"


class WritingTooMuch(GoodDraft):
    def write(self, prompt, n_tokens, eos_ids=frozenset()):
        return [1] * (n_tokens + 1)


class WritingPastTheEnd(GoodDraft):
    def write(self, prompt, n_tokens, eos_ids=frozenset()):
        return [1] * n_tokens


class KnowingTheFirstToken(GoodDraft):
    def logits_along(self, prompt, new):
        return DraftLogits(torch.zeros(len(new), N_VOCAB))


class NamingNoColumns(GoodDraft):
    def logits_along(self, prompt, new):
        return DraftLogits(torch.zeros(len(new) - 1, 3), torch.tensor([1, 2]))


BROKEN_DRAFTS = {
    Nameless: "Nameless.name must be a string and not blank, got ' '",
    NoContext: "draft 'good': max_positions must be None or >= 1, got 0",
    WrongSession: "draft 'good': open must return a DraftSession",
    ChangingThePrompt: "draft 'good': open must leave the prompt unmodified",
    Raising: "draft_length 3, but raised RuntimeError('out of ideas')",
    TooLong: "draft 'good': token_ids must be a list of at most 3 ids, got [1, 1, 1, 1]",
    BeyondTheVocabulary: "draft 'good': token_ids must be ints in [0, 24), got [24]",
    Tensors: "draft 'good': token_ids must be ints in [0, 24), got [tensor(1)]",
    ChangingThePrefix: "draft 'good': propose must leave the prefix unmodified",
    Remembering: "must give the same proposal, whatever was asked before, got [1], from a new session [2]",
    SharingAState: "must give the same proposal, whatever was asked before",
    RenamingItself: "draft 'good': the name must not change, got 'better'",
    DrawingFromRandom: GLOBAL,
    DrawingFromNumpy: GLOBAL,
    DrawingFromTorch: GLOBAL,
    WrongType: "draft 'good': propose must return a Proposal, got [1]",
    ReadingTooMuch: "draft 'good': n_read must lie in [0, 1], got 2",
    ReadingForNaN: "draft 'good': read_s must be finite and >= 0, got nan",
    CallingItselfCertain: "draft 'good': a deterministic draft must propose the same under every sampler",
    OfNoKind: "draft 'good': proposal_kind must be 'deterministic' or 'sampled', got 'any'",
    DroppingWhatItDrew: "draft 'good': token_ids must be all that the sampler drew, (",
    MatchingTooMuch: "draft 'good': match_length must be None or lie in [0, 1], got 2",
    MatchingMoreThanItSays: "draft 'good': match_length must not exceed max_match_length, 0, got 1",
    ClosingWithoutText: "draft 'good': close must take the whole text, but raised TypeError",
    WritingTooMuch: "draft 'good': write must return None or at most 4 ids in [0, 24), got [1, 1, 1, 1, 1]",
    WritingPastTheEnd: "draft 'good': write must end with a token of eos_ids, got [1, 1, 1, 1]",
    KnowingTheFirstToken: "draft 'good': logits_along must have at most 5 rows, an id in [0, 24) a column, got 6",
    NamingNoColumns: "got 5 rows, 3 columns and 2 ids",
    ChangingTheText: "draft 'good': close must leave the text unmodified",
}


@pytest.mark.parametrize("draft", [GoodDraft(), Sampling()])
def test_a_good_draft_of_ones_own_passes(draft):
    check_draft(draft, N_VOCAB)


@pytest.mark.parametrize("broken", BROKEN_DRAFTS, ids=lambda broken: broken.__name__)
def test_every_broken_draft_is_caught(broken):
    with pytest.raises(AssertionError, match=re.escape(BROKEN_DRAFTS[broken])):
        check_draft(broken(), N_VOCAB)


def test_the_check_says_what_it_needs():
    with pytest.raises(AssertionError, match="a draft must be an instance of Draft, got 'draft'"):
        check_draft("draft", N_VOCAB)


def test_a_factory_is_checked_as_an_instance_is():
    check_draft(GoodDraft, N_VOCAB)
    with pytest.raises(AssertionError, match="token_ids must be a list of at most 3 ids"):
        check_draft(TooLong, N_VOCAB)
