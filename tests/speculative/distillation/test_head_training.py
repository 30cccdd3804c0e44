"""A head that is distilled: what it is trained on is what it does when it drafts, and what is saved is a draft."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from speculative.distillation.agreement import match_rate
from speculative.distillation.corpus import read_corpus_part
from speculative.distillation.distill import distill, distill_domains
from speculative.distillation.head_training import HeadRecipe, HeadSettings, HeadStudent, likely_tokens, train_head
from speculative.distillation.training import DistillSettings, Lesson
from speculative.drafts.feature_head import FeatureHead
from speculative.models.feature_head import FeatureHeadModel, HeadConfig
from speculative.models.weight_files import read_weights
from speculative.pools.pool import Pool, load_target
from speculative.pools.spec import read_pool_spec
from speculative.protocols.token_batch import TokenBatch
from tests.support.tiny_pool import POOL, queries, save_pool

SETTINGS = HeadSettings(n_epochs=2, n_vocab=64, n_teacher=4, batch_tokens=256, learning_rate=3e-3, n_unrolled=2)
TRAIN, HELD_OUT = queries(8), queries(4, first=100)
LAYERS = (0, 1)


@pytest.fixture(scope="module")
def pool_file(tmp_path_factory):
    return save_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def target(pool_file):
    return load_target(read_pool_spec(pool_file))


@pytest.fixture(scope="module")
def distilled(target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drafts") / "mine"
    return folder, distill(target, TRAIN, HELD_OUT, folder, SETTINGS)


def test_what_is_trained_is_what_drafts(target):
    """Entry i of the student's logits is the head's after i draft tokens, at every position."""
    config, known = target.model.config, [2, 3, 5, 8, 13, 21]
    recipe = HeadRecipe(config, LAYERS, known, SETTINGS)
    student = HeadStudent(recipe.config, 2)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    weights = {name.replace("midlayer.", "layer."): tensor.detach() for name, tensor in student.state_dict().items()}
    head = FeatureHeadModel(HeadConfig(recipe.config, "eagle3", LAYERS, target_ids=tuple(known)), weights, target.model)
    n, t = 3, 6
    states = torch.randn(t, 2 * config.n_features, generator=generator)
    tokens = torch.tensor([3, 1, 4, 1, 5, 9])
    with torch.no_grad():
        found = student(states[None], target.model.embedding[tokens][None], n)
    for i in range(n):
        for position in range(i, t):
            n_true, cache = position - i + 1, head.new_cache()
            output = head.read(states[:n_true], TokenBatch(tokens[:n_true], [n_true]), cache)
            for token in tokens[n_true : position + 1]:
                output = head.go_on(output.state, TokenBatch(token[None], [1]), cache)
            torch.testing.assert_close(found[i][0, position], output.logits[0], rtol=1e-4, atol=1e-4)


def test_loss_falls_to_little_on_a_cycle(target):
    ids = [1 + i % 5 for i in range(24)]
    following = torch.tensor(ids[1:])[:, None]
    states = target.model.embedding[torch.tensor(ids[:-1])].repeat(1, 2).half()
    lesson = Lesson(torch.tensor(ids), following, torch.ones(23, 1), 4, states)
    settings = replace(SETTINGS, n_epochs=40, batch_tokens=48, learning_rate=1e-2)
    losses = []
    train_head(
        HeadRecipe(target.model.config, LAYERS, [1, 2, 3, 4, 5], settings),
        read_weights(target.folder),
        [lesson] * 4,
        on_step=lambda step, total, loss: losses.append(loss),
    )
    assert losses[0] > 1
    assert losses[-1] < 0.1


def test_a_head_is_saved_in_the_published_form_with_its_measured_match_rate(distilled, target):
    folder, rate = distilled
    draft = FeatureHead.load(str(folder), target)
    assert draft.name == "feature_head_mine"
    assert draft.state_layers == LAYERS
    config = json.loads((folder / "config.json").read_text())
    assert (config["architectures"], config["vocab_size"]) == (["LlamaForCausalLMEagle3"], target.model.n_vocab)
    known = json.loads((folder / "draft_vocabulary.json").read_text())["target_ids"]
    assert known == sorted(known)
    assert config["draft_vocab_size"] == len(known)
    assert rate.low <= rate.value <= rate.high
    assert json.loads((folder / "metrics.json").read_text())["match_rate"]["value"] == rate.value
    card = (folder / "README.md").read_text()
    assert card.startswith("# draftpick draft: mine\n\nA feature head for speculative decoding with")
    assert f"{rate.tokens_per_round:.2f} tokens a round" in card


def test_a_smaller_head_is_trained_in_half_precision_from_the_ends_of_prompts(target, tmp_path):
    settings = replace(SETTINGS, n_epochs=1, n_intermediate=8, prompt_tokens=4, dtype="bfloat16")
    distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "mine", settings)
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert config["intermediate_size"] == 8
    assert FeatureHead.load(str(tmp_path / "mine"), target).head.config.layer.n_intermediate == 8
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "mine" / "model.safetensors").values())


def test_what_is_measured_from_stored_states_is_what_the_head_then_gets_accepted(distilled, target):
    folder, rate = distilled
    texts = read_corpus_part(folder.with_name("mine.work") / "held_out" / "part-00000.jsonl")
    assert match_rate(FeatureHead.load(folder, target), texts) == rate


def test_a_head_goes_on_from_an_earlier_one_of_its_target(distilled, target, tmp_path):
    folder, rate = distilled
    kept = replace(SETTINGS, start=str(folder), n_epochs=1, learning_rate=1e-9, n_vocab=8)
    assert distill(target, TRAIN[:2], HELD_OUT, tmp_path / "mine", kept).n_texts == rate.n_texts
    before, after = (load_file(one / "model.safetensors") for one in (folder, tmp_path / "mine"))
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-3, rtol=0.0)


def test_an_earlier_head_that_does_not_fit_is_refused_before_any_text_is_written(distilled, target, tmp_path):
    typo = replace(SETTINGS, start=str(tmp_path / "typo"))
    with pytest.raises(ValueError, match=r"holds no config.json"):
        distill(target, TRAIN[:2], HELD_OUT, tmp_path / "mine", typo)
    with pytest.raises(ValueError, match=r"holds no config.json"):
        distill_domains(target, (TRAIN, HELD_OUT), tmp_path / "mine", ["words"], typo)
    assert not list(tmp_path.iterdir())
    shutil.copytree(distilled[0], tmp_path / "head")
    config = json.loads((tmp_path / "head" / "config.json").read_text())
    (tmp_path / "head" / "config.json").write_text(json.dumps({**config, "norm_before_residual": True}))
    with pytest.raises(ValueError, match=r"is no head that was distilled for"):
        distill(target, TRAIN[:2], HELD_OUT, tmp_path / "mine", replace(SETTINGS, start=str(tmp_path / "head")))
    assert [path.name for path in tmp_path.iterdir()] == ["head"]


def test_work_that_goes_on_from_a_head_is_not_taken_up_once_that_head_is_made_anew(distilled, target, tmp_path):
    shutil.copytree(distilled[0], tmp_path / "head")
    kept = replace(SETTINGS, start=str(tmp_path / "head"), n_epochs=1)
    distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "mine", kept)
    distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "mine", kept)
    file = tmp_path / "head" / "model.safetensors"
    save_file({**(tensors := load_file(file)), "fc.weight": 1.01 * tensors["fc.weight"]}, file)
    with pytest.raises(ValueError, match=r"mine.work was begun with other earlier head"):
        distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "mine", kept)


def test_a_checkpoint_of_another_size_is_refused_by_name(target, tmp_path):
    small, folder = replace(SETTINGS, n_epochs=1), tmp_path / "mine"
    distill(target, TRAIN[:2], HELD_OUT[:1], folder, replace(small, n_intermediate=8))
    (tmp_path / "other.work").mkdir()
    shutil.copy(tmp_path / "mine.work" / "checkpoint.pt", tmp_path / "other.work")
    with pytest.raises(ValueError, match=r"(?s)checkpoint.pt is damaged, or of another draft .*delete it"):
        distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "other", small)


def test_a_head_knows_the_tokens_that_the_target_thought_of_and_those_of_prompts_by_their_weight():
    ids, probs = torch.tensor([[7, 2], [9, 2], [9, 5]]), torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]])
    lesson = Lesson(torch.tensor([1, 7, 9, 9]), ids, probs, n_prompt=2)
    assert likely_tokens([lesson], replace(SETTINGS, n_vocab=3)) == [2, 5, 9]
    assert likely_tokens([lesson], replace(SETTINGS, n_vocab=1)) == [9]
    assert likely_tokens([lesson], replace(SETTINGS, n_vocab=2, prompt_weight=1.0)) == [7, 9]


def test_the_saved_folder_serves_in_a_pool(distilled, pool_file):
    file = pool_file.with_name("with_head.toml")
    file.write_text(POOL + f'\n[[arms]]\nkind = "feature_head"\nmodel = "{distilled[0]}"\ndraft_length = 3\n')
    pool = Pool.load(file)
    answers = [pool.generate("count: one two", policy=arm).token_ids for arm in ("no_draft", "feature_head_mine_3")]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("stage", ["reading", "training"])
def test_a_stopped_run_goes_on_and_gives_the_same_head(distilled, target, tmp_path, stage, monkeypatch):
    monkeypatch.setattr("speculative.distillation.training.KEEP_EVERY", 1)
    folder = tmp_path / "mine"

    def stop(told, done, total):
        if told.startswith(stage) and done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill(target, TRAIN, HELD_OUT, folder, SETTINGS, on_progress=stop)
    assert not folder.exists()
    assert distill(target, TRAIN, HELD_OUT, folder, SETTINGS) == distilled[1]
    for name, tensor in load_file(distilled[0] / "model.safetensors").items():
        torch.testing.assert_close(load_file(folder / "model.safetensors")[name], tensor)


def test_the_work_of_a_draft_model_is_not_gone_on_from(target, tmp_path):
    folder = tmp_path / "mine"
    model = DistillSettings(n_epochs=1, n_vocab=64, n_teacher=4)
    distill(target, TRAIN[:2], HELD_OUT[:1], folder, model)
    with pytest.raises(ValueError, match="settings"):
        distill(target, TRAIN[:2], HELD_OUT[:1], folder, SETTINGS)


def test_what_was_read_along_other_texts_or_from_another_model_is_refused_by_name(target, tmp_path):
    settings = replace(SETTINGS, n_epochs=1)
    stateless = DistillSettings(n_epochs=1, n_vocab=64, n_teacher=settings.n_teacher)
    for name, prompts, kind in (
        ("mine", TRAIN[:2], settings),
        ("texts", TRAIN[2:4], settings),
        ("model", TRAIN[:2], stateless),
    ):
        distill(target, prompts, HELD_OUT[:1], tmp_path / name, kind)
    part = "lessons/part-00000.safetensors"
    for name, message in (("texts", "was read along another text than"), ("model", "must hold states of shape")):
        shutil.copy(tmp_path / f"{name}.work" / part, tmp_path / "mine.work" / part)
        with pytest.raises(ValueError, match=rf"part-00000.safetensors {message} .*delete it and run again"):
            distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "mine", settings)


def test_a_readme_of_ones_own_is_kept(target, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "README.md").write_text("my notes")
    with pytest.raises(ValueError, match=r"holds a README.md that is no draft's card"):
        distill(target, TRAIN, HELD_OUT, folder, SETTINGS)
    assert (folder / "README.md").read_text() == "my notes"
