"""A tiny target, and drafts that agree with it often, but not always."""

import random

import pytest
import torch

from speculative.drafts.draft_model import DraftModel
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.models.loading import load_decoder
from tests.support.tiny_models import N_VOCAB, make_tiny, save_tiny


def _like(target_seed, folder, noise, **changes):
    """A draft that agrees with the target often, but not always."""
    model = save_tiny("llama", folder, target_seed)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += noise * torch.randn(parameter.shape, generator=generator)
    for name, value in changes.items():
        setattr(model.config, name, value)
    model.save_pretrained(folder)
    return load_decoder(str(folder))


@pytest.fixture(scope="module")
def target_and_drafts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay")
    target = make_tiny("llama", folder / "target", 3).decoder
    like = _like(3, folder / "like", 0.02)
    short = _like(3, folder / "short", 0.02, max_position_embeddings=20)
    trimmed = make_tiny("llama", folder / "trimmed", 5, vocab_size=12).decoder
    target_ids = [0, *random.Random(0).sample(range(1, N_VOCAB), 11)]
    drafts = {
        "lookup": PromptLookup(),
        "lookup_long": PromptLookup(3, min_ngram=2),
        "suffix": SuffixDraft(),
        "like": DraftModel(like, name="like", n_target_vocab=N_VOCAB),
        "short": DraftModel(short, name="short", n_target_vocab=N_VOCAB),
        "unsure": DraftModel(like, name="unsure", n_target_vocab=N_VOCAB, min_confidence=0.5),
        "unsure_short": DraftModel(short, name="unsure_short", n_target_vocab=N_VOCAB, min_confidence=0.3),
        "trimmed": DraftModel(trimmed, name="trimmed", n_target_vocab=N_VOCAB, target_ids=target_ids),
    }
    return target, drafts
