"""Targets and drafts of random weights on any device, and what each round of an engine makes a card do."""

from dataclasses import dataclass

import torch

from speculative.drafts.draft_model import DraftModel
from speculative.drafts.early_exit import EarlyExit
from speculative.drafts.feature_head import FeatureHead
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.engine.engine import Engine
from speculative.engine.settings import EngineSettings
from speculative.models.config import DecoderConfig
from speculative.models.decoder import Decoder
from speculative.models.feature_head import FeatureHeadModel, HeadConfig
from speculative.models.graphs import Graphs
from speculative.protocols.request import Generation, Request
from speculative.sampling.sampling_params import SamplingParams
from tests.support.card_counts import Counts
from tests.support.pretended_card import PretendedCard
from tests.support.recorders import RepeatingRecorder
from tests.support.tiny_models import Arm

SIZES = {
    "model_type": "llama",
    "vocab_size": 24,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
}
SAMPLINGS = {
    "greedy": SamplingParams(),
    "coupled": SamplingParams(temperature=0.8, seed=3),
    "coupled, top-k, top-p, min-p": SamplingParams(temperature=0.8, top_k=9, top_p=0.9, min_p=0.01, seed=3),
    "greedy, penalties": SamplingParams(repetition_penalty=1.3, frequency_penalty=0.2, logit_bias={3: 1.5}),
    "rejection": SamplingParams(temperature=0.8, seed=3, verification="rejection"),
}
ARMS = (
    "no draft",
    "prompt look-up",
    "suffix",
    "draft model",
    "trimmed draft model",
    "early exit",
    "head",
    "eagle3 head",
)


def sizes(n_layers: int = 2, **changes: object) -> DecoderConfig:
    """Sizes of a Llama."""
    return DecoderConfig.from_dict(SIZES | {"num_hidden_layers": n_layers} | changes)


def shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of a Llama's tensors by name."""
    q, kv = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    d, m = config.n_features, config.n_intermediate
    out: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (config.n_vocab, d), "norm.weight": (d,)}
    if not config.tied_head:
        out["lm_head.weight"] = (config.n_vocab, d)
    attention = {"q": (q, d), "k": (kv, d), "v": (kv, d), "o": (d, q)}
    feed_forward = {"gate": (m, d), "up": (m, d), "down": (d, m)}
    for i in range(config.n_layers):
        out |= {f"layers.{i}.self_attn.{name}_proj.weight": shape for name, shape in attention.items()}
        out |= {f"layers.{i}.mlp.{name}_proj.weight": shape for name, shape in feed_forward.items()}
        out |= {f"layers.{i}.{name}_layernorm.weight": (d,) for name in ("input", "post_attention")}
    return out


def weights(config: DecoderConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    """A Llama's tensors by name, random."""
    generator = torch.Generator().manual_seed(seed)
    drawn = {name: 0.4 * torch.randn(*shape, generator=generator) for name, shape in shapes(config).items()}
    return {name: 1 + tensor if "norm" in name else tensor for name, tensor in drawn.items()}


def weightless(config: DecoderConfig) -> dict[str, torch.Tensor]:
    """Tensors of a Llama's names and shapes that take no memory, for a card of meta tensors."""
    return {name: torch.zeros(1).expand(shape) for name, shape in shapes(config).items()}


def make_head(target: Decoder, form: str, seed: int = 0) -> FeatureHeadModel:
    """A head of random weights in "eagle" or "eagle3" form."""
    layer, is_eagle3 = sizes(1, vocab_size=target.n_vocab), form == "eagle3"
    generator, d, width = torch.Generator().manual_seed(seed), layer.n_features, layer.n_features * (1 + is_eagle3)
    own = {name.replace("layers.0.", "layer."): tensor for name, tensor in weights(layer, seed).items()}
    for name in ("q", "k", "v"):
        rows = len(own[f"layer.self_attn.{name}_proj.weight"])
        own[f"layer.self_attn.{name}_proj.weight"] = 0.4 * torch.randn(rows, width, generator=generator)
    own["fc.weight"] = 0.4 * torch.randn(d, 2 * d, generator=generator)
    if is_eagle3:
        own["layer.hidden_norm.weight"] = torch.ones(d)
        left = ("embed_tokens.weight",)
    else:
        left = ("embed_tokens.weight", "lm_head.weight", "norm.weight", "layer.input_layernorm.weight")
    config = HeadConfig(layer, "eagle3" if is_eagle3 else "eagle", (0, 1) if is_eagle3 else (-1,))
    return FeatureHeadModel(config, {name: tensor for name, tensor in own.items() if name not in left}, target)


@dataclass
class Models:
    """A target and an arm of every kind of draft on one device."""

    target: Decoder
    arms: dict[str, Arm]


def make_models(device: str, dtype: torch.dtype = torch.float32, draft_seed: int = 5, **changes: object) -> Models:
    """Make them; a `draft_seed` of 0 makes the draft model the target itself."""
    config = sizes(**changes)
    target = Decoder(config, weights(config), dtype=dtype, device=device)
    small = sizes(1, **changes) if draft_seed else config
    draft = Decoder(small, weights(small, draft_seed), dtype=dtype, device=device)
    known = [0, 3, 5, 8, 23, 1, 10, 11, 2]
    trimmed = Decoder(sizes(1, vocab_size=len(known)), weights(sizes(1, vocab_size=len(known)), 7), device=device)
    n = config.n_vocab
    return Models(
        target,
        {
            "no draft": Arm(NoDraft(), 0),
            "prompt look-up": Arm(PromptLookup(3, min_ngram=1), 4),
            "suffix": Arm(SuffixDraft(learn=False), 4),
            "draft model": Arm(DraftModel(draft, name="small", n_target_vocab=n), 4),
            "trimmed draft model": Arm(DraftModel(trimmed, name="trimmed", n_target_vocab=n, target_ids=known), 4),
            "early exit": Arm(EarlyExit(target, n_layers=1), 3),
            "head": Arm(FeatureHead(make_head(target, "eagle"), target, name="head"), 4),
            "eagle3 head": Arm(FeatureHead(make_head(target, "eagle3"), target, name="eagle3"), 4),
        },
    )


def with_graphs(models: Models) -> Models:
    """Let the target, and each draft's own decoder, record their programs on a pretended card."""
    for model in _decoders(models):
        model.graphs = Graphs(model.device, model.max_positions, lambda: RepeatingRecorder(on_card=True))
    return models


def without_graphs(models: Models) -> Models:
    """Let the host plan every pass."""
    for model in _decoders(models):
        model.graphs = None
    return models


def _decoders(models: Models) -> list[Decoder]:
    own = [getattr(arm.draft, "model", None) for arm in models.arms.values()]
    return [models.target, *(each for each in own if isinstance(each, Decoder))]


def prompts(n: int, n_vocab: int = 24) -> list[tuple[int, ...]]:
    """Prompts of different lengths that repeat themselves."""
    return [tuple((5 * i + (j * j) % 7) % n_vocab for j in range(9 + 3 * (i % 4))) for i in range(n)]


def requests(n: int, sampling: SamplingParams, n_new: int = 12, n_vocab: int = 24) -> list[Request]:
    """A request a prompt."""
    return [Request(str(i), prompt, n_new, sampling=sampling) for i, prompt in enumerate(prompts(n, n_vocab))]


@dataclass
class CountedRound:
    """One step of an engine in which no request began, nor did its draft.

    Attributes:
        counts: what the card did.
        n_requests: that took part.
        accepted: draft tokens accepted, of each request.
        proposed: draft tokens, of each request.
    """

    counts: Counts
    n_requests: int
    accepted: tuple[int, ...]
    proposed: tuple[int, ...]


def play(
    models: Models, arm: str, asked: list[Request], max_batch: int = 1, card: PretendedCard | None = None
) -> tuple[list[Generation], list[CountedRound]]:
    """Answer requests by one arm; count the rounds where a card is given."""
    engine = Engine(models.target, [models.arms[arm]], settings=EngineSettings(max_batch=max_batch))
    for request in asked:
        engine.submit(request)
    rounds, begun = [], set()  # requests that have had a round, in which their draft read the prompt
    while engine.n_unfinished:
        if card is not None:
            card.counted()
        results = engine.step()
        in_round = {result.request_id for result in results if result.action is not None}
        if card is not None and results and len(in_round) == len(results) and in_round <= begun:
            counts, accepted = card.counted(), tuple(result.n_accepted for result in results)
            rounds.append(CountedRound(counts, len(results), accepted, tuple(r.n_proposed for r in results)))
        begun |= in_round
    return [engine.take(request.id) for request in asked], rounds
