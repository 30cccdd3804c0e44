import json

import pytest

from arms import Query
from speculative.demo.wall_clock_stage import StageLimits, run_wall_clock
from speculative.measuring.wall_clock import Run

QUERIES = [Query(id=f"q{i}", prompt="x") for i in range(5)]


def modes(calls: list[tuple[str, str]]):
    def mode(name: str):
        def run(query: Query) -> Run:
            if query.max_new_tokens is None:  # not a warm-up
                calls.append((query.id, name))
            return Run(query.id, None, name, 0.5, (1, 2))

        return run

    return {name: mode(name) for name in ("a", "b", "peer")}


def run(folder, calls, **options):
    seed = options.pop("seed", 0)
    return run_wall_clock(QUERIES, modes(calls), folder, seed=seed, limits=StageLimits(**options))


def test_every_mode_runs_once_on_every_prompt_but_where_it_is_left_out(tmp_path):
    calls = []
    runs = run(tmp_path, calls, only={"peer": {"q1"}})
    assert sorted(calls) == sorted([(f"q{i}", m) for i in range(5) for m in "ab"] + [("q1", "peer")])
    assert [(found.query_id, found.mode) for found in runs] == calls
    assert runs[0].token_ids == (1, 2)


def test_a_finished_stage_runs_nothing_again(tmp_path):
    first = run(tmp_path, [])
    again = []
    assert run(tmp_path, again) == first
    assert again == []


def test_when_the_time_is_up_at_least_the_least_prompts_have_run(tmp_path):
    runs = run(tmp_path, [], seconds=0.0, least=2)
    assert {found.query_id for found in runs} == {"q0", "q1"}


def test_time_counts_over_all_calls(tmp_path):
    run(tmp_path, [], seconds=0.0, least=2)
    for file in tmp_path.glob("prompt-*.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"seconds": 10.0}))
    assert len({found.query_id for found in run(tmp_path, [], seconds=29.0, least=1)}) == 2
    assert len({found.query_id for found in run(tmp_path, [], seconds=31.0, least=1)}) > 2


def test_a_folder_of_other_modes_or_a_damaged_file_is_refused_by_name(tmp_path):
    run(tmp_path, [], seconds=0.0)
    with pytest.raises(ValueError, match="other seed"):
        run(tmp_path, [], seed=1)
    next(tmp_path.glob("prompt-*.json")).write_text("{}")
    with pytest.raises(ValueError, match="is damaged"):
        run(tmp_path, [])
