"""Train one draft on texts that the target has written, measure it, and save it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from speculative.distillation.agreement import MatchRate, match_rate
from speculative.distillation.corpus import Corpus, Progress, TargetText
from speculative.distillation.domains import LearnedTexts
from speculative.distillation.draft_folder import save_draft, save_head
from speculative.distillation.earlier_head import EarlierHead
from speculative.distillation.head_agreement import head_match_rate
from speculative.distillation.head_training import HeadRecipe, HeadSettings, likely_tokens, train_head
from speculative.distillation.lessons import read_lessons
from speculative.distillation.training import DistillSettings, Lesson, Recipe, choose_vocabulary, train_draft
from speculative.drafts.draft_model import DraftModel
from speculative.models.config import DecoderConfig
from speculative.models.decoder import Decoder
from speculative.models.head_files import default_layers
from speculative.models.loading import resolve_settled
from speculative.models.weight_files import WeightFiles, read_weights
from speculative.targets.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a draft is made from, and where to.

    Attributes:
        target: the model to imitate, in draftpick's own decoder.
        corpora: by domain, all that the draft is measured on.
        learned: what it learns from.
        folder: becomes the draft.
        state_file: where training keeps its state.
        settings: of the training.
        earlier: the head that a head goes on from; None for the target's last layer.
        tell: called with (stage, done, of how many).
    """

    target: Target
    corpora: Mapping[str, Corpus]
    learned: LearnedTexts
    folder: Path
    state_file: Path
    settings: DistillSettings
    earlier: EarlierHead | None
    tell: Progress

    @property
    def train(self) -> list[TargetText]:
        """All texts to learn from."""
        return [text for domain in self.learned.domains for text in self.learned.of(self.corpora[domain].train)]

    def lessons(self, model: Decoder) -> list[Lesson]:
        """Return the target's probabilities along the training texts, and the states that `model` gives."""
        corpora, n_teacher = [self.corpora[domain] for domain in self.learned.domains], self.settings.n_teacher
        parts = [read_lessons(model, one.train, one.folder / "lessons", n_teacher, self.tell) for one in corpora]
        return [lesson for part in parts for lesson in self.learned.of(part)]

    def tell_step(self, step: int, total: int, loss: float) -> None:
        """Tell how far training is."""
        name = self.folder.name if len(self.corpora) > 1 else ""
        self.tell(f"training{name and f' {name}'} (loss {loss:.3f})", step, total)

    def held_out_lessons(self, corpora: Sequence[Corpus], model: Decoder) -> list[Lesson]:
        """Return the same along held-out texts."""
        n_teacher = self.settings.n_teacher
        parts = [
            read_lessons(model, one.held_out, one.folder / "held_out_lessons", n_teacher, self.tell) for one in corpora
        ]
        return [lesson for part in parts for lesson in part]

    def measured(self, rate: Callable[[Sequence[Corpus]], MatchRate]) -> tuple[MatchRate, dict[str, MatchRate]]:
        """Return the match rate on the held-out texts of what it learned from, and on those of each domain."""
        by_domain = {name: rate([one]) for name, one in self.corpora.items()}
        own = [self.corpora[domain] for domain in self.learned.domains]
        found = by_domain[self.learned.domains[0]] if len(own) == 1 else rate(own)
        return found, by_domain

    def metrics(self, rate: MatchRate, by_domain: Mapping[str, MatchRate]) -> dict[str, object]:
        """Return what is kept beside the draft; domains stand there by their names, one as well as several."""
        texts, named = self.train, {name: asdict(one) for name, one in by_domain.items() if name}
        found = {
            "match_rate": asdict(rate),
            "settings": asdict(self.settings),
            "target": self.target.name,
            "n_train_texts": len(texts),
            "n_train_tokens": sum(len(text.new_ids) for text in texts),
        }
        return found | ({"by_domain": named} if named else {})


def make_draft(job: Job) -> tuple[MatchRate, dict[str, MatchRate]]:
    """Train, measure and save; return the match rate on the domains learned from, and on each domain.

    Raises:
        ValueError: as `own_decoder` and `save_draft`.
    """
    target, (decoder, folder) = job.target, own_decoder(job.target)
    if target.settings.weights != "dense":  # the draft starts from whole weights
        folder, _ = resolve_settled(target.name, replace(target.settings, weights="dense"))
    if isinstance(job.settings, HeadSettings):
        return _make_head(job, job.settings, decoder, read_weights(folder))
    return _make_draft_model(job, decoder, read_weights(folder))


def own_decoder(target: Target) -> tuple[Decoder, Path]:
    """Return the model that a draft starts from, and its folder.

    Raises:
        ValueError: if the target is not in draftpick's own decoder.
    """
    if not isinstance(target.model, Decoder) or target.folder is None:
        raise ValueError(f"distilling needs a target that was loaded into draftpick's own decoder, not {target.name!r}")
    return target.model, target.folder


def _make_draft_model(job: Job, decoder: Decoder, origin: WeightFiles) -> tuple[MatchRate, dict[str, MatchRate]]:
    lessons = job.lessons(decoder)
    target_ids = choose_vocabulary(job.train, job.settings.n_vocab)
    recipe = Recipe(draft_config(decoder.config, job.settings, len(target_ids)), target_ids, job.settings)
    weights = train_draft(recipe, origin, lessons, checkpoint=job.state_file, on_step=job.tell_step)
    small = Decoder(recipe.config, weights)
    draft = DraftModel(small, name=job.folder.name, n_target_vocab=decoder.n_vocab, target_ids=target_ids)
    rates = job.measured(lambda corpora: match_rate(draft, [text for one in corpora for text in one.held_out]))
    save_draft(job.folder, job.target, recipe, weights, job.metrics(*rates))
    return rates


def _make_head(
    job: Job, settings: HeadSettings, decoder: Decoder, origin: WeightFiles
) -> tuple[MatchRate, dict[str, MatchRate]]:
    layers = default_layers(decoder.config.n_layers)
    lessons = job.lessons(decoder.tapping(layers))
    if job.earlier is None:
        recipe = HeadRecipe(decoder.config, layers, likely_tokens(lessons, settings), settings)
    else:
        recipe = job.earlier.recipe(decoder, settings)
    weights = train_head(recipe, origin, lessons, checkpoint=job.state_file, on_step=job.tell_step)
    model, embedding = decoder.tapping(layers), origin["model.embed_tokens.weight"]
    rates = job.measured(
        lambda corpora: head_match_rate(recipe, weights, embedding, job.held_out_lessons(corpora, model))
    )
    save_head(job.folder, job.target, recipe, weights, job.metrics(*rates))
    return rates


def draft_config(target: DecoderConfig, settings: DistillSettings, n_vocab: int) -> DecoderConfig:
    """Return the target's sizes with fewer layers and tokens, in Llama's form: heads are not normalised."""
    plain = replace(target, out_bias=target.qkv_bias, head_norms=False)
    return replace(plain, n_layers=len(settings.layers), n_vocab=n_vocab, tied_head=True)
