"""Our off-policy estimators against Open Bandit Pipeline's, on its own small data set, to 1e-6.

Open Bandit Pipeline (obp) pins old libraries, so it lives in an environment of its own:

    python -m venv peers && echo "$PWD/.venv/lib/python3.11/site-packages" > peers/lib/python3.11/site-packages/ours.pth
    peers/bin/pip install --no-deps --ignore-requires-python obp==0.5.7 pyieoe seaborn
    PYTHONPATH=. peers/bin/python examples/benchmarks/check_obp.py    # writes docs/results/check_obp.json
    python examples/benchmarks/check_obp.py --smoke                   # synthetic rows; formulas only without obp

Its loader fails on pandas 3, so the files it brings are read here: fashion shown by a uniform and by a Thompson
sampling policy, clicks as rewards. Both sides are given the same policy, propensities and predicted rewards.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import importlib.util
import json
import sys
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from arms.atomic_file import write_file
from bandits import (
    IPS,
    SNIPS,
    DirectMethod,
    DoublyRobust,
    EpsilonGreedy,
    LinUCB,
    LoggedData,
    Policy,
    SelfNormalisedDR,
)
from bandits.off_policy import CrossFittedRidge, GivenPredictions, OffPolicyProblem
from bandits.off_policy.estimators import (
    ClippedIPS,
    MarginalisedIPS,
    OffPolicyEstimator,
    RejectionReplay,
    ShrunkDR,
    SubGaussianDR,
    SubGaussianIPS,
    SwitchDR,
)

RESULTS = Path(__file__).parents[2] / "docs" / "results"
TOLERANCE = 1e-6
CLIP = 5.0
SHRINKAGE = 10.0
SMOOTHING = 0.1
N_FAMILIES = 8  # of arms: what they share, for weights of families


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Compare, print, and write `docs/results/check_obp.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="synthetic rows; writes nothing")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with_obp = importlib.util.find_spec("obp") is not None
    if not with_obp and not options.smoke:
        raise SystemExit("obp is not installed: see the head of this file (or pass --smoke)")
    logs = synthetic_logs(options.seed) if options.smoke else bundled_logs()
    rows = [row for name, log in logs.items() for row in compare(name, log, logs, with_obp, options.seed)]
    for row in rows:
        print("{log:12} {policy:13} {estimator:18} ours {ours:+.9f}  apart {apart:.1e}".format(**row))
    worst = max(row["apart"] for row in rows)
    bar = {"name": "largest difference to obp", "value": worst, "bar": TOLERANCE, "holds": bool(worst <= TOLERANCE)}
    print(f"largest difference {worst:.1e} over {len(rows)} values, against {'obp' if with_obp else 'formulas'}")
    result: dict[str, Any] = {
        "rows": rows,
        "bars": [bar],
        "against": f"obp {metadata.version('obp')}" if with_obp else "formulas",
        "n_rows": {name: len(log) for name, log in logs.items()},
        "command": f"python examples/benchmarks/check_obp.py {' '.join(arguments or sys.argv[1:])}".strip(),
        "seed": options.seed,
        "date": time.strftime("%Y-%m-%d"),
    }
    if not options.smoke:
        from speculative.measuring.machine import machine_facts

        result["machine"] = machine_facts()
        write_file(RESULTS / "check_obp.json", json.dumps(result, indent=1) + "\n")
    if not bar["holds"]:
        raise SystemExit(f"estimates differ by {worst:.1e}, more than {TOLERANCE}")
    return result


def compare(name: str, log: LoggedData, logs: dict[str, LoggedData], with_obp: bool, seed: int) -> list[dict[str, Any]]:
    """Return each estimator's value here and there, for a policy fitted to another log and its greedy twin."""
    other = next(one for key, one in logs.items() if key != name and one.arm_names == log.arm_names)
    greedy = LinUCB(ucb_width=0.0, prior_precision=10.0).fit(other)
    policies: dict[str, Policy] = {
        "greedy": greedy,
        "epsilon 0.3": EpsilonGreedy(LinUCB(ucb_width=0.0, prior_precision=10.0), epsilon=0.3).fit(other),
    }
    uniform = np.ptp(log.propensities) == 0
    if uniform:
        log = replace(log, action_probabilities=np.full((len(log), log.n_arms), 1 / log.n_arms))
    predictions = CrossFittedRidge(prior_precision=10.0, seed=seed).predict(log)
    rows = []
    for policy_name, policy in policies.items():
        problem = OffPolicyProblem.of(policy, log)
        theirs = (obp_values if with_obp else formula_values)(problem, predictions)
        families = {name: arm % N_FAMILIES for arm, name in enumerate(log.arm_names)}
        ours_too = (MarginalisedIPS(families),) if uniform else ()
        for estimator in (*estimators(predictions), *ours_too):
            ours = estimator.value(problem)
            row = {"log": name, "policy": policy_name, "estimator": estimator.name, "ours": ours}
            their = theirs[estimator.name]
            rows.append({**row, "theirs": float(their), "apart": abs(ours - float(their))})
        if policy_name == "greedy" and uniform:  # obp's replay means a uniform log
            ours = RejectionReplay().value(problem)
            their = theirs["RejectionReplay"]
            row = {"log": name, "policy": policy_name, "estimator": "RejectionReplay", "ours": ours}
            rows.append({**row, "theirs": float(their), "apart": abs(ours - float(their))})
    return rows


def estimators(predictions: np.ndarray) -> list[OffPolicyEstimator]:
    """Return what both libraries define alike."""
    model = GivenPredictions(predictions)
    return [
        IPS(),
        ClippedIPS(CLIP),
        SNIPS(),
        SubGaussianIPS(SMOOTHING),
        DirectMethod(model),
        DoublyRobust(model),
        SelfNormalisedDR(model),
        SwitchDR(CLIP, model),
        ShrunkDR(SHRINKAGE, model),
        SubGaussianDR(SMOOTHING, model),
    ]


def obp_values(problem: OffPolicyProblem, predictions: np.ndarray) -> dict[str, float]:
    """Return obp's estimates under our names."""
    ope = importlib.import_module("obp.ope")
    log = problem.log
    base = {"reward": log.rewards, "action": log.actions, "action_dist": problem.probabilities[:, :, None]}
    weighted = {**base, "pscore": log.propensities}
    modelled = {**weighted, "estimated_rewards_by_reg_model": predictions[:, :, None]}
    return {
        "IPS": ope.InverseProbabilityWeighting().estimate_policy_value(**weighted),
        f"ClippedIPS({CLIP:g})": ope.InverseProbabilityWeighting(lambda_=CLIP).estimate_policy_value(**weighted),
        "SNIPS": ope.SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**weighted),
        "DirectMethod": ope.DirectMethod().estimate_policy_value(**modelled),
        "DoublyRobust": ope.DoublyRobust().estimate_policy_value(**modelled),
        "SelfNormalisedDR": ope.SelfNormalizedDoublyRobust().estimate_policy_value(**modelled),
        "RejectionReplay": ope.ReplayMethod().estimate_policy_value(**base),
        f"SwitchDR({CLIP:g})": ope.SwitchDoublyRobust(lambda_=CLIP).estimate_policy_value(**modelled),
        f"ShrunkDR({SHRINKAGE:g})": ope.DoublyRobustWithShrinkage(lambda_=SHRINKAGE).estimate_policy_value(**modelled),
        f"SubGaussianIPS({SMOOTHING:g})": ope.SubGaussianInverseProbabilityWeighting(
            lambda_=SMOOTHING
        ).estimate_policy_value(**weighted),
        f"SubGaussianDR({SMOOTHING:g})": ope.SubGaussianDoublyRobust(lambda_=SMOOTHING).estimate_policy_value(
            **modelled
        ),
        "MarginalisedIPS": ope.MarginalizedInverseProbabilityWeighting(n_actions=log.n_arms).estimate_policy_value(
            **base,
            context=log.contexts,
            action_embed=log.actions[:, None] % N_FAMILIES,
            pi_b=np.full((len(log), log.n_arms, 1), 1 / log.n_arms),
            p_e_a=np.eye(N_FAMILIES)[np.arange(log.n_arms) % N_FAMILIES][:, :, None],
        ),
    }


def formula_values(problem: OffPolicyProblem, predictions: np.ndarray) -> dict[str, float]:
    """Return the textbook formulas, written out with loops over rows."""
    log, n = problem.log, len(problem.log)
    probability = [problem.probabilities[i, a] for i, a in enumerate(log.actions)]
    w = [probability[i] / log.propensities[i] for i in range(n)]
    r = log.rewards.tolist()
    q = [predictions[i, a] for i, a in enumerate(log.actions)]
    direct = [float(problem.probabilities[i] @ predictions[i]) for i in range(n)]
    family = np.arange(log.n_arms) % N_FAMILIES
    shared = [problem.probabilities[i, family == family[a]].sum() for i, a in enumerate(log.actions)]
    sizes = [(family == family[a]).sum() / log.n_arms for a in log.actions]
    switched = [w[i] if w[i] <= CLIP else 0.0 for i in range(n)]
    shrunk = [SHRINKAGE * w[i] / (w[i] ** 2 + SHRINKAGE) for i in range(n)]
    smooth = [w[i] / (1 - SMOOTHING + SMOOTHING * w[i]) for i in range(n)]
    corrected = {
        f"SwitchDR({CLIP:g})": switched,
        f"ShrunkDR({SHRINKAGE:g})": shrunk,
        f"SubGaussianDR({SMOOTHING:g})": smooth,
    }
    matches = [r[i] for i in range(n) if probability[i] == 1]
    return {
        "IPS": sum(w[i] * r[i] for i in range(n)) / n,
        f"ClippedIPS({CLIP:g})": sum(min(w[i], CLIP) * r[i] for i in range(n)) / n,
        "SNIPS": sum(w[i] * r[i] for i in range(n)) / sum(w),
        "DirectMethod": sum(direct) / n,
        "DoublyRobust": sum(direct[i] + w[i] * (r[i] - q[i]) for i in range(n)) / n,
        "SelfNormalisedDR": sum(direct) / n + sum(w[i] * (r[i] - q[i]) for i in range(n)) / sum(w),
        "RejectionReplay": sum(matches) / len(matches) if matches else 0.0,
        f"SubGaussianIPS({SMOOTHING:g})": sum(smooth[i] * r[i] for i in range(n)) / n,
        "MarginalisedIPS": sum(shared[i] / sizes[i] * r[i] for i in range(n)) / n,
        **{name: sum(direct[i] + v[i] * (r[i] - q[i]) for i in range(n)) / n for name, v in corrected.items()},
    }


def bundled_logs() -> dict[str, LoggedData]:
    """Read the files that obp brings: men's and women's fashion, uniform and Thompson sampling."""
    spec = importlib.util.find_spec("obp")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "dataset" / "obd"
    names = [(behaviour, campaign) for campaign in ("men", "women") for behaviour in ("random", "bts")]
    tables = {name: read_table(folder / name[0] / name[1] / f"{name[1]}.csv") for name in names}
    result = {}
    for campaign in ("men", "women"):
        own = {name: table for name, table in tables.items() if name[1] == campaign}
        features = [key for key in next(iter(own.values()))[0] if key.startswith("user_feature")]
        levels = {(key, row[key]) for table in own.values() for row in table for key in features}
        place = {level: index for index, level in enumerate(sorted(levels))}
        n_items = 1 + max(int(row["item_id"]) for table in own.values() for row in table)
        for (behaviour, _), table in own.items():
            result[f"{behaviour}/{campaign}"] = to_log(table, features, place, n_items)
    return result


def read_table(path: Path) -> list[dict[str, str]]:
    """Return a CSV file's rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def to_log(
    table: list[dict[str, str]], features: list[str], place: dict[tuple[str, str], int], n_items: int
) -> LoggedData:
    """Return decisions with one-hot user features as contexts."""
    contexts = np.zeros((len(table), len(place)), np.float32)
    for index, row in enumerate(table):
        for key in features:
            contexts[index, place[key, row[key]]] = 1.0
    return LoggedData(
        contexts=contexts,
        actions=np.array([int(row["item_id"]) for row in table]),
        rewards=np.array([float(row["click"]) for row in table]),
        propensities=np.array([float(row["propensity_score"]) for row in table]),
        arm_names=tuple(f"item_{item}" for item in range(n_items)),
    )


def synthetic_logs(seed: int) -> dict[str, LoggedData]:
    """Return two small logs: one uniform, one not."""
    rng = np.random.default_rng(seed)
    result = {}
    for name, sharpness in (("uniform", 0.0), ("softmax", 1.0)):
        contexts = rng.normal(size=(300, 4)).astype(np.float32)
        scores = np.exp(sharpness * contexts)
        probabilities = scores / scores.sum(axis=1, keepdims=True)
        actions = np.array([rng.choice(4, p=row) for row in probabilities])
        rewards = contexts[np.arange(300), actions] + rng.normal(size=300)
        names = ("a", "b", "c", "d")
        result[name] = LoggedData(contexts, actions, rewards, probabilities[np.arange(300), actions], names)
    return result


if __name__ == "__main__":
    main()
