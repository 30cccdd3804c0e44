"""Make small drafts for a target, for one domain or several, from the target's own text."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

from arms import Query
from arms.folder_lock import FolderLock
from arms.manifest import check_manifest, digest_queries
from speculative.distillation.agreement import MatchRate
from speculative.distillation.corpus import Progress, write_both_sides
from speculative.distillation.domains import GENERALIST, LearnedTexts, Sides, by_domain, learned_texts
from speculative.distillation.draft_folder import check_draft_folder
from speculative.distillation.earlier_head import EarlierHead
from speculative.distillation.head_training import HeadSettings
from speculative.distillation.making import Job, make_draft, own_decoder
from speculative.distillation.training import DistillSettings
from speculative.targets.target import Target


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
        ValueError: if `folder` holds anything but an earlier draft; the target is not in draftpick's own decoder, or
            the head to go on from none of it; a prompt stands on both sides or does not fit the target; a side is
            empty; or the work folder was begun with something else or holds a damaged file.
        RuntimeError: if the work folder is in use.
    """
    settings, tell = settings or DistillSettings(), on_progress or _tell_nobody
    work = folder.with_name(f"{folder.name}.work")
    check_draft_folder(folder, target)
    _check_disjoint(train_queries, held_out_queries)
    asked, earlier = _asked(target, (train_queries, held_out_queries)), _earlier_head(target, settings)
    with closing(FolderLock(work, "distillation")):
        check_manifest(work / "distill.json", {**asked, **_training(settings, earlier)})
        corpora = {"": write_both_sides(target, (train_queries, held_out_queries), work, tell)}
        job = Job(
            target=target,
            corpora=corpora,
            learned=LearnedTexts(("",)),
            folder=folder,
            state_file=work / "checkpoint.pt",
            settings=settings,
            earlier=earlier,
            tell=tell,
        )
        return make_draft(job)[0]


def distill_domains(
    target: Target,
    sides: Sides,
    folder: Path,
    names: Sequence[str],
    settings: DistillSettings | None = None,
    on_progress: Progress | None = None,
) -> dict[str, dict[str, MatchRate]]:
    """Make a draft for each of several domains from texts that are written once, and measure each on every domain.

    The work lies beside the drafts, in `FOLDER.work`: a folder of texts for each domain, which all drafts that learn
    from it share, and the state of each draft's training. A stopped run goes on from there; so does one with further
    names.

    Args:
        target: the model to imitate; its `max_new_tokens` bounds a text.
        sides: prompts to learn from, and others to measure on, each of a domain. What is of no domain named is left
            out, unless there is a generalist.
        folder: holds the drafts, each in a folder of its name.
        names: of domains, for each of which a draft is made; "generalist" is one for all domains of the prompts, and
            heads for single domains go on from it; "generalist_25" learns from 25 per cent of each domain's texts,
            which shows what more text gives.
        settings: of the training.
        on_progress: called with (stage, done, of how many).

    Returns:
        By draft and domain: how often the draft is right there.

    Raises:
        ValueError: if a name repeats, is of no prompt on one of the sides, or is no folder's name; or as `distill`.
        RuntimeError: if the work folder is in use.
    """
    settings, tell = settings or DistillSettings(), on_progress or _tell_nobody
    prompts = by_domain(sides, names)
    for name in names:
        check_draft_folder(folder / name, target)
    _check_disjoint(*([query for own in prompts.values() for query in own[side]] for side in (0, 1)))
    asked = {domain: _asked(target, own) for domain, own in prompts.items()}
    earlier, work = _earlier_head(target, settings), folder.with_name(f"{folder.name}.work")
    learned = {name: learned_texts(name, list(prompts)) for name in names}
    made: dict[str, dict[str, MatchRate]] = {}
    with closing(FolderLock(work, "distillation")):
        for domain, texts in asked.items():
            lessons = {"kind": settings.kind, "n_teacher": settings.n_teacher}
            check_manifest(work / domain / "distill.json", {**texts, **lessons})
        for name, known in _known(learned, settings, earlier, asked).items():
            check_manifest(work / "drafts" / name / "distill.json", known)
        corpora = {
            domain: write_both_sides(target, own, work / domain, tell, domain) for domain, own in prompts.items()
        }
        for name in sorted(names, key=lambda name: name != GENERALIST):  # others may go on from it
            job = Job(
                target=target,
                corpora=corpora,
                learned=learned[name],
                folder=folder / name,
                state_file=work / "drafts" / name / "checkpoint.pt",
                settings=settings,
                earlier=earlier,
                tell=tell,
            )
            made[name] = make_draft(_after_generalist(job) if _goes_on(name, learned, settings) else job)[1]
    return {name: made[name] for name in names}


def _goes_on(name: str, learned: Mapping[str, LearnedTexts], settings: DistillSettings) -> bool:
    """Tell whether a draft goes on from the generalist: a head for a single domain, where one is made."""
    return isinstance(settings, HeadSettings) and GENERALIST in learned and learned[name].domains == (name,)


def _known(
    learned: Mapping[str, LearnedTexts],
    settings: DistillSettings,
    earlier: EarlierHead | None,
    asked: Mapping[str, object],
) -> Mapping[str, Mapping[str, object]]:
    """Return all that each draft depends on, those that it goes on from included."""
    training = _training(settings, earlier)
    found: dict[str, dict[str, object]] = {
        name: {**training, "texts": {domain: asked[domain] for domain in texts.domains}}
        for name, texts in learned.items()
    }
    for name in learned:
        if _goes_on(name, learned, settings):
            found[name]["earlier head"] = found[GENERALIST]
    return found


def _after_generalist(job: Job) -> Job:
    """Return the job of a head that goes on from the generalist beside it."""
    folder, settings = job.folder.with_name(GENERALIST), job.settings
    assert isinstance(settings, HeadSettings)
    earlier = EarlierHead.read(folder, job.target, own_decoder(job.target)[0])
    return replace(job, settings=replace(settings, start=str(folder)), earlier=earlier)


def _check_disjoint(train_queries: Sequence[Query], held_out_queries: Sequence[Query]) -> None:
    """Raise an error where a prompt to learn from is one to measure on, whatever their domains."""
    overlap = {query.text for query in train_queries} & {query.text for query in held_out_queries}
    if overlap:
        raise ValueError(
            f"training and held-out prompts must be disjoint, {len(overlap)} stand in both: {min(overlap)!r}"
        )


def _earlier_head(target: Target, settings: DistillSettings) -> EarlierHead | None:
    """Check that a draft can start from this target, and return the head that it goes on from, if any."""
    decoder, _ = own_decoder(target)
    if not isinstance(settings, HeadSettings) or settings.start is None:
        return None
    return EarlierHead.read(Path(settings.start), target, decoder)


def _training(settings: DistillSettings, earlier: EarlierHead | None) -> Mapping[str, object]:
    """Return all that the training depends on besides its texts."""
    return {"settings": asdict(settings), "earlier head": earlier and earlier.fingerprint}


def _asked(target: Target, sides: Sides) -> Mapping[str, object]:
    """Check that the prompts fit the target, and return all that the texts depend on."""
    train_queries, held_out_queries = sides
    target.check(train_queries)
    target.check(held_out_queries)
    return {
        "target": target.fingerprint(),
        "max_new_tokens": target.max_new_tokens,
        "training prompts": digest_queries(train_queries),
        "held-out prompts": digest_queries(held_out_queries),
    }


def _tell_nobody(stage: str, done: int, total: int) -> None:
    """Show nothing."""
