"""`draftpick generate` on a tiny pool: what it prints and refuses."""

import json
from dataclasses import replace

import pytest

from speculative.cli.answering import summary
from speculative.models.decoder import Decoder
from speculative.pools.pool import Pool
from speculative.targets.target import Target
from tests.support.command_runner import make_place, pool_of, refused, run_cli
from tests.support.tiny_pool import ARMS, MAX_POSITIONS, queries


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("cli"))


def test_generate_streams_the_targets_text_and_explains(place):
    prompt = queries(1)[0].prompt
    pool = Pool.load(place / "pool.toml")
    expected = pool.arms["no_draft"].pull(queries(1)[0], 0)
    policy = ("--policy", place / "lin_ucb.safetensors")
    shown = run_cli("generate", prompt, *pool_of(place), *policy)
    assert shown.stdout == expected.text + "\n"
    for word in ("arm: ", "picked with probability", *ARMS, "speed: ", "tokens in", "a second"):
        assert word in shown.stderr
    result = json.loads(run_cli("generate", prompt, *pool_of(place), *policy, "--json").stdout)
    assert result["text"] == expected.text
    assert result["n_tokens"] == expected.n_tokens
    assert sum(result["probabilities"].values()) == pytest.approx(1)
    assert result["arm"] == max(result["probabilities"], key=result["probabilities"].get)


def test_generate_with_an_arm_of_ones_choice_from_standard_input(place):
    arguments = ("generate", "-", *pool_of(place), "--arm", "prompt_lookup_7", "--max-new-tokens", 5, "--json")
    result = json.loads(run_cli(*arguments, text=queries(1)[0].prompt).stdout)
    assert (result["arm"], result["n_tokens"], result["probabilities"]) == ("prompt_lookup_7", 5, None)


def _generated(place, *arguments):
    """The JSON of a generation of 20 tokens."""
    return json.loads(run_cli("generate", queries(1)[0].prompt, *pool_of(place), *arguments, "--json").stdout)


def test_generate_samples_the_same_text_whichever_draft_helps(place):
    sampling = ("--temperature", 0.9, "--top-k", 60, "--top-p", 0.95, "--min-p", 0.01, "--repetition-penalty", 1.1)
    texts = {_generated(place, "--arm", arm, *sampling, "--sampling-seed", 7)["text"] for arm in ARMS}
    other = _generated(place, "--arm", "no_draft", *sampling, "--sampling-seed", 8)
    assert len(texts) == 1
    assert other["text"] not in texts
    assert other["seed"] == 8


def test_generate_controls_single_tokens_and_reports_logprobs(place):
    plain = _generated(place, "--arm", "no_draft", "--logprobs", 2)
    first = plain["logprobs"][0]["token_id"]
    controls = ("--logit-bias", f"{first}=-100", "--presence-penalty", 1, "--frequency-penalty", 0.5)
    found = [
        _generated(place, "--arm", arm, *controls, "--min-new-tokens", 20, "--logprobs", 0)
        for arm in ("no_draft", "prompt_lookup_7")
    ]
    assert len({answer["text"] for answer in found}) == 1
    logprobs = [[one["logprob"] for one in answer["logprobs"]] for answer in found]
    assert logprobs[0] == pytest.approx(logprobs[1], abs=1e-4)
    assert found[0]["n_tokens"] == 20
    assert first not in {one["token_id"] for one in found[0]["logprobs"]}
    assert [len(one["best"]) for one in plain["logprobs"]] == [2] * plain["n_tokens"]


def test_line_ends_of_a_prompt_and_a_text_come_through_unchanged(place, monkeypatch):
    monkeypatch.setattr(
        "speculative.targets.target.Target.text", lambda self, token_ids: "a\r\nb\rc\n" * len(token_ids)
    )
    asked = []
    request = Target.request
    monkeypatch.setattr(
        "speculative.targets.target.Target.request",
        lambda self, query, *rest: asked.append(query.prompt) or request(self, query, *rest),
    )
    arguments = ("generate", "-", *pool_of(place), "--arm", "no_draft", "--max-new-tokens", 3)
    shown = run_cli(*arguments, text=b"one\r\ntwo\rthree\n")
    assert shown.stdout == "a\r\nb\rc\n" * 3 + "\n"
    assert json.loads(run_cli(*arguments, "--json", text=b"x").stdout)["text"] == "a\r\nb\rc\n" * 3
    assert asked == ["one\r\ntwo\rthree\n", "x"]


def test_a_prompt_on_standard_input_that_is_no_utf8_is_refused(place):
    arguments = ("generate", "-", *pool_of(place), "--arm", "no_draft")
    assert "standard input must be UTF-8 text" in run_cli(*arguments, text=b"caf\xe9", status=2).stderr


def test_generate_tells_the_fresh_seed_of_a_sampled_text(place, monkeypatch):
    seeds = iter(range(10, 20))
    monkeypatch.setattr("secrets.randbits", lambda n_bits: next(seeds))
    sampling = ("--arm", "draft_small_2", "--temperature", 1.5, "--verification", "rejection")
    first, second = _generated(place, *sampling), _generated(place, *sampling)
    assert first["seed"] != second["seed"]
    assert first["text"] != second["text"]
    again = run_cli("generate", queries(1)[0].prompt, *pool_of(place), *sampling, "--sampling-seed", first["seed"])
    assert again.stdout == first["text"] + "\n"
    assert f"sampled: --sampling-seed {first['seed']} gives this text again" in again.stderr
    greedy = run_cli("generate", queries(1)[0].prompt, *pool_of(place), "--arm", "no_draft")
    assert "sampled" not in greedy.stderr


@pytest.mark.parametrize("arm", ["no_draft", "draft_small_2"])
def test_generate_ends_before_a_stop_string(place, arm):
    whole = _generated(place, "--arm", arm)
    assert whole["finished"] == "length"
    stop = whole["text"][6:9]
    start = whole["text"].index(stop)
    result = _generated(place, "--arm", arm, "--stop", "never said", "--stop", stop)
    assert (result["finished"], result["text"]) == ("stop", whole["text"][:start])
    assert result["n_tokens"] < whole["n_tokens"]
    shown = run_cli("generate", queries(1)[0].prompt, *pool_of(place), "--arm", arm, "--stop", stop)
    assert shown.stdout == whole["text"][:start] + "\n"


def test_generate_tells_which_draft_was_disabled_and_what_was_caught_up(place, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("out of ideas")

    expected = _generated(place, "--arm", "no_draft")["text"]
    monkeypatch.setattr("speculative.drafts.prompt_lookup.PromptLookup.open", fail)
    result = _generated(place, "--arm", "prompt_lookup_3")
    assert result["text"] == expected
    [fault] = result["faults"]
    assert (fault["draft"], fault["round"]) == ("prompt_lookup", 0)
    shown = run_cli("generate", queries(1)[0].prompt, *pool_of(place), "--arm", "prompt_lookup_3")
    assert "fault: draft prompt_lookup was disabled in round 0 (RuntimeError: out of ideas)" in shown.stderr
    assert (result["n_caught_up"], result["catch_up_seconds"]) == (0, 0.0)
    assert "caught up: 3 tokens that a draft had missed, 2.0 ms" in summary(
        result | {"n_caught_up": 3, "catch_up_seconds": 0.002}
    )


def test_generate_fails_where_the_target_gives_no_numbers(place, monkeypatch):
    def broken(self, *arguments):
        output = forward(self, *arguments)
        return replace(output, logits=output.logits * float("nan"))

    forward = Decoder.forward
    monkeypatch.setattr(Decoder, "forward", broken)
    result = run_cli("generate", "x", *pool_of(place), "--arm", "no_draft", status=1)
    assert "failed: the target's largest logit must be finite" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--temperature", -1), "temperature must be finite and >= 0, got -1.0"),
        (("--temperature", "nan"), "temperature must be finite and >= 0, got nan"),
        (("--temperature", 1, "--top-k", -1), "top_k must be >= 0 (0 keeps all tokens), got -1"),
        (("--temperature", 1, "--top-p", 0), "top_p must be in (0, 1], got 0.0"),
        (("--temperature", 1, "--min-p", 2), "min_p must be in [0, 1], got 2.0"),
        (("--repetition-penalty", 0), "repetition_penalty must be finite and > 0, got 0.0"),
        (("--presence-penalty", 3), "presence_penalty must be in [-2, 2], got 3.0"),
        (("--logit-bias", "a=1"), "--logit-bias must be ID=BIAS, such as 42=-100, got 'a=1'"),
        (("--logit-bias", "4"), "--logit-bias must be ID=BIAS, such as 42=-100, got '4'"),
        (("--temperature", 1, "--sampling-seed", -1), "seed must be in [0, 2**63), got -1"),
        (("--top-k", 5), "--top-k changes sampled text only: give a --temperature above 0 with it"),
        (("--sampling-seed", 5), "--sampling-seed changes sampled text only"),
        (("--verification", "rejection"), "--verification changes sampled text only"),
        (("--stop", "a", "--stop", ""), "a stop string must hold at least one character, got ''"),
    ],
)
def test_generate_refuses_sampling_out_of_range_before_it_loads_a_model(tmp_path, arguments, message):
    line = refused("generate", "x", "--pool", tmp_path / "no.toml", "--arm", "no_draft", *arguments)
    assert message in line


def test_generate_refuses_in_one_line(place, tmp_path):
    policy = ("--policy", place / "lin_ucb.safetensors")
    assert "the prompt must not be blank" in refused("generate", " ", *pool_of(place), *policy)
    assert "exactly one of --policy, --arm, --selector and --rounds" in refused("generate", "x", *pool_of(place))
    assert "no arm is named 'eagle'" in refused("generate", "x", *pool_of(place), "--arm", "eagle")
    long = "x" * MAX_POSITIONS
    assert "exceed the target's context" in refused("generate", long, *pool_of(place), *policy)
    text = (place / "pool.toml").read_text()
    other = place / "other.toml"
    other.write_text(text.replace("n_features = 8", "n_features = 9"))
    line = refused("generate", "x", "--pool", other, "--cache", tmp_path, *policy)
    assert "the policy and the pool must have contexts of one encoder, got 'hashing-8' and 'hashing-9'" in line
    other.write_text(text.replace("draft_length = 7", "draft_length = 6"))
    line = refused("generate", "x", "--pool", other, "--cache", tmp_path, *policy)
    assert "there is no arm 'prompt_lookup_7'" in line
    other.write_text(text.replace('"target"', '"nowhere"'))
    line = refused("generate", "x", "--pool", other, "--cache", tmp_path, *policy)
    assert "model 'nowhere' is neither a folder" in line
