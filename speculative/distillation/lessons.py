"""What the target thinks along its own text, on disk: the likeliest next tokens, and the states that heads read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from arms.atomic_file import atomic_path
from arms.fingerprint import digest
from speculative.distillation.corpus import Progress, TargetText
from speculative.distillation.training import Lesson, make_lesson
from speculative.models.decoder import Decoder

LESSONS_PER_PART = 64
_DIGEST = "digest"


def read_lessons(
    model: Decoder, texts: Sequence[TargetText], folder: Path, n_teacher: int, tell: Progress
) -> list[Lesson]:
    """Return the target's probabilities along every text; parts already on disk are read.

    Args:
        model: the target; what it gives beside logits, see `Decoder.tapping`, is kept too.
        texts: its own.
        folder: holds `part-00000.safetensors` and so on.
        n_teacher: likeliest tokens kept a position.
        tell: called with (stage, done, of how many).

    Raises:
        ValueError: if a part is damaged, or holds what was read along other texts or from another model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lessons: list[Lesson] = []
    for begin in range(0, len(texts), LESSONS_PER_PART):
        part, path = (
            texts[begin : begin + LESSONS_PER_PART],
            folder / f"part-{begin // LESSONS_PER_PART:05d}.safetensors",
        )
        if path.is_file():
            stored = _load_part(path)
        else:
            stored = {}
            for i, text in enumerate(part):
                lesson = make_lesson(model, text, n_teacher)
                stored |= {
                    f"{i}.ids": lesson.token_ids,
                    f"{i}.top_ids": lesson.top_ids.int(),
                    f"{i}.top_probs": lesson.top_probs.half(),
                }
                if lesson.states is not None:
                    stored[f"{i}.states"] = lesson.states
            with atomic_path(path) as partial:
                save_file(stored, partial, {_DIGEST: digest(_arrays(stored))})
        for i, text in enumerate(part):
            _check_fits(path, model, text, stored, i)
            lessons.append(
                Lesson(
                    stored[f"{i}.ids"],
                    stored[f"{i}.top_ids"].long(),
                    stored[f"{i}.top_probs"].float(),
                    len(text.prompt_ids),
                    stored.get(f"{i}.states"),
                )
            )
        tell("reading the target's probabilities", len(lessons), len(texts))
    return lessons


def _load_part(path: Path) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
            written = (file.metadata() or {}).get(_DIGEST)
        if written != digest(_arrays(stored)):
            raise ValueError("its tensors are not those that were written")
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it and run again") from error
    return stored


def _check_fits(path: Path, model: Decoder, text: TargetText, stored: Mapping[str, torch.Tensor], i: int) -> None:
    """Raise an error unless what was read along text i of a part is what `model` gives along that text."""
    ids, states = stored.get(f"{i}.ids"), stored.get(f"{i}.states")
    if ids is None or ids.tolist() != [*text.prompt_ids, *text.new_ids]:
        raise ValueError(f"{path} was read along another text than {text.id!r}: delete it and run again")
    wanted = (len(ids) - 1, len(model.tapped_layers) * model.n_features) if model.tapped_layers else None
    found = None if states is None else tuple(states.shape)
    if found != wanted:
        raise ValueError(
            f"{path} must hold states of shape {wanted} along {text.id!r}, those of this target, and holds {found}: "
            "delete it and run again"
        )


def _arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensors[name].numpy() for name in sorted(tensors)}
