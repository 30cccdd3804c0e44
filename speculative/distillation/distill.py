"""Make small drafts for a target, for one domain or several, from the target's own text."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from arms import Query
from arms.folder_lock import FolderLock
from arms.manifest import check_manifest, digest_queries
from speculative.distillation.agreement import MatchRate
from speculative.distillation.corpus import Progress, write_both_sides
from speculative.distillation.draft_folder import check_draft_folder
from speculative.distillation.earlier_head import EarlierHead
from speculative.distillation.head_training import HeadSettings
from speculative.distillation.making import Job, make_draft, own_decoder
from speculative.distillation.training import DistillSettings
from speculative.targets.target import Target

GENERALIST = "generalist"
_TAKEN = ("..", "drafts", "lock")  # folders and a file of the work that are no domain's
Sides = tuple[Sequence[Query], Sequence[Query]]


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
            learned=("",),
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
        names: of domains, for each of which a draft is made; "generalist" is one for all domains of the prompts.
        settings: of the training.
        on_progress: called with (stage, done, of how many).

    Returns:
        By draft and domain: how often the draft is right there.

    Raises:
        ValueError: if a name repeats, is of no prompt on one of the sides, or is no folder's name; or as `distill`.
        RuntimeError: if the work folder is in use.
    """
    settings, tell = settings or DistillSettings(), on_progress or _tell_nobody
    by_domain = _by_domain(sides, names)
    for name in names:
        check_draft_folder(folder / name, target)
    _check_disjoint(*([query for own in by_domain.values() for query in own[side]] for side in (0, 1)))
    asked = {domain: _asked(target, own) for domain, own in by_domain.items()}
    earlier = _earlier_head(target, settings)
    learned = {name: tuple(by_domain) if name == GENERALIST else (name,) for name in names}
    work = folder.with_name(f"{folder.name}.work")
    made: dict[str, dict[str, MatchRate]] = {}
    with closing(FolderLock(work, "distillation")):
        for domain, texts in asked.items():
            lessons = {"kind": settings.kind, "n_teacher": settings.n_teacher}
            check_manifest(work / domain / "distill.json", {**texts, **lessons})
        for name, domains in learned.items():
            known = {**_training(settings, earlier), "texts": {domain: asked[domain] for domain in domains}}
            check_manifest(work / "drafts" / name / "distill.json", known)
        corpora = {
            domain: write_both_sides(target, own, work / domain, tell, domain) for domain, own in by_domain.items()
        }
        for name in names:
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
            made[name] = make_draft(job)[1]
    return made


def _by_domain(sides: Sides, names: Sequence[str]) -> dict[str, Sides]:
    """Return both sides' prompts of each domain that a draft learns from, in rising order."""
    if not names or len(set(names)) < len(names):
        raise ValueError(f"domains must be at least one name, each once, got {', '.join(names) or 'none'}")
    train, held_out = ({query.domain or "" for query in side} for side in sides)
    wanted = train | held_out if GENERALIST in names else set(names)
    for domain in sorted(wanted | set(names)):
        if domain == GENERALIST:
            if domain in train | held_out:
                raise ValueError(f"no prompt's domain can be {GENERALIST!r}, the name of the draft for all of them")
            continue
        if domain not in train & held_out:
            raise ValueError(
                f"domain {domain!r} must have prompts to learn from and others to measure on; to learn from there are "
                f"{', '.join(map(repr, sorted(train)))}, to measure on {', '.join(map(repr, sorted(held_out)))}"
            )
        if not domain or Path(domain).name != domain or domain in _TAKEN:
            raise ValueError(f"a prompt's domain names a folder here, got {domain!r}: name it otherwise")
    return {
        domain: ([q for q in sides[0] if q.domain == domain], [q for q in sides[1] if q.domain == domain])
        for domain in sorted(wanted - {GENERALIST})
    }


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
