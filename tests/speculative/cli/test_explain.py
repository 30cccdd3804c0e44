"""`draftpick generate --explain` and `--explain-html`, whatever picks the arms."""

import json
from collections import Counter

import pytest

from tests.support.command_runner import make_place, pool_of, refused, run_cli
from tests.support.tiny_pool import POOL, queries, save_pool, save_queries

RULE = """
[[arms]]
kind = "rule"
name = "lookup_by_match"
clauses = [{ arm = "prompt_lookup_7", min_match_length = 2 }]
fallback = "prompt_lookup_3"
"""
PICKERS = {
    "arm": ("--arm", "prompt_lookup_7"),
    "rule": ("--arm", "lookup_by_match"),
    "selector per round": ("--selector", "ucb_spec"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    save_pool(folder, pool=POOL + RULE)
    save_queries(folder / "prompts.jsonl", queries(3))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("place"))


def _answered(folder, *arguments):
    return run_cli("generate", queries(4)[1].prompt, *pool_of(folder), *arguments)


@pytest.mark.parametrize("picker", PICKERS.values(), ids=PICKERS)
def test_explained_rounds_agree_with_the_answer(folder, picker):
    plain = json.loads(_answered(folder, *picker, "--json").stdout)
    assert "rounds" not in plain
    explained = json.loads(_answered(folder, *picker, "--json", "--explain").stdout)
    assert explained["text"] == plain["text"]
    rounds = explained["rounds"]
    assert len(rounds) == explained["n_rounds"]
    assert sum(len(one["token_ids"]) for one in rounds) == explained["n_tokens"] - 1
    shown = _answered(folder, *picker, "--explain")
    *_, last = shown.stdout.splitlines()
    assert last.split()[0] == str(len(rounds))
    assert shown.stdout.startswith("{+accepted draft tokens+}")
    assert "speed: " in shown.stderr
    if "lookup_by_match" in picker:
        assert "lookup_by_match > prompt_lookup_" in last


def test_a_policys_choice_is_explained(place):
    shown = _answered(place, "--policy", place / "lin_ucb.safetensors", "--explain")
    assert "round  picked" in shown.stdout
    assert "picked with probability" in shown.stderr


def test_a_learned_choice_at_every_round_is_explained(place, tmp_path):
    run_cli("train", place / "train", "--rounds", "--out", tmp_path)
    explained = json.loads(_answered(place, "--rounds", tmp_path, "--explain", "--json").stdout)
    picked = Counter(one["arm"] for one in explained["rounds"])
    assert picked == explained["rounds_by_arm"]


@pytest.mark.parametrize(
    ("settings", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1", "TERM": "xterm"}, True),
        ({"FORCE_COLOR": "1", "TERM": "xterm", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals_and_no_color_forbids_them(folder, monkeypatch, settings, coloured):
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    shown = _answered(folder, "--arm", "prompt_lookup_7", "--explain")
    assert ("\x1b[" in shown.stdout) == coloured
    assert ("{+" in shown.stdout) != coloured


def test_a_page_explains_one_answer_beside_its_text(folder, tmp_path):
    page = tmp_path / "new" / "page.html"
    shown = _answered(folder, "--arm", "prompt_lookup_7", "--explain-html", page)
    assert "{+" not in shown.stdout
    assert f"explained: {page}" in shown.stderr
    assert page.read_text().count("<section>") == 1


def test_a_page_explains_every_answer_in_the_order_asked(folder, tmp_path):
    page = tmp_path / "page.html"
    arguments = ("--prompts", folder / "prompts.jsonl", *pool_of(folder), "--arm", "prompt_lookup_3")
    shown = run_cli("generate", *arguments, "--explain", "--explain-html", page)
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [len(line["rounds"]) == line["n_rounds"] for line in lines] == [True] * 3
    text = page.read_text()
    places = [text.index(f"<h2>{query.id}</h2>") for query in queries(3)]
    assert places == sorted(places)


def test_a_page_that_exists_is_not_written_over(folder, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("mine")
    line = refused("generate", "x", *pool_of(folder), "--arm", "no_draft", "--explain-html", page)
    assert "exists: name another --explain-html, or remove it" in line
    assert page.read_text() == "mine"
