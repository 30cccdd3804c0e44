"""Asking every upstream before serving: does it answer, and does what its arm sets act at all?"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal

from speculative.serving.answer_watch import AnswerWatch
from speculative.serving.completion_request import CompletionRequest
from speculative.serving.engine_feedback import EngineFeedback
from speculative.serving.problem import ArmFailure, ArmRefusal
from speculative.serving.served_arm import ServedArm
from speculative.serving.upstream import Upstream

PROMPT = "Repeat: " + 3 * "the quick brown fox, "
_N_TOKENS = 48
REQUEST = CompletionRequest(
    "chat/completions",
    {
        "model": "draftpick",
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": _N_TOKENS,
        "temperature": 0,
        "metadata": {"domain": "probe"},
    },
    PROMPT,
    stream=False,
    include_usage=False,
    max_tokens=_N_TOKENS,
)
"""Short and greedy, of a text that look-ups can draft."""

Knob = Literal["none", "acts", "ignored", "unproven"]


@dataclass(frozen=True, slots=True)
class Probed:
    """What one upstream showed.

    Attributes:
        arm: its name.
        seconds_per_token: of the probe's answer; None where it gave none.
        knob: whether its body fields act: "none" where it has none, "unproven" where the engine reports no counts.
        feedback: the engine's counts.
        failure: why it gave no answer; None where it did.
        takes_metadata: whether it answers requests with `metadata`; they are sent without where it does not.
    """

    arm: str
    seconds_per_token: float | None
    knob: Knob
    feedback: EngineFeedback | None
    failure: str | None
    takes_metadata: bool = True

    def __str__(self) -> str:
        if self.failure is not None:
            return f"arm {self.arm}: no answer ({self.failure})"
        speed = f"{1 / self.seconds_per_token:.1f} tokens/s" if self.seconds_per_token else "no tokens"
        drafted = "" if self.feedback is None else f", {self.feedback.n_draft_tokens} draft tokens"
        knob = {
            "none": "",
            "acts": ", its body fields act",
            "ignored": ", its body fields are IGNORED by the engine",
            "unproven": ", whether its body fields act cannot be told: the engine reports no counts",
        }
        without = "" if self.takes_metadata else ", it refuses metadata, which are left out of its requests"
        return f"arm {self.arm}: {speed}{drafted}{knob[self.knob]}{without}"


async def probe(upstreams: Sequence[Upstream]) -> list[Probed]:
    """Ask each upstream one short greedy request, and those with body fields once more without them.

    A field acts if the engine's counts with it differ from those without it, or from those of another arm of the same
    server and model. llama.cpp, for one, takes `speculative.n_max` and ignores it.
    """
    answers = [await _ask_first(upstream) for upstream in upstreams]
    bare = [
        await _ask(upstream.answer(REQUEST, with_body=False)) if upstream.spec.body else None for upstream in upstreams
    ]
    found = []
    for upstream, answer, plain in zip(upstreams, answers, bare, strict=True):
        same_server = [
            one
            for other, pair in zip(upstreams, zip(answers, bare, strict=True), strict=True)
            if (other.spec.url, other.spec.model) == (upstream.spec.url, upstream.spec.model)
            for one in pair
            if one is not None and one.failure is None
        ]
        knob: Knob = "none" if plain is None else _knob(answer, same_server)
        said = (answer.seconds_per_token, knob, answer.feedback, answer.failure, upstream.takes_metadata)
        found.append(Probed(upstream.name, *said))
    return found


async def probe_arm(arm: ServedArm) -> Probed:
    """Ask one arm the same request."""
    answer = await _ask(arm.answer(REQUEST))
    return Probed(arm.name, answer.seconds_per_token, "none", answer.feedback, answer.failure)


def check_probed(found: Sequence[Probed], allow_unproven: bool, *, all_must_answer: bool = False) -> None:
    """Reject a pool that cannot serve, or whose arms do not differ.

    Args:
        found: by the probe.
        allow_unproven: whether body fields may be ignored.
        all_must_answer: whether one that does not is enough to reject them.

    Raises:
        ValueError: if no arm answers, or an engine ignores an arm's body fields.
    """
    silent = [one for one in found if one.failure is not None]
    if silent and all_must_answer:
        raise ValueError(f"{silent[0]}: start it, or mend its url")
    if silent and len(silent) == len(found):
        raise ValueError(f"no upstream answers ({found[0]}): start one, or mend its url")
    ignored = [one.arm for one in found if one.knob == "ignored"]
    if ignored and not allow_unproven:
        raise ValueError(
            f"the engine ignores the body fields of {', '.join(ignored)}: they change nothing in its counts; give each "
            "setting a server of its own, or serve them all the same with --allow-unproven"
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    seconds_per_token: float | None
    feedback: EngineFeedback | None
    failure: str | None = None
    is_refusal: bool = False

    @property
    def counts(self) -> tuple[int | None, int | None, int | None] | None:
        said = self.feedback
        counts = None if said is None else (said.n_rounds, said.n_draft_tokens, said.n_accepted)
        return None if counts == (None, None, None) else counts


def _knob(answer: _Answer, others: Sequence[_Answer]) -> Knob:
    if answer.counts is None:
        return "unproven"
    return "acts" if any(one.counts not in (None, answer.counts) for one in others) else "ignored"


async def _ask_first(upstream: Upstream) -> _Answer:
    """Ask an upstream with metadata; where it refuses, without, and so from then on if that is what it refused."""
    answer = await _ask(upstream.answer(REQUEST))
    if answer.is_refusal:
        upstream.takes_metadata = False
        without = await _ask(upstream.answer(REQUEST))
        if without.failure is None:
            return without
        upstream.takes_metadata = True
    return answer


async def _ask(payloads: AsyncGenerator[bytes, None]) -> _Answer:
    watch = AnswerWatch(REQUEST)
    try:
        async for payload in payloads:
            watch.take(payload)
    except ArmFailure as error:
        return _Answer(None, None, str(error))
    except ArmRefusal as error:
        return _Answer(None, None, f"status {error.status}: {_message(error.payload)}", is_refusal=True)
    return _Answer(watch.seconds / watch.n_tokens if watch.n_tokens else None, watch.feedback)


def _message(payload: bytes) -> str:
    try:
        return str(json.loads(payload)["error"]["message"])[:200]
    except (ValueError, KeyError, TypeError, RecursionError):
        return repr(payload[:80])
