"""Prompts, drafts and a selector that would break a careless engine."""

import random
from dataclasses import dataclass, field

import torch

from speculative.drafts.draft_model import DraftModel
from speculative.drafts.early_exit import EarlyExit
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.models.loading import load_decoder
from speculative.protocols.selector import Selector
from speculative.protocols.token_batch import TokenBatch
from tests.support.tiny_models import N_VOCAB, ScriptedDraft, greedy_text

TEXT_LENGTH = 24


def _prompts():
    rng = random.Random(0)
    plain = [tuple(rng.randrange(N_VOCAB) for _ in range(1 + i % 7)) for i in range(8)]
    repeating = [tuple(rng.choices((3, 5, 8), k=9 + i)) for i in range(4)]
    return plain + repeating


PROMPTS = _prompts()


@dataclass
class RandomSelector(Selector):
    """Any arm in any round; remembers what it was told."""

    n_arms: int
    seed: int
    started: list = field(default_factory=list)
    finished: list = field(default_factory=list)
    observations: list = field(default_factory=list)
    chosen: list = field(default_factory=list)

    def __post_init__(self):
        self.rng = random.Random(self.seed)

    def start(self, query):
        self.started.append(query)

    def select(self, rounds):
        choices = [self.rng.randrange(self.n_arms) for _ in rounds]
        self.chosen += [(r.request_id, choice) for r, choice in zip(rounds, choices, strict=True)]
        return choices

    def observe(self, observations):
        self.observations += observations

    def finish(self, request_id):
        self.finished.append(request_id)


DRAFT_NAMES = [
    "no_draft",
    "early_exit",
    "suffix",
    "lookup_1_3",
    "lookup_2_2",
    "lookup_1_1",
    "model_itself",
    "model_random",
    "model_trimmed",
    "model_padded",
    "model_fewer_ids",
    "model_short",
    "model_nan",
    "right",
    "wrong",
    "any_length",
    "empty",
    "eos_inside",
]


def every_draft(tiny, target):
    """Every draft there is, and those that would break a careless engine."""
    truth = {prompt: (*prompt, *greedy_text(target.reference, prompt, 2 * TEXT_LENGTH)) for prompt in PROMPTS}

    def right(prefix, draft_length):
        text = next(t for p, t in truth.items() if t[: len(prefix)] == tuple(prefix) and len(p) <= len(prefix))
        return list(text[len(prefix) : len(prefix) + draft_length])

    def wrong(prefix, draft_length):
        return [(token + 1) % N_VOCAB for token in right(prefix, draft_length)]

    def any_length(prefix, draft_length):
        rng = random.Random(len(prefix) + sum(prefix))
        n_right, n = rng.randint(0, draft_length), rng.randint(0, draft_length)
        return (right(prefix, n_right) + wrong(prefix, draft_length)[n_right:])[:n]

    def eos_inside(prefix, draft_length):
        proposed = right(prefix, draft_length)
        proposed[len(proposed) // 2] = len(prefix) % N_VOCAB
        return proposed

    trimmed = tiny("llama", seed=11, vocab_size=9)
    broken = load_decoder(str(tiny("llama", seed=12).folder))
    broken.embedding.fill_(float("nan"))
    suffix = SuffixDraft(learn=False)
    for text in list(truth.values())[::2]:
        suffix.store.add(text)
    return {
        "no_draft": NoDraft(),
        "suffix": suffix,
        "lookup_1_3": PromptLookup(3),
        "lookup_2_2": PromptLookup(2, min_ngram=2),
        "lookup_1_1": PromptLookup(1, min_ngram=1),
        "model_itself": DraftModel(target.decoder, name="itself", n_target_vocab=N_VOCAB),
        "model_random": DraftModel(tiny("qwen2", seed=5).decoder, name="random", n_target_vocab=N_VOCAB),
        "model_trimmed": DraftModel(
            trimmed.decoder, name="trimmed", n_target_vocab=N_VOCAB, target_ids=[0, 3, 5, 8, 23, 1, 10, 11, 2]
        ),
        "model_padded": DraftModel(tiny("llama", seed=6, vocab_size=32).decoder, name="padded", n_target_vocab=N_VOCAB),
        "model_fewer_ids": DraftModel(
            tiny("llama", seed=7, vocab_size=20).decoder, name="fewer", n_target_vocab=N_VOCAB
        ),
        "early_exit": EarlyExit(target.decoder, n_layers=1),
        "model_short": DraftModel(
            tiny("llama", 8, max_position_embeddings=14).decoder, name="short", n_target_vocab=N_VOCAB
        ),
        "model_nan": DraftModel(broken, name="nan", n_target_vocab=N_VOCAB),
        "right": ScriptedDraft("right", right),
        "wrong": ScriptedDraft("wrong", wrong),
        "any_length": ScriptedDraft("any_length", any_length),
        "empty": ScriptedDraft("empty", lambda prefix, draft_length: []),
        "eos_inside": ScriptedDraft("eos_inside", eos_inside),
    }


def audit(engine, decoder):
    """Each row of the cache equals a fresh prefill of its committed tokens, or of what was read of its prompt."""
    held = {state.row: state.tokens[:-1] for state in engine.running}
    held |= {reading.state.row: reading.state.tokens[: reading.n_read] for reading in engine.reading}
    assert [state.row for state in engine.running] == [*range(len(engine.running))]
    assert sorted(held) == [*range(len(held))]
    for row, tokens in held.items():
        committed = torch.tensor(tokens)
        assert engine.cache.lengths[row] == len(committed)
        if len(committed) == 0:
            continue
        fresh = decoder.new_cache(1)
        decoder.forward(TokenBatch(committed, [len(committed)]), fresh, [0])
        torch.testing.assert_close(engine.cache.held(row), fresh.held(0), atol=1e-5, rtol=0.0)
    assert engine.cache.lengths[len(held) :] == [0] * (engine.cache.n_rows - len(held))
