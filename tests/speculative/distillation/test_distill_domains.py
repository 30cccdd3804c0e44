"""Drafts for several domains: from texts written once, of prompts that are apart, each told on every domain."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from speculative.distillation.distill import distill, distill_domains
from speculative.distillation.head_training import HeadSettings
from speculative.distillation.training import DistillSettings
from speculative.pools.pool import load_target
from speculative.pools.spec import read_pool_spec
from tests.support.tiny_pool import queries, save_pool

SETTINGS = DistillSettings(n_epochs=2, n_vocab=64, n_teacher=4, batch_tokens=256, learning_rate=3e-3)
TRAIN, HELD_OUT = queries(8), queries(4, first=100)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return load_target(read_pool_spec(save_pool(tmp_path_factory.mktemp("pool"))))


@pytest.mark.parametrize("kind", [DistillSettings, HeadSettings])
def test_a_draft_for_each_domain_and_one_for_all_learn_from_texts_written_once(target, tmp_path, kind):
    sides, told = (TRAIN, HELD_OUT), []
    settings = kind(n_epochs=1, n_vocab=64, n_teacher=4)
    names = ["letters", "generalist"]
    made = distill_domains(target, sides, tmp_path / "mine", names, settings, lambda *one: told.append(one))
    assert {draft: list(rates) for draft, rates in made.items()} == {name: ["letters", "words"] for name in names}
    assert sum(stage.startswith("writing train") for stage, _, _ in told) == 2
    mine = tmp_path / "mine"
    own = replace(settings, start=str(mine / "generalist")) if kind is HeadSettings else settings
    alone = distill(target, *([q for q in side if q.domain == "letters"] for side in sides), tmp_path / "one", own)
    assert alone == made["letters"]["letters"]
    metrics = json.loads((tmp_path / "mine" / "generalist" / "metrics.json").read_text())
    assert metrics["n_train_texts"] == 8
    assert metrics["by_domain"]["words"]["value"] == made["generalist"]["words"].value
    assert "- On words: " in (tmp_path / "mine" / "letters" / "README.md").read_text()
    told.clear()
    more = distill_domains(target, sides, tmp_path / "mine", ["words", *names], settings, lambda *one: told.append(one))
    assert {name: more[name] for name in names} == made
    assert {stage.split(" (")[0] for stage, done, _ in told if stage.startswith("training")} == {"training words"}


def test_a_generalist_of_a_share_learns_from_the_first_texts_of_each_domain(target, tmp_path):
    settings = HeadSettings(n_epochs=1, n_vocab=64, n_teacher=4)
    made = distill_domains(target, (TRAIN, HELD_OUT), tmp_path / "mine", ["generalist_50", "generalist"], settings)
    assert list(made) == ["generalist_50", "generalist"]
    few = [[q for q in TRAIN if q.domain == domain] for domain in ("letters", "words")]
    half = [q for own in few for q in own[: len(own) // 2]]
    assert (
        made["generalist_50"]
        == distill_domains(target, (half, HELD_OUT), tmp_path / "half", ["generalist"], settings)["generalist"]
    )
    metrics = json.loads((tmp_path / "mine" / "generalist_50" / "metrics.json").read_text())
    assert (metrics["n_train_texts"], metrics["settings"]["start"]) == (len(half), None)


def test_a_stopped_run_goes_on_from_the_generalist_and_gives_the_same_heads(target, tmp_path, monkeypatch):
    monkeypatch.setattr("speculative.distillation.training.KEEP_EVERY", 1)
    settings = HeadSettings(n_epochs=3, n_vocab=64, n_teacher=4)
    work = target, (TRAIN, HELD_OUT)
    whole = distill_domains(*work, tmp_path / "whole", ["letters", "generalist"], settings)

    def stop(told, done, total):
        if told.startswith("training letters") and done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill_domains(*work, tmp_path / "mine", ["letters", "generalist"], settings, on_progress=stop)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["generalist"]
    assert distill_domains(*work, tmp_path / "mine", ["letters", "generalist"], settings) == whole
    for name in whole:
        one, other = (load_file(tmp_path / folder / name / "model.safetensors") for folder in ("whole", "mine"))
        for key, tensor in one.items():
            torch.testing.assert_close(other[key], tensor)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "at least one name, each once, got none"),
        (["words", "words"], "each once, got words, words"),
        (["maths"], "domain 'maths' must have prompts to learn from and others to measure on; .*'letters', 'words'"),
    ],
)
def test_domains_that_cannot_be_learned_are_refused_before_any_text_is_written(target, tmp_path, names, message):
    with pytest.raises(ValueError, match=message):
        distill_domains(target, (TRAIN, HELD_OUT), tmp_path / "mine", names, SETTINGS)
    other = [q.model_copy(update={"domain": "generalist"}) for q in queries(2)]
    with pytest.raises(ValueError, match="no prompt's domain can be 'generalist'"):
        distill_domains(target, (other, other), tmp_path / "mine", ["generalist_50"], SETTINGS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("domain", ["../odd", "..", ".", "lock", "drafts"])
def test_a_domain_that_is_no_folder_of_the_work_is_refused(target, tmp_path, domain):
    sides = [[q.model_copy(update={"domain": domain}) for q in side] for side in (TRAIN[:2], HELD_OUT[:2])]
    for name in (domain, "generalist"):
        with pytest.raises(ValueError, match=f"names a folder here, got '{domain}'"):
            distill_domains(target, tuple(sides), tmp_path / "mine", [name], SETTINGS)
    assert not list(tmp_path.iterdir())


def test_a_prompt_to_learn_from_is_none_to_measure_on_in_another_domain_either(target, tmp_path):
    shared = next(q for q in HELD_OUT if q.domain == "letters")
    sides = [*TRAIN, shared.model_copy(update={"id": "again", "domain": "words"})], HELD_OUT
    with pytest.raises(ValueError, match="must be disjoint, 1 stand in both"):
        distill_domains(target, sides, tmp_path / "mine", ["letters", "words"], SETTINGS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["letters", "generalist"])
def test_one_domain_is_told_by_its_name_as_several_are(target, tmp_path, name):
    sides = tuple([q for q in side if q.domain == "letters"][:2] for side in (TRAIN, HELD_OUT))
    made = distill_domains(target, sides, tmp_path / "mine", [name], replace(SETTINGS, n_epochs=1))
    metrics = json.loads((tmp_path / "mine" / name / "metrics.json").read_text())
    assert {domain: rate.value for domain, rate in made[name].items()} == {"letters": metrics["match_rate"]["value"]}
    assert metrics["by_domain"] == {"letters": metrics["match_rate"]}


def test_a_draft_begun_otherwise_is_refused_before_the_texts_of_a_further_domain_are_written(target, tmp_path):
    sides, folder = (TRAIN[:4], HELD_OUT), tmp_path / "mine"
    distill_domains(target, sides, folder, ["words"], replace(SETTINGS, n_epochs=1))
    with pytest.raises(ValueError, match="words was begun with other settings"):
        distill_domains(
            target, sides, folder, ["letters", "words"], SETTINGS, on_progress=lambda *told: pytest.fail("it began")
        )
