"""The prompts of the experiments: the demo's and generated ones, and the held-out ones asked in another way."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from arms import Query
from speculative.demo.queries import demo_queries, pick_evenly
from speculative.distillation.prompts import (
    TrainingPrompt,
    code_prompts,
    maths_word_problems,
    prose_prompts,
    split,
)

SEED = 7
N_DRAWN = 900  # of each source; of maths and code only what no shipped draft has learned from is kept
N_KEPT = 80
# Of the groups (templates, tasks, topics), those below this share of the hash are held out from the policies too.
HELD_OUT_SHARES = {"maths": 0.05, "code": 0.04, "prose": 0.4}


class Prompts(NamedTuple):
    """Prompts to learn from, and others to test on, which share no template, task or topic with them."""

    train: list[Query]
    test: list[Query]


def paper_prompts() -> Prompts:
    """Return all prompts: 210 of the demo's, and generated ones of which no shipped draft has seen the template."""
    train, test = demo_queries()
    for domain, source in (("maths", maths_word_problems), ("code", code_prompts), ("prose", prose_prompts)):
        drawn = [one for one in source(N_DRAWN, SEED) if domain == "prose" or split(one) == "held_out"]
        for side, kept in _sides(drawn, HELD_OUT_SHARES[domain]).items():
            queries = [Query(id=one["id"], prompt=one["prompt"], domain=domain) for one in kept[: N_KEPT // 2]]
            (test if side == "held_out" else train).extend(queries)
    return Prompts(train, test)


def some(queries: Sequence[Query], n: int | None) -> list[Query]:
    """Return all queries, or at most `n` of them, taken in turn from each domain."""
    return list(queries) if n is None else pick_evenly(queries, n)


def _sides(drawn: Sequence[TrainingPrompt], share: float) -> dict[str, list[TrainingPrompt]]:
    sides: dict[str, list[TrainingPrompt]] = {"train": [], "held_out": []}
    for one in drawn:
        sides[split(one, share)].append(one)
    return sides


# How a request may begin, and the same in other words.
REWORDED = {
    "Summarise": "Sum up",
    "Summarize": "Sum up",
    "Shorten": "Boil down",
    "Please provide a summary of": "Could you tell me in brief",
    "Rewrite": "Put in other words",
    "Revise": "Rework",
    "Say the same thing again": "Express this once more",
    "Translate": "Render",
    "Give me the": "I would like the",
    "Give me": "I would like",
    "Write a": "Please come up with a",
    "Write": "Please produce",
    "Explain": "Make clear to me",
    "Define": "Set up",
    "Answer": "Reply to",
    "Find": "Look for",
    "Read": "Go through",
    "Calculate": "Work out",
    "How many": "Tell me how many",
    "How": "Tell me how",
    "What": "Tell me what",
    "Why": "Tell me why",
    "Correct": "Mend",
    "Could you": "Would you",
    "Use only": "Rely on nothing but",
    "Question:": "I ask:",
    "Text:": "Here it stands:",
    "Passage:": "Here it stands:",
}
TEMPLATE = (
    "### Request no. {number}\n\n<<<\n{prompt}\n>>>\n\nPlease take care of the request between the arrows. Thank you."
)


def reworded(prompt: str) -> str:
    """Return the prompt with the first known phrase of each paragraph in other words."""
    return "\n\n".join(_reworded_paragraph(paragraph) for paragraph in prompt.split("\n\n"))


def _reworded_paragraph(paragraph: str) -> str:
    for phrase, other in REWORDED.items():
        if paragraph.startswith(phrase):
            return other + paragraph[len(phrase) :]
    return paragraph


def asked_otherwise(queries: Sequence[Query]) -> list[Query]:
    """Return the same requests in other words and in a template that no training prompt has; ids stay."""
    return [
        query.model_copy(update={"prompt": TEMPLATE.format(number=i, prompt=reworded(query.text))})
        for i, query in enumerate(queries, 1)
    ]


def same_queries(asked: Sequence[Query], otherwise: Sequence[Query], path: Path) -> None:
    """Reject paraphrased prompts that are not of the same queries, in the same order.

    Raises:
        ValueError: naming the file and the first id that differs.
    """
    if len(asked) != len(otherwise):
        raise ValueError(f"{path} must hold the {len(asked)} test queries asked otherwise, got {len(otherwise)}")
    for own, other in zip(asked, otherwise, strict=True):
        if own.id != other.id:
            raise ValueError(f"{path} must hold the test queries in order: expected id {own.id!r}, got {other.id!r}")
