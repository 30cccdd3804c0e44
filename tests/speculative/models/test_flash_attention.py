"""Flash attention over ragged rows, by what it asks of torch's kernel; a card's own arithmetic is not seen here."""

import pytest
import torch
from torch.nn.attention import varlen

from speculative.models.attention import AttentionPlan, attend
from speculative.models.decoder import Decoder
from speculative.models.flash_attention import has_flash
from speculative.protocols.token_batch import TokenBatch
from tests.support.card_rounds import sizes, weights
from tests.support.pretended_card import CUDA, PretendedCard

N_GROUPS, HEAD_DIM, CAPACITY = 2, 8, 256


@pytest.mark.parametrize("rows", [[0], [1], [0, 1, 2], [3, 0, 2]])
def test_ragged_rows_get_what_masks_give_them(rows):
    starts, counts = [7, 0, 250, 31][: len(rows)], [3, 5, 1, 2][: len(rows)]
    generator = torch.Generator().manual_seed(len(rows))
    keys, values = torch.randn(2, 4, 3, CAPACITY, HEAD_DIM, generator=generator).bfloat16()
    queries = torch.randn(sum(counts), 3 * N_GROUPS, HEAD_DIM, generator=generator).bfloat16()
    with PretendedCard():
        held = [tensor.to(CUDA) for tensor in (queries, keys, values)]
        batch = TokenBatch.in_rows(torch.zeros(sum(counts), device=CUDA), counts, rows)
        plans = [AttentionPlan(batch, starts, N_GROUPS, torch.bfloat16, apart) for apart in ("ragged", "none")]
        ragged, masked = (attend(*held, plan).cpu() for plan in plans)
    torch.testing.assert_close(ragged, masked, atol=0.02, rtol=0.02)


def test_a_kernel_that_raises_or_sees_the_wrong_keys_is_not_used_and_the_log_says_why(monkeypatch, caplog):
    def raising(*args, **kwargs):
        raise RuntimeError("no kernel image is available for execution on the device")

    right = varlen.varlen_attn
    with PretendedCard():
        assert has_flash(torch.bfloat16, CUDA, N_GROUPS, HEAD_DIM)
        assert not has_flash(torch.float32, CUDA, N_GROUPS, HEAD_DIM)
        monkeypatch.setattr(varlen, "varlen_attn", raising)
        assert not has_flash(torch.bfloat16, CUDA, N_GROUPS, HEAD_DIM)
        swapped = lambda q, k, v, *rest, **more: right(q, k, k, *rest, **more)  # noqa: E731
        monkeypatch.setattr(varlen, "varlen_attn", swapped)
        assert not has_flash(torch.bfloat16, CUDA, N_GROUPS, HEAD_DIM)
    assert "ragged rows gives something else" in caplog.text


@pytest.mark.parametrize("ragged", [True, False])
def test_no_pass_of_a_decoder_in_half_precision_takes_a_mask_where_flash_attends(monkeypatch, ragged):
    """Without the kernel for ragged rows, the first chunk of a prompt still takes none."""
    if not ragged:
        monkeypatch.delattr(varlen, "varlen_attn")
    config = sizes(2)
    passes = ([[1, 2, 3, 4, 5]], [[6], [7, 8, 9]])  # a prompt, then rows of two lengths
    found = []
    for device in ("cpu", "cuda"):
        with PretendedCard() as card:
            model = Decoder(config, weights(config), dtype=torch.bfloat16, device=device)
            cache = model.new_cache(2)
            for i, tokens in enumerate(passes):
                card.counted()
                batch = TokenBatch.of(tokens, torch.device(device))
                found.append(model.forward(batch, cache).logits.cpu())
                kernels = card.counted().kernels
                if device == "cuda":
                    names = {name for name in kernels if "sdpa" in name or "flash" in name}
                    kind = "flash rows" if ragged else "sdpa flash"
                    assert names == ({kind, f"{kind} combine"} if ragged or i == 0 else {"sdpa efficient"})
                    assert ("masked_fill_" in kernels) is (not ragged and i == 1)
    for here, there in zip(found[:2], found[2:], strict=True):
        torch.testing.assert_close(here, there, atol=0.2, rtol=0.05)
