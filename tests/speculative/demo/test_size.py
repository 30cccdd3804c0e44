from dataclasses import replace

from speculative.demo.size import SHARES, TOKENS, choose_size
from tests.support.tiny_pool import plain_costs


def slower(factor: float):
    costs = plain_costs()
    grid = tuple(tuple(cell * factor for cell in row) for row in costs.verify_grid)
    return replace(costs, verify_grid=grid, prefill_grid=tuple(cell * factor for cell in costs.prefill_grid))


def test_a_slower_machine_takes_shorter_answers_then_fewer_prompts():
    sizes = [choose_size(slower(factor), 100, 210, 6, 2, 600.0) for factor in (0.001, 0.01, 0.02, 0.03, 0.05, 0.1, 1)]
    work = [(SHARES.index(size.share), TOKENS.index(size.max_new_tokens)) for size in sizes]
    assert work == sorted(work)
    assert len(set(work)) > 2
    assert (sizes[-1].share, sizes[-1].max_new_tokens) == (SHARES[-1], TOKENS[-1])


def test_more_time_takes_no_less():
    sizes = [choose_size(slower(0.04), 100, 210, 6, 2, seconds) for seconds in (60.0, 300.0, 600.0, 3600.0)]
    work = [(-size.share, -size.max_new_tokens) for size in sizes]
    assert work == sorted(work, reverse=True)


def test_every_peer_takes_its_share_of_the_time():
    words = [choose_size(slower(0.018), 100, 210, 6, n_peers, 600.0).max_new_tokens for n_peers in (0, 2, 3, 12)]
    assert words == sorted(words, reverse=True)
    assert words[2] < words[1]
