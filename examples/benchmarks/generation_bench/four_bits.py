"""The target's weights at 4 bits, against transformers' fastest mode of any dtype."""

import torch

from generation_bench.bench import Bench
from generation_bench.earlier_outputs import fill_stores, n_leaked, plain_texts
from generation_bench.figures import Record, as_record, equality, fastest, ratio_bar, strip
from generation_bench.peers import load_peer, peer_modes
from generation_bench.progress import ticks
from speculative.demo.modes import group_modes
from speculative.measuring.wall_clock import Mode, arm_mode, measure, selector_mode, speed_ratio, tokens_per_second
from speculative.pools.pool import Pool
from speculative.selectors.fixed import FixedSelector

INVARIANT = " (batch-invariant)"
N_STORED = 56  # training prompts whose outputs the suffix drafts may copy from


def measure_four_bits(bench: Bench) -> Record:
    """Answer the measured prompts with every arm of the 4-bit pool, with transformers' modes in two dtypes.

    Rounding makes the text another than float32's; it is compared with itself across arms. Two arms also run with
    attention that makes texts equal bit by bit.
    """
    prompts, seed = bench.prompts, bench.options.seed
    pool = Pool.of(bench.spec(bench.options.int4_pool))
    fill_stores(pool, plain_texts(pool, prompts.train[:N_STORED]))
    invariant = ["no_draft", *(arm.name for arm in pool.arms if arm.draft_length)][:2]
    peers = peer_modes(bench.pool.target, bench.peer, ", float32")
    peers |= peer_modes(pool.target, load_peer(pool.target, torch.bfloat16), ", bfloat16")
    modes = {arm.name: arm_mode(arm) for arm in pool.arms}
    modes |= {name + INVARIANT: _invariant_mode(pool, name) for name in invariant}
    with ticks("4 bits", (len(modes) + len(peers)) * len(prompts.test)) as tick:
        runs = measure(prompts.test, modes | peers, seed, on_progress=tick)
    bench.runs["int4"] = strip(runs)
    by_mode = group_modes(runs, [], pool.arms.names)
    grouped = {name: by_mode[name] for name in [*modes, *peers]}
    peer, ours = fastest(grouped, list(peers)), fastest(grouped, pool.arms.names)
    loose = {name: grouped[name] for name in pool.arms.names}
    exact = {name + INVARIANT: grouped[name + INVARIANT] for name in invariant}
    table = {
        name: {
            "tokens_per_second": tokens_per_second(mode),
            "times_fastest_transformers_mode": as_record(speed_ratio(mode, grouped[peer])),
            "times_no_draft": as_record(speed_ratio(mode, grouped["no_draft"])),
        }
        for name, mode in grouped.items()
    }
    return {
        "modes": table,
        "fastest_transformers_mode": peer,
        "best_arm": ours,
        "equality": equality(pool.target, prompts.test, loose, "no_draft")
        | equality(pool.target, prompts.test, exact, invariant[0] + INVARIANT),
        "measured_texts_in_stores": n_leaked(pool, [run.token_ids for run in grouped["no_draft"]]),
        "bars": [
            ratio_bar(
                "4 bits, best arm, over transformers' fastest mode of any dtype", grouped[ours], grouped[peer], 2.5
            )
        ],
    }


def _invariant_mode(pool: Pool, name: str) -> Mode:
    action = pool.arms.index(name)
    return selector_mode(pool.arms, lambda: FixedSelector(action), name=name + INVARIANT, batch_invariant=True)
