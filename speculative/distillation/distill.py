"""Make a small draft for a target and a domain, from the target's own text."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from arms import Query
from arms.atomic_file import atomic_path
from arms.fingerprint import digest
from arms.folder_lock import FolderLock
from arms.manifest import check_manifest, digest_queries
from bandits import Bootstrap, Estimate
from speculative.distillation.corpus import TargetText, write_corpus
from speculative.distillation.draft_folder import check_draft_folder, save_draft, save_head
from speculative.distillation.head_training import HeadRecipe, train_head
from speculative.distillation.training import (
    DistillSettings,
    Lesson,
    Recipe,
    choose_vocabulary,
    make_lesson,
    train_draft,
)
from speculative.drafts.draft_model import DraftModel
from speculative.drafts.feature_head import FeatureHead
from speculative.models.config import DecoderConfig
from speculative.models.decoder import Decoder
from speculative.models.feature_head import FeatureHeadModel, HeadConfig
from speculative.models.head_files import default_layers
from speculative.models.weight_files import read_weights
from speculative.protocols.draft import Draft
from speculative.protocols.draft_trace import Counts
from speculative.targets.target import Target

LESSONS_PER_PART = 64
_DIGEST = "digest"
Array = npt.NDArray[np.float64]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRate(Estimate):
    """Top-1 agreement of a draft with the target, over held-out texts.

    Attributes:
        value: mean over answer positions, the first one excepted, which the prefill yields.
        low: lower bound of the 95 % bootstrap interval over texts.
        high: upper bound of the same interval.
        tokens_per_round: new tokens per round at draft length 4, replayed.
        n_texts: texts it was measured on.
    """

    tokens_per_round: float
    n_texts: int


def distill(
    target: Target,
    train_queries: Sequence[Query],
    held_out_queries: Sequence[Query],
    folder: Path,
    settings: DistillSettings | None = None,
    on_progress: Progress | None = None,
) -> MatchRate:
    """Write the target's text, read its probabilities, train a draft on them, measure it and save it.

    The stages keep their work beside the draft, in `FOLDER.work`; a stopped run goes on from there.

    Args:
        target: the model to imitate; its `max_new_tokens` bounds a text.
        train_queries: prompts of the domain to learn from.
        held_out_queries: others to measure on.
        folder: becomes the draft: config.json, model.safetensors (float16), draft_vocabulary.json, metrics.json, and
            README.md, its card.
        settings: of the training.
        on_progress: called with (stage, done, of how many).

    Raises:
        ValueError: if `folder` holds anything but an earlier draft; a prompt stands on both sides or does not fit the
            target; a side is empty; or the work folder was begun with something else or holds a damaged file.
        RuntimeError: if the work folder is in use.
    """
    settings = settings or DistillSettings()
    tell = on_progress or (lambda stage, done, total: None)
    work = folder.with_name(f"{folder.name}.work")
    check_draft_folder(folder, target)
    asked = _asked(target, train_queries, held_out_queries, settings)
    with closing(FolderLock(work, "distillation")):
        check_manifest(work / "distill.json", asked)
        return _distill(target, (train_queries, held_out_queries), folder, settings, tell)


def _distill(
    target: Target,
    sides: tuple[Sequence[Query], Sequence[Query]],
    folder: Path,
    settings: DistillSettings,
    tell: Progress,
) -> MatchRate:
    """Go through the stages; each reads what an earlier run wrote."""
    work = folder.with_name(f"{folder.name}.work")
    texts: dict[str, list[TargetText]] = {}
    for side, queries in zip(("train", "held_out"), sides, strict=True):
        counter = _Counter(tell, f"writing {side} text", len(queries))
        texts[side] = write_corpus(target, queries, work / side, on_progress=counter.add)
    if not isinstance(target.model, Decoder) or target.folder is None:
        raise ValueError(f"distilling needs a target that was loaded into draftpick's own decoder, not {target.name!r}")
    metrics = {
        "settings": asdict(settings),
        "target": target.name,
        "n_train_texts": len(texts["train"]),
        "n_train_tokens": sum(len(text.new_ids) for text in texts["train"]),
    }
    make = _make_head if settings.kind == "feature_head" else _make_draft_model
    return make(_Job(target, target.model, target.folder, texts, folder, settings, tell), metrics)


@dataclass(frozen=True, slots=True)
class _Job:
    """What both kinds of drafts are made from: the target with its decoder and checkpoint, texts, and where to."""

    target: Target
    decoder: Decoder
    checkpoint: Path
    texts: Mapping[str, Sequence[TargetText]]
    folder: Path
    settings: DistillSettings
    tell: Progress

    def lessons(self, model: Decoder) -> list[Lesson]:
        """Return the target's probabilities along the training texts, and the states that `model` gives."""
        work = self.folder.with_name(f"{self.folder.name}.work")
        return _lessons(model, self.texts["train"], work / "lessons", self.settings.n_teacher, self.tell)

    @property
    def state_file(self) -> Path:
        """Where training keeps its state."""
        return self.folder.with_name(f"{self.folder.name}.work") / "checkpoint.pt"

    def tell_step(self, step: int, total: int, loss: float) -> None:
        """Tell how far training is."""
        self.tell(f"training (loss {loss:.3f})", step, total)


def _make_draft_model(job: _Job, metrics: dict[str, object]) -> MatchRate:
    lessons = job.lessons(job.decoder)
    target_ids = choose_vocabulary(job.texts["train"], job.settings.n_vocab)
    recipe = Recipe(draft_config(job.decoder.config, job.settings, len(target_ids)), target_ids, job.settings)
    origin = read_weights(job.checkpoint)
    weights = train_draft(recipe, origin, lessons, checkpoint=job.state_file, on_step=job.tell_step)
    small = Decoder(recipe.config, weights)
    draft = DraftModel(small, name=job.folder.name, n_target_vocab=job.decoder.n_vocab, target_ids=target_ids)
    rate = match_rate(draft, job.texts["held_out"])
    save_draft(job.folder, job.target, recipe, weights, {"match_rate": asdict(rate), **metrics})
    return rate


def _make_head(job: _Job, metrics: dict[str, object]) -> MatchRate:
    config = job.decoder.config
    layers = default_layers(config.n_layers)
    lessons = job.lessons(job.decoder.tapping(layers))
    target_ids = sorted(
        choose_vocabulary(job.texts["train"], job.settings.n_vocab + 1)[1:]
    )  # none stands for the others
    recipe = HeadRecipe(config, layers, target_ids, job.settings)
    origin = read_weights(job.checkpoint)
    weights = train_head(recipe, origin, lessons, checkpoint=job.state_file, on_step=job.tell_step)
    known = HeadConfig(recipe.config, "eagle3", layers, target_ids=tuple(target_ids))
    head = FeatureHeadModel(
        known, {name.replace("midlayer.", "layer."): weights[name] for name in weights}, job.decoder
    )
    rate = match_rate(FeatureHead(head, job.decoder, name=job.folder.name), job.texts["held_out"])
    save_head(job.folder, job.target, recipe, weights, {"match_rate": asdict(rate), **metrics})
    return rate


def _asked(
    target: Target, train_queries: Sequence[Query], held_out_queries: Sequence[Query], settings: DistillSettings
) -> dict[str, object]:
    """Check the prompts, and return all that the draft depends on."""
    overlap = {query.text for query in train_queries} & {query.text for query in held_out_queries}
    if overlap:
        raise ValueError(
            f"training and held-out prompts must be disjoint, {len(overlap)} stand in both: {min(overlap)!r}"
        )
    target.check(train_queries)
    target.check(held_out_queries)
    return {
        "target": target.fingerprint(),
        "max_new_tokens": target.max_new_tokens,
        "training prompts": digest_queries(train_queries),
        "held-out prompts": digest_queries(held_out_queries),
        "settings": asdict(settings),
    }


def draft_config(target: DecoderConfig, settings: DistillSettings, n_vocab: int) -> DecoderConfig:
    """Return the target's sizes with fewer layers and tokens, in Llama's form: heads are not normalised."""
    plain = replace(target, out_bias=target.qkv_bias, head_norms=False)
    return replace(plain, n_layers=len(settings.layers), n_vocab=n_vocab, tied_head=True)


def match_rate(draft: Draft, texts: Sequence[TargetText], seed: int = 0) -> MatchRate:
    """Measure how often a draft's likeliest next token is the target's, along its texts.

    Raises:
        ValueError: if no text has a second token.
    """
    hits, sizes, n_rounds = _hits(draft, texts)
    rate = Bootstrap(seed=seed).ratio_of_sums(hits, sizes)
    return MatchRate(
        value=rate.value,
        low=rate.low,
        high=rate.high,
        tokens_per_round=float(sizes.sum() / max(1, n_rounds)),
        n_texts=len(texts),
    )


def compare_match_rates(draft: Draft, other: Draft, texts: Sequence[TargetText], seed: int = 0) -> Estimate:
    """Return one draft's match rate minus another's on the same texts, with a paired 95 % interval over texts."""
    hits, sizes, _ = _hits(draft, texts)
    other_hits, _, _ = _hits(other, texts)
    return Bootstrap(seed=seed).ratio_of_sums(hits - other_hits, sizes)


def _hits(draft: Draft, texts: Sequence[TargetText]) -> tuple[Array, Array, int]:
    """Per text: positions of agreement, and positions; and the rounds at draft length 4 of all texts."""
    accepted = [draft.trace(text.prompt_ids, text.new_ids, 4).accepted for text in texts]
    hits = np.array([(row[1:] > 0).sum() for row in accepted], dtype=np.float64)
    sizes = np.array([len(row) - 1 for row in accepted], dtype=np.float64)
    return hits, sizes, sum(map(_n_rounds, accepted))


def _n_rounds(accepted: Counts) -> int:
    n_done, n_rounds = 1, 0
    while n_done < len(accepted):
        n_done += int(accepted[n_done]) + 1
        n_rounds += 1
    return n_rounds


def _lessons(model: Decoder, texts: Sequence[TargetText], folder: Path, n_teacher: int, tell: Progress) -> list[Lesson]:
    """Return the target's probabilities along every text; parts already on disk are read."""
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


def _arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensors[name].numpy() for name in sorted(tensors)}


class _Counter:
    """Turns 'n more' into 'so many of so many'."""

    def __init__(self, tell: Progress, stage: str, total: int) -> None:
        self._tell, self._stage, self._total, self._done = tell, stage, total, 0

    def add(self, n: int) -> None:
        self._done += n
        self._tell(self._stage, self._done, self._total)
