import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

import speculative
from arms.query import read_queries
from speculative.distillation.prompts import code_prompts, maths_word_problems, prose_prompts

PATH = Path(speculative.__file__).parent / "demo" / "prompts.jsonl"
DOMAINS = ("summarise", "rewrite", "translate", "maths", "code", "chat", "passage")
USUAL_WORDS = {
    "summarise": r"summar",
    "rewrite": r"rewrite|rephrase|revise|reword",
    "translate": r"translat",
    "maths": r"\bmath|calculat|solve|working|comput",
    "code": r"python|\bcode|function|program|script",
    "chat": r"\bchat|conversation",
    "passage": r"passage|\btext|context",
}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str | int]]:
    return [json.loads(line) for line in PATH.read_text(encoding="utf-8").splitlines()]


def _runs(text: str, n_words: int) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + n_words]) for i in range(len(words) - n_words + 1)}


@pytest.mark.filterwarnings("ignore::arms.query.UnknownKeysWarning")  # its split and phrasing
def test_the_file_reads_as_queries(rows: list[dict[str, str | int]]) -> None:
    queries = read_queries(PATH)
    assert [(query.id, query.prompt, query.domain) for query in queries] == [
        (row["id"], row["prompt"], row["domain"]) for row in rows
    ]


def test_every_domain_has_thirty_prompts_in_two_parts(rows: list[dict[str, str | int]]) -> None:
    counts = Counter((row["domain"], row["split"]) for row in rows)
    assert counts == {(domain, part): n for domain in DOMAINS for part, n in (("train", 18), ("test", 12))}


def test_ids_and_prompts_are_unique_and_of_moderate_length(rows: list[dict[str, str | int]]) -> None:
    assert len({row["id"] for row in rows}) == len({row["prompt"] for row in rows}) == len(rows)
    assert all(set(row) == {"id", "domain", "prompt", "split", "phrasing"} for row in rows)
    assert all(5 <= len(str(row["prompt"]).split()) < 220 for row in rows)


def test_two_phrasings_of_every_domain_occur_only_in_the_test_part(rows: list[dict[str, str | int]]) -> None:
    domains_of, parts_of = defaultdict(set), defaultdict(set)
    for row in rows:
        domains_of[row["phrasing"]].add(row["domain"])
        parts_of[row["phrasing"]].add(row["split"])
    assert all(len(domains) == 1 for domains in domains_of.values())
    for domain in DOMAINS:
        phrasings = [phrasing for phrasing, domains in domains_of.items() if domain in domains]
        assert len(phrasings) >= 6
        assert sum(parts_of[phrasing] == {"test"} for phrasing in phrasings) >= 2


def test_a_third_of_every_domain_avoids_its_usual_words(rows: list[dict[str, str | int]]) -> None:
    for domain in DOMAINS:
        prompts = [str(row["prompt"]) for row in rows if row["domain"] == domain]
        without = [p for p in prompts if not re.search(USUAL_WORDS[domain], p, re.IGNORECASE)]
        assert len(without) >= len(prompts) // 3, domain


def test_train_and_test_share_no_text(rows: list[dict[str, str | int]]) -> None:
    # The longest phrasing that both parts use has thirteen words.
    runs: dict[str | int, set[tuple[str, ...]]] = {"train": set(), "test": set()}
    for row in rows:
        runs[row["split"]] |= _runs(str(row["prompt"]), 15)
    assert not runs["train"] & runs["test"]


def test_drafts_are_not_trained_on_demo_text(rows: list[dict[str, str | int]]) -> None:
    demo = set().union(*(_runs(str(row["prompt"]), 10) for row in rows))
    for source in (maths_word_problems, code_prompts, prose_prompts):
        for record in source(3000, 0):
            assert not demo & _runs(record["prompt"], 10), record["prompt"]
