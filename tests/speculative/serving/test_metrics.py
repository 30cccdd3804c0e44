"""The page is Prometheus' text format: cumulative buckets, escaped labels, and only metrics that are known."""

import json
import re
from pathlib import Path

import pytest

from speculative.serving.answer_watch import AnswerWatch
from speculative.serving.completion_request import CompletionRequest
from speculative.serving.metrics import METRICS, Metrics


def test_buckets_are_cumulative_and_an_edge_belongs_to_its_bucket():
    metrics = Metrics()
    for value in (0.01, 0.02, 99.0):
        metrics.observe("time_to_first_token_seconds", value, arm="a")
    lines = metrics.page().splitlines()
    name = "draftpick:time_to_first_token_seconds"
    assert f"# TYPE {name} histogram" in lines
    assert f'{name}_bucket{{arm="a",le="0.01"}} 1' in lines
    assert f'{name}_bucket{{arm="a",le="0.025"}} 2' in lines
    assert f'{name}_bucket{{arm="a",le="60"}} 2' in lines
    assert f'{name}_bucket{{arm="a",le="+Inf"}} 3' in lines
    assert f'{name}_count{{arm="a"}} 3' in lines


def test_labels_are_escaped():
    metrics = Metrics()
    metrics.add("failures_total", arm='a"\\\nb')
    assert 'draftpick:failures_total{arm="a\\"\\\\\\nb"} 1' in metrics.page()


def test_tokens_that_a_prefix_cache_had_are_added_up_where_an_engine_says_them():
    metrics = Metrics()
    request = CompletionRequest("completions", {}, "x", False, False, None)
    for usage in ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}, {"prompt_tokens": 5}):
        watch = AnswerWatch(request)
        watch.take(json.dumps({"choices": [], "usage": usage}).encode())
        metrics.take_answer("a", watch)
    assert metrics.values("prefix_cache_queries_total") == {("a",): 9.0}
    assert metrics.values("prefix_cache_hits_total") == {("a",): 4.0}


@pytest.mark.parametrize(
    "note", [Metrics().add, lambda name: Metrics().set(name, 1.0), lambda n: Metrics().observe(n, 1)]
)
def test_an_unknown_metric_is_an_error(note):
    with pytest.raises(KeyError):
        note("unheard_of")


def test_every_expression_of_the_dashboard_names_metrics_that_exist():
    root = Path(__file__).parents[3]
    board = json.loads((root / "examples" / "serving" / "grafana.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    named = {name for one in expressions for name in re.findall(r"draftpick:(\w+)", one)}
    series = {f"{name}_bucket" if kind == "histogram" else name for name, (kind, _) in METRICS.items()}
    assert all("draftpick:" in one and one.count("(") == one.count(")") for one in expressions)
    assert named - series == set()
