"""From a demo's runs to its table, plots and verdict."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from arms import Query
from arms.atomic_file import write_file
from bandits import Estimate, FullInformationData, Policy
from bandits.evaluation import Evaluation
from speculative.demo.plots import bars_by_group, picks_by_domain
from speculative.measuring.machine import machine_facts
from speculative.measuring.text_equality import compare_texts
from speculative.measuring.wall_clock import (
    Run,
    compose_policy_runs,
    repeated_share,
    speed_ratio,
    tokens_per_second,
)
from speculative.pools.pool import Pool

PLAIN, LOOKUP = "transformers", "transformers prompt lookup"
REAL = " (real run)"


@dataclass(slots=True)
class DemoReport:
    """All figures of a demo.

    Attributes:
        seed: of the run.
        max_new_tokens: the longest answer.
        n_timed: prompts measured in wall-clock time.
        n_transformers: prompts that transformers answered as well.
        evaluation: held-out values by replay.
        speeds: mode to tokens per second, total over total, on the timed prompts.
        ratios: mode to its speed over no draft's and over each transformers mode's, with intervals.
        picks: policy to (domain to (arm to share of held-out queries)).
        domain_speed: domain to (arm to replayed speed over no draft).
        equality: counts of identical texts, ties and differences against no draft's text and transformers'.
        looping_share: share of timed texts in which over half of the 4-grams are repeats.
        verdict: one sentence.
        machine: what it ran on.
    """

    seed: int
    max_new_tokens: int
    n_timed: int
    n_transformers: int
    evaluation: Evaluation
    speeds: dict[str, float]
    ratios: dict[str, dict[str, Estimate]]
    picks: dict[str, dict[str, dict[str, float]]]
    domain_speed: dict[str, dict[str, float]]
    equality: dict[str, int]
    looping_share: float
    verdict: str
    machine: dict[str, Any] = field(default_factory=machine_facts)


def make_report(
    pool: Pool,
    policies: Mapping[str, Policy],
    evaluation: Evaluation,
    test: FullInformationData,
    queries: Sequence[Query],
    runs: Sequence[Run],
    seed: int,
) -> DemoReport:
    """Work out every figure.

    A policy's time on a prompt is its measured selector time plus the measured time of its pick; the policy's
    own real run stands beside it as a check.
    """
    grouped = group_modes(runs, policies, pool.arms.names)
    references = [name for name in ("no_draft", PLAIN, LOOKUP) if name in grouped]
    ratios = {
        name: {reference: speed_ratio(mode_runs, grouped[reference], seed) for reference in references}
        for name, mode_runs in grouped.items()
    }
    texts = [run.token_ids for run in grouped["no_draft"]]
    return DemoReport(
        seed=seed,
        max_new_tokens=pool.target.max_new_tokens,
        n_timed=len(queries),
        n_transformers=len(grouped.get(PLAIN, [])),
        evaluation=evaluation,
        speeds={name: tokens_per_second(mode_runs) for name, mode_runs in grouped.items()},
        ratios=ratios,
        picks={name: _picks(policy, test) for name, policy in policies.items()},
        domain_speed=_domain_speed(test),
        equality=_equality(pool, queries, grouped),
        looping_share=float(np.mean([repeated_share(text) > 0.5 for text in texts])),
        verdict=_verdict(policies, grouped, evaluation, seed),
    )


def group_modes(runs: Sequence[Run], policy_names: Iterable[str], arm_names: Sequence[str]) -> dict[str, list[Run]]:
    """Group runs by mode: arms, then policies, then the policies' real runs, then the rest.

    Under a policy's name stand its picks' measured times plus its own measured selector time; what it took when it
    really ran stands under its name and "(real run)".
    """
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        found[run.mode].append(run)
    grouped = {name: found.pop(name) for name in arm_names}
    real = {name: found.pop(name) for name in policy_names}
    for name, own_runs in real.items():
        picks = {run.query_id: (run.pick or "", run.select_s) for run in own_runs}
        grouped[name] = compose_policy_runs(runs, name, picks)
    return grouped | {name + REAL: own_runs for name, own_runs in real.items()} | found


def save_report(report: DemoReport, runs: Sequence[Run], arm_names: Sequence[str], out: Path) -> None:
    """Write report.md, report.json, runs.json and the two plots."""
    record = asdict(report)
    record["evaluation"] = json.loads(report.evaluation.to_json())
    write_file(out / "report.json", json.dumps(record, indent=1))
    write_file(out / "runs.json", json.dumps([asdict(run) for run in runs]))
    write_file(out / "report.md", to_markdown(report))
    bars_by_group(
        out / "speed_by_domain.png",
        report.domain_speed,
        title="Speed by domain and arm, held-out prompts, replayed",
        x_label="times no draft",
        line=1.0,
    )
    picks_by_domain(out / "picks_by_domain.png", report.picks, arm_names)


def show_report(report: DemoReport, console: Console) -> None:
    """Print the tables and the verdict."""
    table = Table(title=f"by the clock, {report.n_timed} held-out prompts", title_justify="left")
    references = list(next(iter(report.ratios.values())))
    for heading in ("mode", "tokens/s", *(f"times {name}" for name in references)):
        table.add_column(heading, justify="left" if heading == "mode" else "right")
    for name, ratios in report.ratios.items():
        table.add_row(name, f"{report.speeds[name]:.1f}", *(f"{ratios[reference]:.2f}" for reference in references))
    console.print(report.evaluation.to_text(), markup=False, highlight=False)
    console.print(table)
    console.print(_equality_sentence(report))
    console.print(f"[bold]{report.verdict}[/bold]")


def _equality_sentence(report: DemoReport) -> str:
    equality = report.equality
    return (
        f"Texts of every arm, policy and transformers mode against no draft's: {equality['identical']} identical, "
        f"{equality['tie']} parted at a tie of the two best logits, {equality['different']} different. "
        f"{report.looping_share:.0%} of the texts loop (over half of their 4-grams are repeats)."
    )


def to_markdown(report: DemoReport) -> str:
    """Return the report as a page to read."""
    machine = report.machine
    lines = [
        "# draftpick demo",
        "",
        f"**{report.verdict}**",
        "",
        f"{report.n_timed} held-out prompts of {report.max_new_tokens} tokens, every mode on every prompt, "
        f"interleaved; transformers on {report.n_transformers} of them. {machine['processor']}, "
        f"{machine['threads']} threads.",
        "",
        "## By the clock",
        "",
        "Speed is total tokens over total seconds; prefill, encoding and choosing are counted. Brackets: 95 %",
        "bootstrap intervals over prompts, on the prompts that both modes ran.",
        "",
    ]
    references = list(next(iter(report.ratios.values())))
    lines.append("| mode | tokens/s | " + " | ".join(f"times {name}" for name in references) + " |")
    lines.append("|---|---|" + "---|" * len(references))
    for name, ratios in report.ratios.items():
        cells = " | ".join(f"{ratios[reference]:.2f}" for reference in references)
        lines.append(f"| {name} | {report.speeds[name]:.1f} | {cells} |")
    lines += [
        "",
        _equality_sentence(report),
        "",
        "## Held-out prompts by replay",
        "",
        "```",
        report.evaluation.to_text(),
        "```",
        "",
        "![speed by domain](speed_by_domain.png)",
        "",
        "![picks by domain](picks_by_domain.png)",
        "",
    ]
    return "\n".join(lines)


def _picks(policy: Policy, test: FullInformationData) -> dict[str, dict[str, float]]:
    chances = test.probabilities_of(policy)
    domains = np.array(test.domains)
    return {
        str(domain): dict(zip(test.arm_names, chances[domains == domain].mean(axis=0).tolist(), strict=True))
        for domain in dict.fromkeys(test.domains or ())
    }


def _domain_speed(test: FullInformationData) -> dict[str, dict[str, float]]:
    assert test.costs is not None
    domains = np.array(test.domains)
    plain = test.arm_names.index("no_draft")
    speeds = {}
    for domain in dict.fromkeys(test.domains or ()):
        seconds = test.costs[domains == domain].sum(axis=0)
        speeds[str(domain)] = dict(zip(test.arm_names, (seconds[plain] / seconds).tolist(), strict=True))
    return speeds


def _equality(pool: Pool, queries: Sequence[Query], grouped: Mapping[str, Sequence[Run]]) -> dict[str, int]:
    """Compare every mode's text with no draft's."""
    prompts = {query.id: pool.target.request(query).token_ids for query in queries}
    plain = {run.query_id: run.token_ids for run in grouped["no_draft"]}
    counts = {"identical": 0, "tie": 0, "different": 0}
    for name, runs in grouped.items():
        if name == "no_draft" or f"{name}{REAL}" in grouped:  # composed of arms' runs, which are compared
            continue
        for run in runs:
            found = compare_texts(pool.target.model, prompts[run.query_id], plain[run.query_id], run.token_ids)
            counts[found.kind] += 1
    return counts


def _verdict(
    policies: Mapping[str, Policy], grouped: Mapping[str, Sequence[Run]], evaluation: Evaluation, seed: int
) -> str:
    """Name the best learned policy by held-out replay and say what the clock's interval allows."""
    learned = [name for name in policies if name != "best fixed arm"]
    best = max(learned, key=lambda name: evaluation[name].value)
    plain = speed_ratio(grouped[best], grouped["no_draft"], seed)
    fixed_arm = evaluation.best_fixed_arm or "no_draft"
    against_fixed = speed_ratio(grouped[best], grouped[fixed_arm], seed)
    sentence = f"{best}, the best learned policy on held-out prompts, answers {plain:.2f} times as fast as no draft"
    if plain.low <= 1 <= plain.high:
        sentence += " (the interval allows no verdict)"
    if PLAIN in grouped:
        peers = [name for name in (PLAIN, LOOKUP) if name in grouped]
        peer = max(peers, key=lambda name: tokens_per_second(grouped[name]))
        sentence += f", {speed_ratio(grouped[best], grouped[peer], seed):.2f} times as fast as {peer}"
    sentence += f", and {against_fixed:.2f} times as fast as always {fixed_arm}"
    if against_fixed.low <= 1 <= against_fixed.high:
        sentence += " (no verdict between the two)"
    return sentence + "."
