"""An answer taken apart: the text of every token, whose it is, and what was known before its round."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from speculative.engine.text_stream import TextStream
from speculative.protocols.decoding_stats import DecodingStats
from speculative.protocols.request import Generation
from speculative.protocols.round_report import RoundReport, accepted_of_proposed
from speculative.targets.rendering import unshown_texts
from speculative.targets.target import Target

PieceKind = Literal["accepted", "rejected", "target"]
RECENT_ROUNDS = 8
"""Rounds over which recent acceptance is counted."""
_CONTEXT = 16  # tokens before rejected ones that a decoder may look back at


@dataclass(frozen=True, slots=True)
class Piece:
    """The text of one token.

    Attributes:
        text: empty for a token that ends in an unfinished character: the text stands with the one that completes it.
            Special tokens have their names.
        kind: "accepted" or "rejected" for a draft token, "target" for the target's own.
    """

    text: str
    kind: PieceKind


@dataclass(frozen=True, slots=True)
class ExplainedRound:
    """A round's report with its texts.

    Attributes:
        report: what was known, picked and given.
        pieces: accepted draft tokens, rejected ones, then the target's own token, which took the first rejected one's
            place.
        recent: known before; of each draft that proposed anything in the last `RECENT_ROUNDS` rounds, tokens accepted,
            of how many.
    """

    report: RoundReport
    pieces: tuple[Piece, ...]
    recent: Mapping[str, tuple[int, int]]

    def record(self) -> dict[str, object]:
        """Return all of it as JSON values."""
        report = self.report
        return {
            **asdict(report),
            "certainty": None if report.certainty is None else report.certainty._asdict(),
            "seconds": report.seconds,
            "lately_accepted": {draft: list(counts) for draft, counts in self.recent.items()},
            "pieces": [asdict(piece) for piece in self.pieces],
        }


@dataclass(frozen=True, slots=True)
class ExplainedAnswer:
    """An answer, round by round.

    Attributes:
        name: the request's id.
        prompt: what was asked.
        first: of the token that the prefill yields.
        rounds: after it.
        stats: counts and seconds of the whole answer.
    """

    name: str
    prompt: str
    first: tuple[Piece, ...]
    rounds: tuple[ExplainedRound, ...]
    stats: DecodingStats

    @property
    def text(self) -> str:
        """The answer, special tokens and a stop string at its end included."""
        pieces = [*self.first, *(piece for one in self.rounds for piece in one.pieces)]
        return "".join(piece.text for piece in pieces if piece.kind != "rejected")


def explain(generation: Generation, target: Target, prompt: str = "") -> ExplainedAnswer:
    """Take an answer apart.

    Args:
        generation: asked for with `SamplingParams(rounds=True)`.
        target: who wrote it.
        prompt: what was asked, for those who read the explanation.

    Raises:
        ValueError: if its rounds were not reported.
    """
    if generation.rounds is None:
        raise ValueError("an answer is explained from reports of its rounds: ask with SamplingParams(rounds=True)")
    decoder = _PieceDecoder(target)
    token_ids = generation.token_ids
    texts = iter(decoder.texts((), token_ids))
    n_first = len(token_ids) - sum(len(one.token_ids) for one in generation.rounds)
    first = tuple(Piece(next(texts), "target") for _ in range(n_first))
    rounds, n = [], n_first
    for i, report in enumerate(generation.rounds):
        new = [next(texts) for _ in report.token_ids]
        n_accepted = report.n_accepted
        before = token_ids[: n + n_accepted]
        rejected = decoder.texts(before[-_CONTEXT:], report.proposed_ids[n_accepted:])
        pieces = (
            *(Piece(text, "accepted") for text in new[:n_accepted]),
            *(Piece(text, "rejected") for text in rejected),
            *(Piece(text, "target") for text in new[n_accepted:]),
        )
        recent = accepted_of_proposed(generation.rounds[max(0, i - RECENT_ROUNDS) : i])
        rounds.append(ExplainedRound(report, pieces, recent))
        n += len(report.token_ids)
    return ExplainedAnswer(generation.request_id, prompt, first, tuple(rounds), generation.stats)


class _PieceDecoder:
    """Gives every token of a text its own part of it."""

    def __init__(self, target: Target) -> None:
        self._decode, self._unshown = target.text, unshown_texts(target.tokenizer)

    def texts(self, context: Sequence[int], token_ids: Sequence[int]) -> list[str]:
        """Return the text of each of the tokens, which stand after some others."""
        stream = TextStream(self._decode)
        stream.feed(context)
        stream.release()
        found = []
        for token in token_ids:
            stream.feed([token])
            found.append(stream.release() + self._unshown.get(token, ""))
        if found:
            found[-1] += stream.finish()
        return found
