"""Attention of ragged rows: the same numbers however they are cut into calls."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from speculative.models.attention import Apart, AttentionPlan, attend
from speculative.protocols.token_batch import TokenBatch

N_GROUPS, N_KV_HEADS, HEAD_DIM, CAPACITY = 2, 3, 4, 40
ROWS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), min_size=1, max_size=5)


@given(rows=ROWS, first=st.integers(0, 2))
def test_every_cut_gives_what_the_formula_gives(rows: list[tuple[int, int]], first: int) -> None:
    starts, counts = [start for start, _ in rows], [count for _, count in rows]
    generator = torch.Generator().manual_seed(sum(starts))
    n = sum(counts)
    queries = torch.randn(n, N_GROUPS * N_KV_HEADS, HEAD_DIM, generator=generator)
    keys, values = torch.randn(2, first + len(rows), N_KV_HEADS, CAPACITY, HEAD_DIM, generator=generator)
    expected, seen = [], 0
    for row, (start, count) in enumerate(rows, first):
        for i in range(count):
            expected.append(formula(queries[seen], keys[row, :, : start + i + 1], values[row, :, : start + i + 1]))
            seen += 1
    apart: Apart
    for apart in ("none", "rows", "tokens"):
        plan = AttentionPlan(TokenBatch(torch.zeros(n), counts, first), starts, N_GROUPS, torch.float32, apart)
        assert len(plan.parts) == {"none": 1, "rows": len(rows), "tokens": n}[apart]
        assert plan.positions.tolist() == [start + i for start, count in rows for i in range(count)]
        torch.testing.assert_close(attend(queries, keys, values, plan), torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_a_long_row_attends_in_steps_each_of_which_sees_what_comes_before() -> None:
    start, count, capacity = 10, 150, 160
    generator = torch.Generator().manual_seed(1)
    queries = torch.randn(count, N_GROUPS * N_KV_HEADS, HEAD_DIM, generator=generator)
    keys, values = torch.randn(2, 1, N_KV_HEADS, capacity, HEAD_DIM, generator=generator)
    plan = AttentionPlan(TokenBatch(torch.zeros(count), [count]), [start], N_GROUPS, torch.float32, "rows")
    assert [(part.width, part.kv_length) for part in plan.parts] == [(64, 74), (64, 138), (22, 160)]
    expected = [formula(queries[i], keys[0, :, : start + i + 1], values[0, :, : start + i + 1]) for i in range(count)]
    torch.testing.assert_close(attend(queries, keys, values, plan), torch.stack(expected), atol=1e-5, rtol=1e-5)


def formula(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """softmax(q K' / sqrt(d)) V of one token's heads, each with the keys of its group."""
    keys, values = keys.repeat_interleave(N_GROUPS, 0), values.repeat_interleave(N_GROUPS, 0)
    scores = (keys @ query[..., None])[..., 0] / HEAD_DIM**0.5
    return (scores.softmax(-1)[:, None] @ values)[:, 0].flatten()


def test_a_token_alone_does_not_depend_on_the_rest_of_the_pass() -> None:
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(7, N_GROUPS * N_KV_HEADS, HEAD_DIM, generator=generator)
    keys, values = torch.randn(2, 2, N_KV_HEADS, CAPACITY, HEAD_DIM, generator=generator)

    def result(n_first: int) -> torch.Tensor:
        batch = TokenBatch(torch.zeros(n_first + 3), [n_first, 3])
        plan = AttentionPlan(batch, [20, 9], N_GROUPS, torch.float32, "tokens")
        return attend(torch.cat([queries[:n_first], queries[-3:]]), keys, values, plan)

    assert torch.equal(result(4)[0], result(1)[0])
    assert torch.equal(result(4)[-3:], result(1)[-3:])
