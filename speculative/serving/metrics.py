"""Counters and histograms in Prometheus' text format."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping

from speculative.serving.answer_watch import AnswerWatch
from speculative.serving.engine_feedback import EngineFeedback

FIRST_TOKEN_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
PER_TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

METRICS = {
    "requests_total": ("counter", "Requests by the status they were answered with."),
    "decisions_total": ("counter", "Decisions by arm, and by who decided: the stage."),
    "inverse_propensity_sum": ("counter", "Sum of 1 / propensity of the decisions by arm."),
    "failures_total": ("counter", "Answers that an arm did not give, or not to the end."),
    "rewards_total": ("counter", "Rewards by how they came: own, caller, late, default, lost; dropped decisions too."),
    "output_tokens_total": ("counter", "Tokens generated."),
    "prefix_cache_queries_total": ("counter", "Tokens of prompts, where the engine says which of them it had."),
    "prefix_cache_hits_total": ("counter", "Those that it had in its prefix cache."),
    "spec_decode_num_drafts_total": ("counter", "Draft-verify rounds, where the engine says."),
    "spec_decode_num_draft_tokens_total": ("counter", "Draft tokens, where the engine says."),
    "spec_decode_num_accepted_tokens_total": ("counter", "Accepted draft tokens, where the engine says."),
    "spec_decode_num_accepted_tokens_per_pos_total": ("counter", "Accepted draft tokens by position in the draft."),
    "rounds_by_choice_total": ("counter", "Rounds of an arm that chooses at every round, by the chosen arm."),
    "accepted_tokens_by_choice_total": ("counter", "Draft tokens accepted in such rounds, by the chosen arm."),
    "time_to_first_token_seconds": ("histogram", "From the request to the arm's first chunk."),
    "time_per_output_token_seconds": ("histogram", "Seconds of the whole answer for each of its tokens."),
    "stage": ("gauge", "1 for the present stage: shadow, canary or live."),
    "gain_over_incumbent": (
        "gauge",
        "What the policy earns more a decision: low and high end of the interval, estimate.",
    ),
    "hindsights_total": ("counter", "Answers on which the look-ups were replayed."),
    "hindsights_passed_over": ("gauge", "Answers on which they were not, because too many waited."),
    "time_lost_seconds": ("gauge", "What other arms lost against the incumbent; below 0 they saved it."),
    "time_budget_seconds": ("gauge", "What they may lose by now."),
    "decisions_withheld_total": ("counter", "Decisions for which the budget masked an arm."),
    "gain_over_no_draft": ("gauge", "The same against the arm no_draft, where there is one."),
    "trial_decisions": ("gauge", "Rewarded decisions that the gain over the incumbent is told from."),
    "stage_changes_total": ("counter", "Changes of the stage, by the one that was entered."),
    "arm_up": ("gauge", "1 where the arm may be asked, 0 where its circuit is open or it is down."),
    "health_checks_failed_total": ("counter", "Health checks that found an arm down."),
    "waiting_requests": ("gauge", "Requests in the arm's queue, of all its clients, where the engine tells."),
    "learned_decisions": ("gauge", "Decisions that the policy that serves has learned from."),
    "resets_total": ("counter", "Arms forgotten because their rewards had moved."),
    "learning_failed": ("gauge", "1 where the last step of learning failed."),
    "running_requests": ("gauge", "Requests being answered."),
}
"""Kind and help of each metric, by its name without the prefix."""
_BUCKETS = {"time_to_first_token_seconds": FIRST_TOKEN_S, "time_per_output_token_seconds": PER_TOKEN_S}

_Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Numbers that several threads add to, and the page that a Prometheus server reads.

    Names are vLLM's where vLLM has one, under the prefix `draftpick:` and with a label for the arm.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, dict[_Labels, float]] = defaultdict(lambda: defaultdict(float))
        self._counts: dict[str, dict[_Labels, list[int]]] = defaultdict(dict)

    def add(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """Add to a counter.

        Raises:
            KeyError: if there is no such metric.
        """
        with self._lock:
            self._values[_known(name)][tuple(labels.items())] += amount

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge.

        Raises:
            KeyError: if there is no such metric.
        """
        with self._lock:
            self._values[_known(name)][tuple(labels.items())] = value

    def forget(self, name: str, /, **labels: str) -> None:
        """Leave a gauge out from now on, such as that of an arm that has left.

        Raises:
            KeyError: if there is no such metric.
        """
        with self._lock:
            self._values.get(_known(name), {}).pop(tuple(labels.items()), None)

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Add a value to a histogram.

        Raises:
            KeyError: if there is no such histogram.
        """
        buckets, key = _BUCKETS[name], tuple(labels.items())
        with self._lock:
            counts = self._counts[name].setdefault(key, [0] * (len(buckets) + 1))
            counts[bisect_left(buckets, value)] += 1
            self._values[name][key] += value

    def take_answer(self, arm: str, watch: AnswerWatch) -> None:
        """Add what was seen of an answer that has ended, or whose client has left."""
        self.add("output_tokens_total", watch.n_tokens, arm=arm)
        if watch.first_s is not None:
            self.observe("time_to_first_token_seconds", watch.first_s, arm=arm)
        if watch.n_tokens:
            self.observe("time_per_output_token_seconds", watch.seconds / watch.n_tokens, arm=arm)
        if watch.prompt is not None:
            n, cached = watch.prompt
            self.add("prefix_cache_queries_total", n, arm=arm)
            self.add("prefix_cache_hits_total", cached, arm=arm)
        if watch.feedback is not None:
            self._take_feedback(arm, watch.feedback)

    def _take_feedback(self, arm: str, feedback: EngineFeedback) -> None:
        """Add what an engine said of one answer."""
        for name, count in (
            ("spec_decode_num_drafts_total", feedback.n_rounds),
            ("spec_decode_num_draft_tokens_total", feedback.n_draft_tokens),
            ("spec_decode_num_accepted_tokens_total", feedback.n_accepted),
        ):
            if count is not None:
                self.add(name, count, arm=arm)
        for position, count in feedback.accepted_at.items():
            self.add("spec_decode_num_accepted_tokens_per_pos_total", count, arm=arm, position=str(position))

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """Return a counter or gauge by the values of its labels.

        Raises:
            KeyError: if there is no such metric.
        """
        with self._lock:
            found = self._values.get(_known(name), {})
            return {tuple(text for _, text in labels): value for labels, value in found.items()}

    def page(self) -> str:
        """Return everything in Prometheus' text format, version 0.0.4."""
        lines = []
        with self._lock:
            for name, (kind, text) in METRICS.items():
                if name not in self._values:
                    continue
                lines += [f"# HELP draftpick:{name} {text}", f"# TYPE draftpick:{name} {kind}"]
                for labels, value in self._values[name].items():
                    if kind == "histogram":
                        lines += _histogram(name, dict(labels), value, self._counts[name][labels])
                    else:
                        lines.append(_line(name, dict(labels), value))
        return "\n".join(lines) + "\n"


def _known(name: str) -> str:
    if name not in METRICS:
        raise KeyError(name)
    return name


def _histogram(name: str, labels: Mapping[str, str], total: float, counts: list[int]) -> list[str]:
    lines, so_far = [], 0
    for edge, count in zip((*_BUCKETS[name], float("inf")), counts, strict=True):
        so_far += count
        shown = "+Inf" if edge == float("inf") else f"{edge:g}"
        lines.append(_line(f"{name}_bucket", {**labels, "le": shown}, so_far))
    return [*lines, _line(f"{name}_sum", labels, total), _line(f"{name}_count", labels, so_far)]


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"draftpick:{name}{{{shown}}} {value:.12g}" if shown else f"draftpick:{name} {value:.12g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
