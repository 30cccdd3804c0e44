"""What the commands that generate tell the chat template: its variables, and how an answer begins."""

import json

import pytest

from arms import Query
from speculative import Rendering
from speculative.pools.pool import Pool
from tests.support.command_runner import pool_of, refused, run_cli
from tests.support.tiny_pool import TEMPLATE, save_pool

ARM = ("--arm", "prompt_lookup_3", "--max-new-tokens", 8)
USER = {"role": "user", "content": "count: one two"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendering")
    save_pool(folder, TEMPLATE + "{% if enable_thinking is false %}-{% endif %}")
    return folder


def expected(place, rendering, *messages):
    query = Query(id="q", messages=messages, max_new_tokens=8)
    return Pool.load(place / "pool.toml").generate(query, rendering=rendering).text


def test_variables_of_the_template_are_given_as_json(place):
    text = expected(place, Rendering({"enable_thinking": False}), USER)
    assert text != expected(place, Rendering(), USER)
    variables = ("--chat-template-kwargs", '{"enable_thinking": false}')
    assert run_cli("generate", USER["content"], *pool_of(place), *ARM, *variables).stdout == text + "\n"
    assert run_cli("chat", *pool_of(place), *ARM, *variables, text=USER["content"] + "\n").stdout == text + "\n"


def test_an_answer_goes_on_from_its_prefill_or_from_the_last_message(place, tmp_path):
    begin = {"role": "assistant", "content": "Sure:"}
    text = expected(place, Rendering(continue_final_message=True), USER, begin)
    prefill = ("--prefill", "Sure:")
    assert run_cli("generate", USER["content"], *pool_of(place), *ARM, *prefill).stdout == text + "\n"
    shown = run_cli("chat", *pool_of(place), *ARM, *prefill, text=USER["content"] + "\n")
    assert shown.stdout == f"Sure:{text}\n"
    for name, messages, option in (("begun", [USER, begin], ["--continue-final"]), ("asked", [USER], prefill)):
        prompts = tmp_path / f"{name}.jsonl"
        prompts.write_text(json.dumps({"messages": messages}) + "\n")
        answers = run_cli("generate", "--prompts", prompts, *pool_of(place), *ARM, *option).stdout
        assert json.loads(answers)["text"] == text
    assert "ends in an assistant's message" in refused(
        "generate", "--prompts", tmp_path / "begun.jsonl", *pool_of(place), *ARM, *prefill
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--chat-template-kwargs", "no"), "--chat-template-kwargs must be a JSON object, got 'no'"),
        (("--chat-template-kwargs", "[1]"), "--chat-template-kwargs must be a JSON object, got '[1]'"),
        (("--chat-template-kwargs", '{"thinking": 1}'), "variables that the chat template reads, got 'thinking'"),
        (("--prefill", " "), "--prefill must be how an answer begins: it is blank"),
        (("--prefill", "a", "--continue-final"), "--continue-final has no place beside it"),
        (("--continue-final",), "needs a last message of role 'assistant', got 'user'"),
    ],
)
def test_what_the_template_cannot_be_told_is_refused(place, given, message):
    assert message in refused("generate", "hi", *pool_of(place), *ARM, *given)
