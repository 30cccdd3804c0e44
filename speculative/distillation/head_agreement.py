"""How often a head proposes the target's next token, from stored states: without a pass of the target."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from speculative.distillation.agreement import DRAFT_LENGTH, MatchRate, rate_of
from speculative.distillation.head_training import HeadRecipe, HeadStudent
from speculative.distillation.training import Lesson
from speculative.models.decoder import Weights
from speculative.protocols.draft_trace import Counts


def head_match_rate(
    recipe: HeadRecipe, weights: Weights, embedding: torch.Tensor, lessons: Sequence[Lesson], seed: int = 0
) -> MatchRate:
    """Measure as `match_rate` does, of a head that is not loaded yet.

    What a draft proposes after a token that the target rejects counts for nothing, and before it draft tokens are the
    text's own; so the logits after 0, 1, ... foretold states along the text tell all that would be accepted.

    Args:
        recipe: what was trained.
        weights: the head's, by EAGLE-3's names.
        embedding: (v, d) the target's.
        lessons: held-out texts with their states.
        seed: of the bootstrap.
    """
    student = HeadStudent(recipe.config, len(recipe.state_layers))
    student.load_state_dict(dict(weights))
    return rate_of([*map(partial(_accepted, recipe, student, embedding), lessons)], seed)


@torch.inference_mode()
def _accepted(recipe: HeadRecipe, student: HeadStudent, embedding: torch.Tensor, lesson: Lesson) -> Counts:
    """Return how many draft tokens would be accepted after each new token; entry 0 is unused."""
    assert lesson.states is not None
    ids, n_new = lesson.token_ids, len(lesson.token_ids) - lesson.n_prompt
    with recipe.settings.computing():
        found = student(lesson.states[None, : len(ids) - 2].float(), embedding[ids[1:-1]][None].float(), DRAFT_LENGTH)
    best = torch.tensor(recipe.target_ids)[torch.stack([logits[0].argmax(-1) for logits in found])]
    right = (best == ids[2:]).numpy()  # (DRAFT_LENGTH, t - 2), entry (i, p): of token p + 2 as draft token i
    accepted = np.zeros(n_new, dtype=np.int32)
    for j in range(1, n_new):
        first, room = lesson.n_prompt + j - 2, min(DRAFT_LENGTH, n_new - j)
        run = right[np.arange(room), first + np.arange(room)]
        accepted[j] = room if run.all() else int(run.argmin())
    return accepted
