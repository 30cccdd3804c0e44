"""Make a small draft for a target and a domain, from the target's own text."""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from arms import Query
from speculative.corpus import TargetText, write_corpus
from speculative.distill_training import (
    DistillSettings,
    Lesson,
    choose_vocabulary,
    make_lesson,
    train_draft,
    transformers_config,
)
from speculative.drafts.draft_model import VOCABULARY_FILE, DraftModel
from speculative.engine.decoder import Decoder
from speculative.engine.decoder_config import DecoderConfig
from speculative.engine.loading import DEFAULT_CACHE, read_weights, resolve_model, tokenizer_fingerprint
from speculative.target import Target

LESSONS_PER_PART = 64
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class MatchRate:
    """Share of the target's next tokens that a draft guesses, over held-out texts.

    Attributes:
        value: mean over answer positions, the first one excepted, which the prefill yields.
        low, high: 95 % percentile bootstrap interval over texts.
        tokens_per_round: new tokens per round at draft length 4, replayed.
        n_texts: texts it was measured on.
    """

    value: float
    low: float
    high: float
    tokens_per_round: float
    n_texts: int


def distill(
    target: Target,
    train_queries: Sequence[Query],
    held_out_queries: Sequence[Query],
    folder: Path,
    settings: DistillSettings | None = None,
    *,
    work_folder: Path | None = None,
    on_progress: Progress | None = None,
) -> MatchRate:
    """Write the target's text, read its probabilities, train a draft on them, and save it with its measured match rate.

    Each of the three stages keeps its work in `work_folder`; a stopped run goes on from there.

    Args:
        target: the model to imitate; its `max_new_tokens` bounds a text.
        train_queries, held_out_queries: prompts of the domain, disjoint.
        folder: becomes the draft: config.json, model.safetensors (float16), draft_vocabulary.json, metrics.json.
        settings: of the training.
        work_folder: for corpus, lessons and checkpoint; `folder` with suffix `.work` by default.
        on_progress: told (stage, done, of how many).

    Raises:
        ValueError: if a prompt stands on both sides, or a side is empty.
    """
    settings = settings or DistillSettings()
    overlap = {query.text for query in train_queries} & {query.text for query in held_out_queries}
    if overlap or not train_queries or not held_out_queries:
        raise ValueError(
            f"training and held-out prompts must be disjoint and not empty, got {len(train_queries)}, {len(held_out_queries)} and {len(overlap)} in both"
        )
    work = work_folder or folder.with_suffix(".work")
    tell = on_progress or (lambda stage, done, total: None)
    sides = {"train": list(train_queries), "held_out": list(held_out_queries)}
    texts: dict[str, list[TargetText]] = {}
    for side, queries in sides.items():
        counter = _Counter(tell, f"writing {side} text", len(queries))
        texts[side] = write_corpus(target, queries, work / side, on_progress=counter.add)
    lessons = _lessons(target, texts["train"], work / "lessons", settings.n_teacher, tell)
    target_ids = choose_vocabulary(texts["train"], settings.n_vocab)
    config = draft_config(target.model.config, settings, len(target_ids))
    weights = train_draft(
        config,
        read_weights(resolve_model(target.name)),
        lessons,
        target_ids,
        settings,
        checkpoint=work / "checkpoint.pt",
        on_step=lambda step, total, loss: tell(f"training (loss {loss:.3f})", step, total),
    )
    save_draft(folder, target, config, weights, target_ids)
    rate = match_rate(DraftModel.load(str(folder), target.tokenizer, target.model.n_vocab), texts["held_out"])
    n_tokens = sum(len(text.new_ids) for text in texts["train"])
    metrics = {
        "match_rate": asdict(rate),
        "settings": asdict(settings),
        "target": target.name,
        "n_train_texts": len(texts["train"]),
        "n_train_tokens": n_tokens,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1))
    return rate


def draft_config(target: DecoderConfig, settings: DistillSettings, n_vocab: int) -> DecoderConfig:
    """The target's sizes with fewer layers and tokens."""
    return replace(target, n_layers=len(settings.layers), n_vocab=n_vocab, tied_head=True)


def save_draft(
    folder: Path, target: Target, config: DecoderConfig, weights: Mapping[str, torch.Tensor], target_ids: Sequence[int]
) -> None:
    """Write a draft's folder, whole or not at all; an older draft of that name is replaced."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / "config.json").write_text(json.dumps(transformers_config(config), indent=1))
    save_file({name: tensor.half().contiguous() for name, tensor in weights.items()}, partial / "model.safetensors")
    vocabulary = {"tokenizer": tokenizer_fingerprint(target.tokenizer), "target_ids": list(target_ids)}
    (partial / VOCABULARY_FILE).write_text(json.dumps(vocabulary))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def match_rate(draft: DraftModel, texts: Sequence[TargetText], seed: int = 0) -> MatchRate:
    """Measure how often a draft guesses the target's next token along its texts."""
    hits, sizes, rounds = [], [], []
    for text in texts:
        _, accepted = draft.accepted_lengths(text.prompt_ids, text.new_ids, 4)
        hits.append(int((accepted[1:] > 0).sum()))
        sizes.append(len(accepted) - 1)
        rounds.append(_n_rounds(accepted))
    counts = np.array([hits, sizes], dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(texts), (2000, len(texts)))
    low, high = np.quantile(counts[0][draws].sum(1) / np.maximum(1, counts[1][draws].sum(1)), (0.025, 0.975))
    value = counts[0].sum() / max(1.0, counts[1].sum())
    return MatchRate(float(value), float(low), float(high), sum(sizes) / max(1, sum(rounds)), len(texts))


def _n_rounds(accepted: np.ndarray) -> int:
    n_done, n_rounds = 1, 0
    while n_done < len(accepted):
        n_done += int(accepted[n_done]) + 1
        n_rounds += 1
    return n_rounds


def _lessons(target: Target, texts: Sequence[TargetText], folder: Path, n_teacher: int, tell: Progress) -> list[Lesson]:
    """The target's probabilities along every text; parts already on disk are read."""
    folder.mkdir(parents=True, exist_ok=True)
    lessons: list[Lesson] = []
    for begin in range(0, len(texts), LESSONS_PER_PART):
        part, path = (
            texts[begin : begin + LESSONS_PER_PART],
            folder / f"part-{begin // LESSONS_PER_PART:05d}.safetensors",
        )
        if path.is_file():
            stored = load_file(path)
        else:
            stored = {}
            for i, text in enumerate(part):
                lesson = make_lesson(target.model, text, n_teacher)
                stored |= {
                    f"{i}.ids": lesson.token_ids,
                    f"{i}.top_ids": lesson.top_ids.int(),
                    f"{i}.top_probs": lesson.top_probs.half(),
                }
            save_file(stored, path.with_suffix(".partial"))
            os.replace(path.with_suffix(".partial"), path)
        for i, text in enumerate(part):
            lessons.append(
                Lesson(
                    stored[f"{i}.ids"],
                    stored[f"{i}.top_ids"].long(),
                    stored[f"{i}.top_probs"].float(),
                    len(text.prompt_ids),
                )
            )
        tell("reading the target's probabilities", len(lessons), len(texts))
    return lessons


class _Counter:
    """Turns 'n more' into 'so many of so many'."""

    def __init__(self, tell: Progress, stage: str, total: int) -> None:
        self._tell, self._stage, self._total, self._done = tell, stage, total, 0

    def add(self, n: int) -> None:
        self._done += n
        self._tell(self._stage, self._done, self._total)
