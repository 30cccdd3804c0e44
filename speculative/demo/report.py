"""From a demo's runs to its figures and its conclusion."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from arms import Query
from arms.atomic_file import write_file
from bandits import Estimate, FullInformationData, Policy
from bandits.evaluation.canvas import interval_bars
from speculative.demo.figures import DemoReport
from speculative.demo.learning import FIXED, Learned
from speculative.demo.modes import PEERS, REAL
from speculative.demo.page import to_markdown
from speculative.demo.per_round import PER_ROUND
from speculative.demo.plots import bars_by_group, picks_by_domain
from speculative.measuring.text_equality import compare_texts
from speculative.measuring.wall_clock import Run, repeated_share, speed_ratio, tokens_per_second
from speculative.pools.pool import Pool

NO_DRAFT = "no_draft"


def make_report(
    pool: Pool,
    learned: Learned,
    test: FullInformationData,
    queries: Sequence[Query],
    grouped: Mapping[str, Sequence[Run]],
) -> DemoReport:
    """Work out every figure.

    Args:
        pool: whose arms ran.
        learned: policies, which of them was chosen, and their evaluation on `test`.
        test: held-out data.
        queries: those that ran.
        grouped: runs by mode, from `with_picks`.
    """
    policies, choice, evaluation = learned.policies, learned.choice, learned.evaluation
    fixed = evaluation.best_fixed_arm or NO_DRAFT
    references = [name for name in dict.fromkeys((NO_DRAFT, fixed, learned.plain_arm, *PEERS)) if name in grouped]
    ratios = {
        name: {reference: speed_ratio(runs, grouped[reference], evaluation.seed) for reference in references}
        for name, runs in grouped.items()
    }
    plain = grouped[NO_DRAFT]
    over_policy = speed_ratio(grouped[PER_ROUND], grouped[choice.name + REAL], evaluation.seed)
    return DemoReport(
        seed=evaluation.seed,
        max_new_tokens=max(query.max_new_tokens or pool.target.max_new_tokens for query in queries),
        n_timed=len(plain),
        n_transformers=len(grouped.get(PEERS[0], [])),
        chosen=choice.name,
        held_out={name: f"{score}; {score.conclusion}" for name, score in choice.scores.items()},
        evaluation=evaluation,
        speeds={name: tokens_per_second(runs) for name, runs in grouped.items()},
        ratios=ratios,
        picks=picks_by_policy(policies, test),
        domain_speed=domain_speed(test),
        equality=_equality(pool, queries, grouped, composed=policies),
        peers_compared=same_weights(pool),
        looping_share=float(np.mean([repeated_share(run.token_ids) > 0.5 for run in plain])),
        conclusion=_conclusion(choice.name, fixed, learned.plain_arm, ratios)
        + _per_round_conclusion(choice.name, fixed, ratios[PER_ROUND][fixed], over_policy),
    )


def save_report(report: DemoReport, runs: Sequence[Run], arm_names: Sequence[str], out: Path) -> None:
    """Write report.md, report.json, runs.json and the plots."""
    record = asdict(report)
    record["evaluation"] = json.loads(report.evaluation.to_json())
    write_file(out / "runs.json", json.dumps([asdict(run) for run in runs]))
    write_file(out / "report.md", to_markdown(report))
    bars = {name: ratios[NO_DRAFT] for name, ratios in report.ratios.items() if not name.endswith(REAL)}
    interval_bars(
        out / "speed.png", bars, title="Measured speed on held-out prompts", x_label="times no draft", line=1.0
    )
    save_pictures(report.domain_speed, report.picks, arm_names, out)
    write_file(out / "report.json", json.dumps(record, indent=1))  # the last: where it is, all is


def save_pictures(
    speeds: Mapping[str, Mapping[str, float]],
    picks: Mapping[str, Mapping[str, Mapping[str, float]]],
    arm_names: Sequence[str],
    out: Path,
) -> None:
    """Draw what is known before anything is timed: speed by domain, and each policy's picks."""
    title = "Speed by domain and arm, held-out prompts, replayed"
    bars_by_group(out / "speed_by_domain.png", speeds, title=title, x_label="times no draft", line=1.0)
    shown = {name: by_domain for name, by_domain in picks.items() if name != FIXED}
    picks_by_domain(out / "picks_by_domain.png", shown, arm_names)


def domain_speed(test: FullInformationData) -> dict[str, dict[str, float]]:
    """Return by domain each arm's replayed speed over no draft's, total over total.

    Raises:
        ValueError: if the data hold no seconds.
    """
    if test.costs is None:
        raise ValueError("the held-out data must hold costs, and these hold none")
    domains = np.array(test.domains)
    plain = test.arm_names.index(NO_DRAFT)
    speeds = {}
    for domain in dict.fromkeys(test.domains or ()):
        seconds = test.costs[domains == domain].sum(axis=0)
        speeds[str(domain)] = dict(zip(test.arm_names, (seconds[plain] / seconds).tolist(), strict=True))
    return speeds


def picks_by_policy(
    policies: Mapping[str, Policy], test: FullInformationData
) -> dict[str, dict[str, dict[str, float]]]:
    """Return by policy and domain the mean probability of each arm on the held-out prompts."""
    domains = np.array(test.domains)
    picks: dict[str, dict[str, dict[str, float]]] = {}
    for name, policy in policies.items():
        probabilities = test.probabilities_of(policy)
        means = {str(d): probabilities[domains == d].mean(axis=0).tolist() for d in dict.fromkeys(test.domains or ())}
        picks[name] = {d: dict(zip(test.arm_names, row, strict=True)) for d, row in means.items()}
    return picks


def same_weights(pool: Pool) -> bool:
    """Whether transformers, which has dense weights, computes with the very weights of the target."""
    return pool.target.settings.weights == "dense"


def _equality(
    pool: Pool, queries: Sequence[Query], grouped: Mapping[str, Sequence[Run]], composed: Mapping[str, Policy]
) -> dict[str, int]:
    """Compare every mode's text with no draft's; composed modes are made of arms' runs, which are compared."""
    plain = {run.query_id: run.token_ids for run in grouped[NO_DRAFT]}
    counts = {"identical": 0, "tie": 0, "different": 0}
    asked = {query.id: query for query in queries}
    for name, runs in grouped.items():
        if name == NO_DRAFT or name in composed or (name in PEERS and not same_weights(pool)):
            continue
        for run in runs:
            if run.token_ids == plain[run.query_id]:
                counts["identical"] += 1
                continue
            prompt = pool.target.request(asked[run.query_id]).token_ids
            counts[compare_texts(pool.target.model, prompt, plain[run.query_id], run.token_ids).kind] += 1
    return counts


def _conclusion(chosen: str, fixed: str, plain_arm: str, ratios: Mapping[str, Mapping[str, Estimate]]) -> str:
    """Say what the chosen policy gains over no draft and transformers, and whether over the best fixed arm.

    Where that arm is a rule, the best arm that is none stands beside it.
    """
    own = ratios[chosen]
    sentence = f"{chosen}, chosen on the training prompts, answers held-out ones {own[NO_DRAFT]:.2f} times as fast as"
    sentence += " no draft"
    peers = [name for name in PEERS if name in own]
    if peers:
        best = min(peers, key=lambda name: own[name].value)
        sentence += f" and {own[best]:.2f} times as fast as {best}"
    against = own[fixed]
    if against.low > 1:
        advice = "choosing pays"
    elif against.high < 1:
        advice = "use the fixed arm"
    else:
        advice = "no difference can be told on so few prompts"
    beside = ""
    if plain_arm != fixed:
        beside = f" and {own[plain_arm]:.2f} times as fast as always {plain_arm}, the best arm that is no rule"
    run = ratios.get(chosen + REAL)
    again = "" if run is None else f" (in a run of its own {run[fixed]:.2f})"
    return f"{sentence}. It is {against:.2f} times as fast as always {fixed}{again}{beside}: {advice}."


def _per_round_conclusion(chosen: str, fixed: str, over_fixed: Estimate, over_policy: Estimate) -> str:
    """Say what a choice at every round gains over the best fixed arm and over the policy's own run."""
    if over_policy.low > 1:
        advice = "choose at every round"
    elif over_policy.high < 1:
        advice = "choose once for each prompt"
    else:
        advice = "which of the two is faster cannot be told on so few prompts"
    return (
        f" A choice at every round, learned from the same texts, is {over_fixed:.2f} times as fast as always {fixed} "
        f"and {over_policy:.2f} times as fast as {chosen}, which chooses once for each prompt: {advice}."
    )
