"""Train a small draft on the target's text and the target's own probabilities."""

import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional

from arms.atomic_file import atomic_file
from arms.checks import at_least, not_negative, positive
from speculative.distillation.corpus import TargetText
from speculative.models.config import DecoderConfig
from speculative.models.decoder import Weights
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.token_batch import TokenBatch

DraftKind = Literal["draft_model", "feature_head"]
KEEP_EVERY = 100  # steps after which the state of training is kept
UNKNOWN = 0  # the draft id that stands for every token outside its vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillSettings:
    """How a small language model is trained; `HeadSettings` are those of a head on the target's states.

    Attributes:
        kind: what is made.
        layers: which of the target's layers it starts from.
        n_vocab: most tokens the draft knows, the unknown token included.
        n_epochs: passes over the corpus.
        learning_rate: peak of a cosine schedule.
        prompt_weight: weight of a prompt position's loss; an answer position weighs 1.
        n_teacher: most likely target tokens kept per position as soft labels.
        batch_tokens: tokens per optimiser step, padding included.
        seed: of the order of batches.
        dtype: that products are computed in; weights are float32.
    """

    kind: DraftKind = field(default="draft_model", init=False)
    layers: tuple[int, ...] = (0, -1)
    n_vocab: int = 4096
    n_epochs: int = 5
    learning_rate: float = 1e-3
    prompt_weight: float = 0.1
    n_teacher: int = 16
    batch_tokens: int = 1024
    seed: int = 0
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        for name in ("n_vocab", "n_epochs", "n_teacher", "batch_tokens"):
            at_least(getattr(self, name), 1, name)
        positive(self.learning_rate, "learning_rate")
        not_negative(self.prompt_weight, "prompt_weight")
        at_least(self.seed, 0, "seed")

    def computing(self) -> torch.autocast:
        """Return the context in which a model computes in `dtype`."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == "bfloat16")


@dataclass(frozen=True, slots=True)
class Lesson:
    """One text with the target's opinion on each next token.

    Attributes:
        token_ids: (t,) int64 target ids, prompt then answer.
        top_ids: (t - 1, n_teacher) the target's likeliest next tokens.
        top_probs: (t - 1, n_teacher) their probabilities.
        n_prompt: tokens of the prompt.
        states: (t - 1, f) float16, the target's states for a head; None where none were asked for.
    """

    token_ids: torch.Tensor
    top_ids: torch.Tensor
    top_probs: torch.Tensor
    n_prompt: int
    states: torch.Tensor | None = None


def make_lesson(target: CausalLM, text: TargetText, n_teacher: int) -> Lesson:
    """Read the target's probabilities along its own text in one pass, and the states of a target that gives them."""
    ids = torch.tensor([*text.prompt_ids, *text.new_ids])
    inputs = ids[:-1].to(target.device)
    output = target.forward(TokenBatch(inputs, [len(inputs)]), target.new_cache(1, len(inputs)))
    probs, tokens = output.logits.float().softmax(-1).topk(n_teacher)
    states = torch.cat(output.tapped, dim=1).cpu().half().clone() if output.tapped else None
    return Lesson(ids, tokens.cpu().clone(), probs.cpu().clone(), len(text.prompt_ids), states)


def choose_vocabulary(texts: Sequence[TargetText], n_vocab: int) -> list[int]:
    """Target ids a draft should know: the answers' by count, then the prompts'; entry 0 stands for the unknown."""
    counts: dict[int, float] = {}
    for text in texts:
        for ids, weight in ((text.new_ids, 1.0), (text.prompt_ids, 1e-6)):
            for token in ids:
                counts[token] = counts.get(token, 0.0) + weight
    ranked = sorted(counts, key=lambda token: (-counts[token], token))
    return [0, *[token for token in ranked if token != 0][: n_vocab - 1]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained: the draft's sizes, the target ids it knows (entry 0 unknown), and how."""

    config: DecoderConfig
    target_ids: Sequence[int]
    settings: DistillSettings


def train_draft(
    recipe: Recipe,
    target_weights: Weights,
    lessons: Sequence[Lesson],
    *,
    checkpoint: Path | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> dict[str, torch.Tensor]:
    """Fit a small decoder to the target's next-token probabilities on its own text.

    Loss: mean over positions of -sum_k p_k log q(token_k), p being the target's kept probabilities, renormalised.

    Args:
        recipe: what to train.
        target_weights: the target's checkpoint, where the draft starts.
        lessons: the texts.
        checkpoint: written every hundred steps; where it exists, training goes on from it.
        on_step: called with (step, of how many, loss).

    Returns:
        The draft's weights by checkpoint name, float32.

    Raises:
        ValueError: if the checkpoint is damaged.

    Source: Hinton et al. 2015 (arXiv:1503.02531); drafts from own text, Zhou et al. 2024 (arXiv:2310.08461).
    """
    settings = recipe.settings
    model = _student(recipe, target_weights)
    draft_ids = torch.full((target_weights["model.embed_tokens.weight"].shape[0],), UNKNOWN)
    draft_ids[torch.tensor(recipe.target_ids[1:])] = torch.arange(1, len(recipe.target_ids))
    with_loss = partial(_loss, model, draft_ids=draft_ids, settings=settings)
    optimise(model, with_loss, lessons, settings, checkpoint=checkpoint, on_step=on_step)
    return {k: v.detach().clone() for k, v in model.state_dict().items() if k != "lm_head.weight"}


def optimise(
    model: torch.nn.Module,
    loss_of: Callable[[Sequence[Lesson]], torch.Tensor],
    lessons: Sequence[Lesson],
    settings: DistillSettings,
    *,
    checkpoint: Path | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> None:
    """Fit a model by AdamW; arguments as in `train_draft`, and the loss of some lessons.

    Raises:
        ValueError: if the checkpoint is damaged.
    """
    rng = np.random.default_rng(settings.seed)
    batches = [one for _ in range(settings.n_epochs) for one in _batches(lessons, settings.batch_tokens, rng)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _cosine(step, len(batches)))
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    first = _restore(checkpoint, parts)
    for step, batch in enumerate(batches[first:], first + 1):
        loss = loss_of([lessons[i] for i in batch])
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % KEEP_EVERY == 0 or step == len(batches):
            _keep(checkpoint, parts, step)
        if on_step is not None:
            on_step(step, len(batches), float(loss.detach()))


def _restore(checkpoint: Path | None, parts: dict[str, Any]) -> int:
    """Load the state that was kept last, and say how many steps are done."""
    if checkpoint is None or not checkpoint.is_file():
        return 0
    try:
        state = torch.load(checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return int(state["step"])
    except (RuntimeError, OSError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise ValueError(f"{checkpoint} is damaged, or of another draft ({error}): delete it and run again") from error


def _keep(checkpoint: Path | None, parts: dict[str, Any], step: int) -> None:
    if checkpoint is not None:
        states = {name: part.state_dict() for name, part in parts.items()}
        with atomic_file(checkpoint) as file:
            torch.save({**states, "step": step}, file)


def _student(recipe: Recipe, target_weights: Weights) -> torch.nn.Module:
    """Return a trainable transformers Llama that starts from the target's embedding rows and chosen layers."""
    from transformers import LlamaConfig, LlamaForCausalLM

    n_target_layers = 1 + max(int(name.split(".")[2]) for name in target_weights if name.startswith("model.layers."))
    model = LlamaForCausalLM(LlamaConfig(**transformers_config(recipe.config)))
    state = {"model.norm.weight": target_weights["model.norm.weight"]}
    state["model.embed_tokens.weight"] = target_weights["model.embed_tokens.weight"][torch.tensor(recipe.target_ids)]
    for place, layer in enumerate(recipe.settings.layers):
        source = f"model.layers.{layer % n_target_layers}."
        for name, tensor in target_weights.items():
            if name.startswith(source):
                state[name.replace(source, f"model.layers.{place}.")] = tensor
    model.load_state_dict(state, strict=False)
    trainable: torch.nn.Module = model.float()
    return trainable


def transformers_config(config: DecoderConfig) -> dict[str, object]:
    """Return a draft's `config.json` in transformers' words."""
    rope = config.rope_scaling or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": config.n_vocab,
        "hidden_size": config.n_features,
        "intermediate_size": config.n_intermediate,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "rope_parameters": {**rope, "rope_theta": config.rope_theta, "rope_type": kind},
        "attention_bias": config.qkv_bias,
        "mlp_bias": config.mlp_bias,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }


def _loss(
    model: torch.nn.Module, lessons: Sequence[Lesson], *, draft_ids: torch.Tensor, settings: DistillSettings
) -> torch.Tensor:
    length = max(len(lesson.token_ids) for lesson in lessons) - 1
    inputs = torch.zeros(len(lessons), length, dtype=torch.int64)
    n_teacher = lessons[0].top_ids.shape[1]
    labels = torch.zeros(len(lessons), length, n_teacher, dtype=torch.int64)
    probs = torch.zeros(len(lessons), length, n_teacher)
    weights = torch.zeros(len(lessons), length)
    for row, lesson in enumerate(lessons):
        t = len(lesson.token_ids) - 1
        inputs[row, :t] = draft_ids[lesson.token_ids[:-1]]
        labels[row, :t] = draft_ids[lesson.top_ids]
        probs[row, :t] = lesson.top_probs / lesson.top_probs.sum(-1, keepdim=True)
        weights[row, :t] = 1.0
        weights[row, : lesson.n_prompt - 1] = settings.prompt_weight
    with settings.computing():
        logits = model(input_ids=inputs, use_cache=False).logits
    log_q = functional.log_softmax(logits.float(), dim=-1)
    losses = -(probs * log_q.gather(-1, labels)).sum(-1)
    return (losses * weights).sum() / weights.sum()


def _batches(lessons: Sequence[Lesson], batch_tokens: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Return groups of texts of like length, in random order."""
    order = sorted(rng.permutation(len(lessons)).tolist(), key=lambda i: len(lessons[i].token_ids))
    groups: list[list[int]] = [[]]
    for i in order:
        if groups[-1] and (len(groups[-1]) + 1) * len(lessons[i].token_ids) > batch_tokens:
            groups.append([])
        groups[-1].append(i)
    for group in rng.permutation(len(groups)):
        yield groups[group]


def _cosine(step: int, n_steps: int) -> float:
    """Warm-up over the first 3 % of steps, then a half cosine to zero."""
    warm_up = max(1, round(0.03 * n_steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, n_steps - warm_up)))
