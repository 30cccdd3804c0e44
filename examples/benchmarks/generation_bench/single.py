"""Batch 1, float32: every arm, rule and learned policy against transformers' modes."""

import json
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from rich.console import Console

from bandits import BestFixedArm, Bootstrap, FullInformationData, Policy, evaluate
from generation_bench.bench import Bench
from generation_bench.earlier_outputs import n_leaked
from generation_bench.figures import Record, as_record, equality, fastest, ratio_bar, strip, without
from generation_bench.peers import GREEDY, assistant_modes, peer_modes
from generation_bench.progress import ticks
from generation_bench.rules import threshold_modes, ucb_arms, ucb_modes
from rewards import TimeSaved
from speculative.collection.collect import data_from_traces
from speculative.collection.tracing import trace_queries
from speculative.demo.learning import learn
from speculative.demo.modes import REAL, group_modes
from speculative.measuring.wall_clock import (
    Run,
    arm_mode,
    measure,
    policy_mode,
    repeated_share,
    speed_ratio,
    tokens_per_second,
)

Grouped = Mapping[str, Sequence[Run]]


def measure_single(bench: Bench) -> Record:
    """Learn policies on the training prompts by replay, then answer the measured prompts in every mode."""
    pool, prompts, seed = bench.pool, bench.prompts, bench.options.seed
    traces = bench.training_traces  # before the test traces: they fill the stores
    as_data = partial(data_from_traces, arms=pool.arms, encoder=pool.encoder, costs=bench.costs, reward=TimeSaved())
    train = as_data(prompts.train, traces)
    test = as_data(prompts.test, trace_queries(prompts.test, pool.arms, pool.encoder))
    fitted = learn(train, seed)
    evaluation = evaluate(fitted, test, training_data=train, bootstrap=Bootstrap(seed=seed))
    policies = {name: policy for name, policy in fitted.items() if not isinstance(policy, BestFixedArm)}  # an arm's row
    Console().print(evaluation.to_text(), markup=False)
    rules, bandits = threshold_modes(pool), ucb_modes(pool, bench.costs)
    peers = peer_modes(pool.target, bench.peer) | assistant_modes(
        bench.spec(bench.options.pool), pool.target, bench.peer
    )
    modes = {arm.name: arm_mode(arm) for arm in pool.arms} | rules | bandits
    for name, policy in policies.items():
        modes[name] = policy_mode(pool.arms, pool.encoder, policy, name=name, seed=seed)
    modes |= peers
    with ticks("batch 1", len(modes) * len(prompts.test)) as tick:
        runs = measure(prompts.test, modes, seed, on_progress=tick)
    bench.runs["single"] = strip(runs)
    order = [*pool.arms.names, *rules, *bandits, *policies, *(name + REAL for name in policies), *peers]
    by_mode = group_modes(runs, policies, pool.arms.names)
    grouped = {name: by_mode[name] for name in order}
    found = _speeds(grouped, pool.arms.names, list(rules), list(peers), policies)
    texts = [run.token_ids for run in grouped["no_draft"]]
    compared = {name: mode for name, mode in grouped.items() if f"{name}{REAL}" not in grouped}
    return {
        **found,
        "rules": list(rules),
        "bandit_rules": list(bandits),
        "bandit_rules_choose_from": ucb_arms(pool),
        "best_fixed_arm_of_training": _best_of_training(train),
        "replayed": json.loads(evaluation.to_json()),
        "equality": equality(pool.target, prompts.test, compared, "no_draft"),
        "measured_texts_in_stores": n_leaked(pool, texts),
    }


def _speeds(
    grouped: Grouped, arms: Sequence[str], rules: Sequence[str], peers: Sequence[str], policies: Mapping[str, Policy]
) -> Record:
    """Every mode's speed beside the best of each kind, by domain, and the bars."""
    peer, fixed = fastest(grouped, peers), fastest(grouped, arms)
    ours = fastest(grouped, [*arms, *rules])
    learned = fastest(grouped, list(policies))
    loops = {run.query_id for run in grouped["no_draft"] if repeated_share(run.token_ids) > 0.5}
    n_queries = len(grouped["no_draft"])
    table = {
        name: {
            "tokens_per_second": tokens_per_second(runs),
            "times_transformers_greedy": as_record(speed_ratio(runs, grouped[GREEDY])),
            "times_best_transformers_mode": as_record(speed_ratio(runs, grouped[peer])),
            "times_best_fixed_arm": as_record(speed_ratio(runs, grouped[fixed])),
            "times_best_transformers_mode_without_loops": _without_loops(runs, grouped[peer], loops),
        }
        for name, runs in grouped.items()
    }
    bars = [
        ratio_bar("no draft over transformers' greedy", grouped["no_draft"], grouped[GREEDY], 1.7),
        ratio_bar(
            "best fixed arm or threshold rule over transformers' best single mode (aim: 2.2)",
            grouped[ours],
            grouped[peer],
            1.9,
        ),
        ratio_bar("best learned policy over transformers' best single mode", grouped[learned], grouped[peer], 1.7),
        ratio_bar("best learned policy over the best fixed arm", grouped[learned], grouped[fixed], 1.0),
    ]
    return {
        "modes": table,
        "best_transformers_mode": peer,
        "best_fixed_arm": fixed,
        "best_fixed_arm_or_rule": ours,
        "best_learned_policy": learned,
        "oracle_over_best_fixed_arm": _oracle_lead(grouped, arms, fixed),
        "looping_share": len(loops) / n_queries,
        "bars": bars,
        "by_domain": _by_domain(grouped, list(dict.fromkeys([*arms, ours, learned]))),
    }


def _without_loops(runs: Sequence[Run], peer: Sequence[Run], loops: set[str]) -> dict[str, float] | None:
    """Return the ratio on texts that do not loop; None where all do."""
    straight = without(runs, loops)
    return as_record(speed_ratio(straight, peer)) if straight else None


def _best_of_training(train: FullInformationData) -> str:
    fixed = BestFixedArm().fit(train)
    return fixed.arm_names[int(np.argmax(fixed.mean_rewards()))]


def _oracle_lead(grouped: Grouped, arms: Sequence[str], best_fixed: str) -> float:
    """Seconds of the best fixed arm over those of each prompt's fastest arm (one timing each: a little high)."""
    seconds = {name: {run.query_id: run.seconds for run in grouped[name]} for name in arms}
    fastest_s = sum(min(seconds[name][query] for name in arms) for query in seconds[best_fixed])
    return sum(seconds[best_fixed].values()) / fastest_s


def _by_domain(grouped: Grouped, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Speed over transformers' greedy in each domain."""
    domains = dict.fromkeys(run.domain for run in grouped["no_draft"])
    found: dict[str, dict[str, float]] = {}
    for domain in domains:
        of_domain = {name: [run for run in grouped[name] if run.domain == domain] for name in (*names, GREEDY)}
        found[str(domain)] = {name: speed_ratio(of_domain[name], of_domain[GREEDY]).value for name in names}
    return found
