"""Static plans: what only the device knows the places of is computed as what the host plans, by the same operations."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speculative.models import static_plan
from speculative.models.attention import attend
from speculative.models.decoder import Decoder
from speculative.models.static_plan import StaticForm, StaticPlan
from speculative.protocols.token_batch import TokenBatch
from tests.support.card_rounds import sizes, weights
from tests.support.mutants import mutant
from tests.support.pretended_card import CUDA, PretendedCard
from tests.support.tiny_models import bounded

N_GROUPS, N_KV_HEADS, HEAD_DIM, CAPACITY = 2, 3, 8, 256
FORM = StaticForm(3, CAPACITY, N_GROUPS, torch.float32, has_flash=False)
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}


@bounded(max_examples=25)
@given(starts=st.lists(st.integers(0, 30), min_size=1, max_size=4), width=st.integers(1, 4))
def test_every_token_sees_its_row_up_to_itself(starts, width):
    generator, b = torch.Generator().manual_seed(sum(starts)), len(starts)
    queries = torch.randn(b * width, N_GROUPS * N_KV_HEADS, HEAD_DIM, generator=generator)
    keys, values = torch.randn(2, b + 1, N_KV_HEADS, CAPACITY, HEAD_DIM, generator=generator)
    plan = StaticPlan(slice(1, b + 1), torch.tensor(starts), replace(FORM, width=width))
    n, expected = 0, []
    for row, start in enumerate(starts, 1):
        for i in range(width):
            seen = [store[row, :, : start + i + 1].repeat_interleave(N_GROUPS, 0) for store in (keys, values)]
            scores = (seen[0] @ queries[n][..., None])[..., 0] / HEAD_DIM**0.5
            expected.append((scores.softmax(-1)[:, None] @ seen[1]).flatten())
            n += 1
    torch.testing.assert_close(attend(queries, keys, values, plan), torch.stack(expected), **TOLERANCE)
    assert plan.positions.tolist() == [start + i for start in starts for i in range(width)]


def test_the_flash_kernel_is_asked_for_what_masks_give():
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(6, N_GROUPS * N_KV_HEADS, HEAD_DIM, generator=generator).bfloat16()
    keys, values = torch.randn(2, 4, N_KV_HEADS, CAPACITY, HEAD_DIM, generator=generator).bfloat16()
    with PretendedCard():
        held = [tensor.to(CUDA) for tensor in (queries, keys, values)]
        starts, rows = torch.tensor([250, 0], device=CUDA), slice(1, 3)
        forms = [replace(FORM, dtype=torch.bfloat16, has_flash=has_flash) for has_flash in (True, False)]
        flash, masked = (attend(*held, StaticPlan(rows, starts, form)).cpu() for form in forms)
    torch.testing.assert_close(flash, masked, atol=0.02, rtol=0.02)


def test_hidden_slots_may_hold_anything_once_written_by_static_passes():
    plan = StaticPlan(slice(0, 1), torch.tensor([2]), FORM)
    keys, values = torch.zeros(2, 1, N_KV_HEADS, CAPACITY, HEAD_DIM)
    for store in (keys, values):
        plan.slots.write(store, torch.tensor([1.0, torch.nan, torch.inf])[:, None, None].expand(3, N_KV_HEADS, 8))
    assert keys[0, 0, 2:6, 0].tolist() == values[0, 0, 2:6, 0].tolist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", ["mistral", "llama_bias", "qwen3"])
def test_a_static_pass_gives_the_logits_states_and_cache_of_one_that_the_host_plans(tiny, kind):
    check_static_pass(tiny(kind).decoder)


def check_static_pass(decoder):
    """Rows of 5, 0 and 9 tokens add 2, 0 and 3 of a width of 3; then each adds one more, which sees no filling."""
    model, texts = decoder.tapping([1]), [torch.arange(20) % 7, torch.arange(20) % 3, torch.arange(20) % 11]
    held, new = (5, 0, 9), (2, 0, 3)
    caches = [model.new_cache(3), model.new_cache(3)]
    for cache in caches:
        for row in (0, 2):
            model.forward(TokenBatch(texts[row][: held[row]], [held[row]], row), cache)
    packed = torch.cat([text[n : n + more] for text, n, more in zip(texts, held, new, strict=True)])
    batch = TokenBatch.in_rows(packed, [2, 3], [0, 2])
    expected = model.forward(batch, caches[0])
    cells = torch.cat([texts[row][held[row] :][:3] for row in range(3)])
    cells[2] = 13  # filling of the first row; the second row's are filling, too
    plan = model.static_plan(slice(0, 3), torch.tensor(held), 3, caches[1])
    found = model.run(cells, plan, caches[1])
    real = [0, 1, 6, 7, 8]
    torch.testing.assert_close(found.logits[real], expected.logits, **TOLERANCE)
    torch.testing.assert_close(found.hidden[real], expected.hidden, **TOLERANCE)
    torch.testing.assert_close(found.tapped[0][real], expected.tapped[0], **TOLERANCE)
    chosen = model.run(cells, plan, caches[1], torch.tensor([1, 8]), n_layers=1)
    torch.testing.assert_close(chosen.logits, model.run(cells, plan, caches[1], n_layers=1).logits[[1, 8]], **TOLERANCE)
    caches[1].lengths[:] = [n + more for n, more in zip(held, new, strict=True)]
    follow = TokenBatch(torch.tensor([4, 5, 6]), [1, 1, 1])
    eager, after = (model.forward(follow, cache).logits for cache in caches)
    torch.testing.assert_close(after, eager, **TOLERANCE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_a_static_pass_launches_does_not_depend_on_where_rows_stand(dtype):
    config, launched = sizes(2), set()
    with PretendedCard() as card, torch.inference_mode():
        model = Decoder(config, weights(config), dtype=dtype, device="cuda")
        cache, tokens = model.new_cache(2), torch.arange(6, device="cuda")
        for starts in ([0, 0], [7, 100], [90, 1]):
            on_card = torch.tensor(starts, device="cuda")
            card.counted()
            model.run(tokens, model.static_plan(slice(0, 2), on_card, 3, cache), cache)
            counts = card.counted()
            launched.add(tuple(counts.launches))
            assert counts.n_waits == 0
    assert len(launched) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("> at[..., None]", "> at[..., None] + 1"),  # sees the token after
        ("> at[..., None]", ">= at[..., None] - 1"),
        ("at = starts[:, None] + torch", "at = starts[:, None] - 1 + torch"),  # a start of the round before
        ("at = starts[:, None] + torch", "at = starts[:1, None] + torch"),
    ],
)
def test_a_mask_off_by_one_and_a_stale_start_are_found(tiny, monkeypatch, old, new):
    from speculative.models import decoder

    monkeypatch.setattr(decoder, "StaticPlan", mutant(static_plan, old, new).StaticPlan)
    with pytest.raises((AssertionError, RuntimeError, IndexError)):
        check_static_pass(tiny("llama").decoder)
