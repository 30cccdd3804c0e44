"""What the pretended card's contract says, on a card that is there: run with `-m gpu` where torch sees one."""

import pytest
import torch

from speculative.models.decoder import Decoder
from speculative.protocols.token_batch import TokenBatch
from tests.support.card_rounds import ARMS, SAMPLINGS, make_models, play, requests, sizes, weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


@pytest.mark.parametrize("arm", ARMS)
def test_on_cuda_every_draft_and_sampling_gives_the_cpus_text(arm):
    here, there = make_models("cpu"), make_models("cuda")
    for sampling in SAMPLINGS.values():
        for batch in (1, 3):
            texts = [
                [generation.token_ids for generation in play(models, arm, requests(3, sampling), batch)[0]]
                for models in (here, there)
            ]
            assert texts[0] == texts[1], sampling


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("head_dim", [64, 128])
def test_on_cuda_half_precision_stays_near_the_cpus_float32_at_real_head_sizes(dtype, head_dim):
    config = sizes(2, hidden_size=256, intermediate_size=512, head_dim=head_dim, max_position_embeddings=1024)
    drawn = {name: tensor if "norm" in name else 0.1 * tensor for name, tensor in weights(config).items()}
    tokens, counts = torch.arange(603) % config.n_vocab, [[300, 300], [1, 2]]
    logits = []
    for model in (Decoder(config, drawn), Decoder(config, drawn, dtype=dtype, device="cuda")):
        cache = model.new_cache(2, 512)
        parts = tokens.to(model.device).split([sum(some) for some in counts])
        passes = [model.forward(TokenBatch(part, some), cache) for part, some in zip(parts, counts, strict=True)]
        logits.append(torch.cat([output.logits for output in passes]).cpu())
    assert logits[1].dtype == torch.float32
    assert (logits[1] - logits[0]).norm() < 0.05 * logits[0].norm()
