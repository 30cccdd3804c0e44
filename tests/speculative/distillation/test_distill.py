"""Distillation on a tiny target: it runs, goes on where it was stopped, and what it saves is a draft."""

import json
import shutil
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from arms.folder_lock import FolderInUseError, FolderLock
from speculative.distillation.agreement import match_rate
from speculative.distillation.corpus import TargetText, read_corpus_part, write_corpus
from speculative.distillation.distill import distill, distill_domains
from speculative.distillation.making import draft_config
from speculative.distillation.training import UNKNOWN, DistillSettings, Lesson, Recipe, choose_vocabulary, train_draft
from speculative.drafts.draft_model import DraftModel
from speculative.models.weight_files import read_weights
from speculative.pools.pool import Pool, load_target
from speculative.pools.spec import read_pool_spec
from speculative.protocols.token_batch import TokenBatch
from speculative.targets.target import Target
from tests.support.tiny_models import save_tiny
from tests.support.tiny_pool import MAX_POSITIONS, N_VOCAB, POOL, byte_tokenizer, queries, save_pool

SETTINGS = DistillSettings(n_epochs=2, n_vocab=64, n_teacher=4, batch_tokens=256, learning_rate=3e-3)
TRAIN, HELD_OUT = queries(8), queries(4, first=100)


@pytest.fixture(scope="module")
def pool_file(tmp_path_factory):
    return save_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def target(pool_file):
    return load_target(read_pool_spec(pool_file))


@pytest.fixture(scope="module")
def distilled(target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drafts") / "mine"
    told = []
    rate = distill(target, TRAIN, HELD_OUT, folder, SETTINGS, on_progress=lambda *told_: told.append(told_))
    return folder, rate, told


@pytest.mark.parametrize("kind", ["llama_bias", "llama_rope_llama3", "qwen2", "qwen3"])
def test_a_draft_of_every_family_is_saved_as_it_was_trained_and_measured(tmp_path, kind):
    sizes = {"vocab_size": N_VOCAB, "max_position_embeddings": MAX_POSITIONS, "eos_token_id": N_VOCAB - 1}
    save_tiny(kind, tmp_path / "target", **sizes)
    byte_tokenizer().save_pretrained(tmp_path / "target")
    own = Target.load(str(tmp_path / "target"), max_new_tokens=12)
    rate = distill(own, TRAIN[:2], HELD_OUT[:2], tmp_path / "mine", replace(SETTINGS, n_epochs=1))
    draft = DraftModel.load(str(tmp_path / "mine"), own.tokenizer, own.model.n_vocab)
    texts = read_corpus_part(tmp_path / "mine.work" / "held_out" / "part-00000.jsonl")
    assert match_rate(draft, texts) == rate
    tokens = torch.arange(20) % draft.model.n_vocab
    reference = AutoModelForCausalLM.from_pretrained(tmp_path / "mine", dtype=torch.float32)
    with torch.inference_mode():
        expected = reference(tokens[None]).logits[0]
    found = draft.model.forward(TokenBatch(tokens, [20]), draft.model.new_cache(1)).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0.0)
    assert draft.model.config.rope_scaling == own.model.config.rope_scaling
    assert draft.model.config.qkv_bias == own.model.config.qkv_bias


def _weights(folder):
    return load_file(folder / "model.safetensors")


def test_a_draft_is_saved_with_its_measured_match_rate(distilled, target):
    folder, rate, _ = distilled
    draft = DraftModel.load(str(folder), target.tokenizer, target.model.n_vocab)
    assert draft.name == "draft_mine"
    assert (draft.model.n_vocab, len(draft.model.layers)) == (len(_known(folder)), 2)
    assert rate.low <= rate.value <= rate.high
    assert rate.n_texts == len(HELD_OUT)
    assert 1 <= rate.tokens_per_round <= 5
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["match_rate"]["value"] == rate.value
    assert metrics["n_train_texts"] == len(TRAIN)
    assert all(tensor.dtype == torch.float16 for tensor in _weights(folder).values())


def _known(folder):
    return json.loads((folder / "draft_vocabulary.json").read_text())["target_ids"]


def test_the_saved_folder_serves_in_a_pool(distilled, pool_file):
    folder, _, _ = distilled
    file = pool_file.with_name("mine.toml")
    file.write_text(POOL.replace('"small"', f'"{folder}"'))
    arm = Pool.load(file).arms["draft_mine_2"]
    plain = Pool.load(pool_file).arms["no_draft"]
    for query in HELD_OUT:
        observation = arm.pull(query, 0)
        assert observation.text == plain.pull(query, 0).text
        assert observation.n_proposed > 0


def test_progress_tells_each_stage_to_its_end(distilled):
    ends = {}
    for stage, done, total in distilled[2]:
        ends[stage.split(" (")[0]] = (done, total)
    assert list(ends) == [
        "writing train text",
        "writing held_out text",
        "reading the target's probabilities",
        "training",
    ]
    assert all(done == total for done, total in ends.values())


@pytest.mark.parametrize("stage", ["writing held_out", "reading", "training"])
def test_a_stopped_run_goes_on_and_gives_the_same_draft(distilled, target, tmp_path, stage, monkeypatch):
    monkeypatch.setattr("speculative.distillation.training.KEEP_EVERY", 1)
    folder, told = tmp_path / "mine", []

    def stop(told, done, total):
        if told.startswith(stage) and done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill(target, TRAIN, HELD_OUT, folder, SETTINGS, on_progress=stop)
    assert not folder.exists()
    rate = distill(target, TRAIN, HELD_OUT, folder, SETTINGS, on_progress=lambda *one: told.append(one))
    assert rate == distilled[1]
    steps = [done for one, done, _ in told if one.startswith("training")]
    assert (steps[0] > 1) == (stage == "training")
    for name, tensor in _weights(distilled[0]).items():
        torch.testing.assert_close(_weights(folder)[name], tensor)


def test_loss_falls_to_nothing_on_a_cycle(target):
    ids = [1 + i % 5 for i in range(24)]
    following = torch.tensor(ids[1:])[:, None]
    lesson = Lesson(torch.tensor(ids), following, torch.ones(23, 1), n_prompt=4)
    settings = DistillSettings(n_epochs=30, batch_tokens=48, learning_rate=1e-2)
    target_ids = [UNKNOWN, 1, 2, 3, 4, 5]
    losses = []
    train_draft(
        Recipe(draft_config(target.model.config, settings, len(target_ids)), target_ids, settings),
        read_weights(Path(target.name)),
        [lesson] * 4,
        on_step=lambda step, total, loss: losses.append(loss),
    )
    assert losses[0] > 1
    assert losses[-1] < 0.05


def test_sides_must_be_disjoint_and_not_empty(target, tmp_path):
    with pytest.raises(ValueError, match="must be disjoint, 1 stand in both"):
        distill(target, TRAIN, TRAIN[:1], tmp_path / "mine", SETTINGS)
    for train, held_out in (([], HELD_OUT), (TRAIN, [])):
        with pytest.raises(ValueError, match="at least one query"):
            distill(target, train, held_out, tmp_path / "mine", SETTINGS)


def test_texts_of_other_prompts_are_not_mixed_in(target, tmp_path):
    distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "mine", SETTINGS)
    with pytest.raises(ValueError, match=r"mine.work was begun with other training prompts"):
        distill(target, TRAIN[2:4], HELD_OUT[:1], tmp_path / "mine", SETTINGS)


def test_other_settings_do_not_go_on_from_older_work(target, tmp_path):
    distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "mine", SETTINGS)
    with pytest.raises(ValueError, match=r"mine.work was begun with other settings"):
        distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "mine", replace(SETTINGS, n_epochs=1))


def test_a_damaged_part_of_the_work_is_named(target, tmp_path):
    distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "mine", SETTINGS)
    for name in ("lessons/part-00000.safetensors", "checkpoint.pt"):
        path = tmp_path / "mine.work" / name
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(ValueError, match=f"{path.name} is damaged"):
            distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "mine", SETTINGS)
        path.unlink()


PARTS = ("train/part-00000.jsonl", "held_out/part-00000.jsonl", "lessons/part-00000.safetensors")


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_the_work_that_was_changed_is_refused_by_name(target, tmp_path, name):
    distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "mine", SETTINGS)
    path = tmp_path / "mine.work" / name
    content = path.read_bytes()
    last = content.rindex(b"1") if name.endswith("jsonl") else len(content) - 3
    path.write_bytes(content[:last] + bytes([content[last] ^ 1]) + content[last + 1 :])
    with pytest.raises(ValueError, match=rf"{path.name} is damaged .*those that were written"):
        distill(target, TRAIN[:2], HELD_OUT[:1], tmp_path / "mine", SETTINGS)


def test_the_vocabulary_is_the_answers_tokens_by_count_then_the_prompts():
    texts = [TargetText("a", (5, 5, 5, 9), (7, 8, 8, 0)), TargetText("b", (9, 6), (8, 7))]
    assert choose_vocabulary(texts, 10) == [UNKNOWN, 8, 7, 5, 9, 6]
    assert choose_vocabulary(texts, 3) == [UNKNOWN, 8, 7]


def test_the_target_itself_matches_everything(target, tmp_path):
    texts = write_corpus(target, HELD_OUT, tmp_path)
    rate = match_rate(DraftModel(target.model, name="same", n_target_vocab=target.model.n_vocab), texts)
    assert (rate.value, rate.low, rate.high) == (1.0, 1.0, 1.0)


def _kept(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("thesis", "thesis holds notes.txt, which is no part of a draft"),
        ("draft_and_notes", "draft_and_notes holds notes.txt"),
        ("config_only", "config_only holds config.json and no draft_vocabulary.json"),
        ("a_file", "a_file is a file"),
        ("a_link", "a_link is a symbolic link to .*thesis"),
        ("target", "is the folder of the target"),
        ("target/draft", "is the folder of the target .*, or lies in or around it"),
    ],
)
def test_nothing_but_an_earlier_draft_is_replaced(distilled, pool_file, tmp_path, place, message):
    shutil.copytree(pool_file.parent / "target", tmp_path / "target")
    shutil.copytree(distilled[0], tmp_path / "draft_and_notes")
    for name in ("thesis", "config_only"):
        (tmp_path / name).mkdir()
    for file in ("thesis/notes.txt", "draft_and_notes/notes.txt", "config_only/config.json", "a_file"):
        (tmp_path / file).write_text("mine")
    (tmp_path / "a_link").symlink_to(tmp_path / "thesis")
    target = Target.load(str(tmp_path / "target"), max_new_tokens=20)
    before = _kept(tmp_path)
    with pytest.raises(ValueError, match=message):
        distill(target, TRAIN, HELD_OUT, tmp_path / place, SETTINGS, on_progress=lambda *told: pytest.fail("it began"))
    assert _kept(tmp_path) == before


def test_what_comes_into_the_folder_while_a_draft_is_trained_is_kept(target, tmp_path):
    folder = tmp_path / "mine"

    def interfere(stage, done, total):
        if stage.startswith("training"):
            folder.mkdir(exist_ok=True)
            (folder / "notes.txt").write_text("mine")

    with pytest.raises(ValueError, match=r"holds notes.txt, which is no part of a draft"):
        distill(target, TRAIN, HELD_OUT, folder, SETTINGS, on_progress=interfere)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_an_earlier_draft_is_replaced_and_another_target_of_the_same_name_is_noticed(distilled, pool_file, tmp_path):
    shutil.copytree(pool_file.parent / "target", tmp_path / "target")
    shutil.copytree(distilled[0], tmp_path / "mine")
    load = partial(Target.load, str(tmp_path / "target"), max_new_tokens=20)
    distill(load(), TRAIN[:2], HELD_OUT, tmp_path / "mine", SETTINGS)
    assert json.loads((tmp_path / "mine" / "metrics.json").read_text())["n_train_texts"] == 2
    file = tmp_path / "target" / "model.safetensors"
    save_file({name: 1.01 * tensor for name, tensor in load_file(file).items()}, file)
    with pytest.raises(ValueError, match="was begun with other target; name another folder"):
        distill(load(), TRAIN[:2], HELD_OUT, tmp_path / "mine", SETTINGS)


def test_two_distillations_into_one_folder_are_refused(target, tmp_path):
    with closing(FolderLock(tmp_path / "mine.work", "distillation")), pytest.raises(FolderInUseError, match="in use"):
        distill(target, TRAIN, HELD_OUT, tmp_path / "mine", SETTINGS)


def test_a_target_outside_the_own_decoder_is_refused_before_any_text_is_written(target, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(target.folder)
    other = Target.of(model, target.tokenizer, max_new_tokens=20)
    with pytest.raises(ValueError, match="needs a target that was loaded into draftpick's own decoder"):
        distill(other, TRAIN, HELD_OUT, tmp_path / "mine", SETTINGS)
    with pytest.raises(ValueError, match="needs a target that was loaded into draftpick's own decoder"):
        distill_domains(other, (TRAIN, HELD_OUT), tmp_path / "mine", ["words"], SETTINGS)
    assert not list(tmp_path.iterdir())
