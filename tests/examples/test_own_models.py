import runpy
from pathlib import Path

import pytest

from bandits import FullInformationData, LinUCB, load_policy

SCRIPT = Path(__file__).parents[2] / "examples" / "tutorials" / "own_models.py"


def run(*arguments: str) -> None:
    runpy.run_path(str(SCRIPT))["main"](list(arguments))


def test_smoke_run_goes_from_prompts_to_an_answer_and_keeps_what_it_made(tmp_path, capsys):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(f'{{"prompt": "question {i}"}}\n' for i in range(4)), encoding="utf-8")
    run("--smoke", "--prompts", str(prompts), "--out", str(tmp_path))
    out = capsys.readouterr().out
    arms = {"no_draft", "prompt_lookup_3", "prompt_lookup_7", "draft_tiny-draft_3"}
    assert all(word in out for word in (*arms, "LinUCB", "oracle", "saved policy.safetensors", "picked "))
    train, test = (FullInformationData.load(tmp_path / side) for side in ("train", "test"))
    assert (len(train), len(test)) == (2, 2)
    policy = load_policy(tmp_path / "policy", n_features=train.n_features)
    assert isinstance(policy, LinUCB)
    assert set(policy.arm_names) == arms


def test_a_target_must_be_named(capsys):
    with pytest.raises(SystemExit) as stop:
        run()
    assert stop.value.code == 2
    assert "--target" in capsys.readouterr().err
