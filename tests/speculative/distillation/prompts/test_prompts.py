import statistics
from collections.abc import Callable

import pytest

from speculative.distillation.prompts import (
    TrainingPrompt,
    code_prompts,
    maths_word_problems,
    prose_prompts,
    split,
)
from speculative.distillation.prompts.code_tasks import code_tasks

Source = Callable[[int, int], list[TrainingPrompt]]
every_source = pytest.mark.parametrize("source", [maths_word_problems, code_prompts, prose_prompts])


@every_source
def test_same_seed_gives_the_same_prompts(source: Source) -> None:
    assert source(200, 3) == source(200, 3)
    assert source(200, 3) != source(200, 4)


@every_source
def test_a_longer_draw_begins_with_the_shorter_one(source: Source) -> None:
    assert source(200, 5)[:50] == source(50, 5)


@every_source
def test_thousands_of_distinct_filled_prompts_of_moderate_length(source: Source) -> None:
    records = source(4000, 0)
    assert len({record["prompt"] for record in records}) == len({record["id"] for record in records}) == 4000
    assert all(record["prompt"].strip() and record["group"] for record in records)
    assert len({record["domain"] for record in records}) == 1
    lengths = [len(record["prompt"].split()) for record in records]
    assert statistics.median(lengths) < 150
    assert max(lengths) < 250


@every_source
def test_held_out_prompts_share_no_group_across_seeds(source: Source) -> None:
    first, second = source(2000, 1), source(2000, 2)
    train = [record for record in first if split(record, 0.2) == "train"]
    held_out = [record for record in second if split(record, 0.2) == "held_out"]
    assert 100 < len(held_out) < 1000
    assert not {record["group"] for record in train} & {record["group"] for record in held_out}
    assert not {record["prompt"] for record in train} & {record["prompt"] for record in held_out}


def test_held_out_share_zero_and_one_take_nothing_and_everything() -> None:
    records = maths_word_problems(50, 0)
    assert {split(record, 0.0) for record in records} == {"train"}
    assert {split(record, 1.0) for record in records} == {"held_out"}
    with pytest.raises(ValueError, match=r"held_out_share must be a finite number in \[0, 1\], got 1.5"):
        split(records[0], 1.5)


@every_source
def test_no_slot_is_left_open_in_prose_and_maths(source: Source) -> None:
    if source is not code_prompts:
        assert not any("{" in record["prompt"] for record in source(2000, 6))


def test_maths_uses_at_least_forty_templates() -> None:
    assert len({record["group"] for record in maths_word_problems(2000, 0)}) >= 40


def test_every_code_task_has_a_distinct_name_and_valid_signature_and_example() -> None:
    tasks = code_tasks()
    assert len(tasks) >= 60
    assert len({task.name for task in tasks}) == len(tasks)
    for task in tasks:
        compile(f"def {task.signature}:\n    assert {task.example}", task.name, "exec")
        assert task.goal[0].islower()


@every_source
def test_bad_and_too_large_counts_are_refused(source: Source) -> None:
    assert source(0, 0) == []
    with pytest.raises(ValueError, match="n must be an integer >= 0, got -1"):
        source(-1, 0)


def test_a_used_up_source_says_how_much_it_holds() -> None:
    from speculative.distillation.prompts.training_prompt import draw_distinct

    with pytest.raises(ValueError, match="n must be at most about 1 for the source 'tiny', got 2"):
        draw_distinct("tiny", 2, lambda: ("group", "the same prompt"))
