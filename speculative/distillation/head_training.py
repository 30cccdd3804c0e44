"""Train a head on the target's stored states: EAGLE-3's form, on its own text and its own probabilities."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional

from arms.checks import at_least
from speculative.distillation.training import DistillSettings, DraftKind, Lesson, optimise
from speculative.models.config import DecoderConfig, inverse_frequencies
from speculative.models.decoder import Weights

_Rotation = tuple[torch.Tensor, torch.Tensor]
STEP_WEIGHT = 0.8  # of a draft token's loss, over that of the one before it


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSettings(DistillSettings):
    """How a head is trained.

    Attributes:
        kind: what is made.
        n_unrolled: draft tokens in a row that it is trained on, all but the first from states that it foretold.
        n_intermediate: units of its feed-forward, those of the target's last layer with the largest weights; None for
            all.
        prompt_tokens: a prompt's last tokens that it is shown in training; None for all.
        start: folder of an earlier head of the target, distilled too, that it goes on from, with its vocabulary and
            size; None for the target's last layer.
    """

    kind: DraftKind = field(default="feature_head", init=False)
    layers: tuple[int, ...] = (-1,)
    n_vocab: int = 8192
    learning_rate: float = 5e-4
    batch_tokens: int = 256
    n_unrolled: int = 3
    n_intermediate: int | None = None
    prompt_tokens: int | None = 32
    start: str | None = None

    def __post_init__(self) -> None:
        DistillSettings.__post_init__(self)  # super() does not work in a class with slots
        for name in ("n_unrolled", "n_intermediate", "prompt_tokens"):
            if getattr(self, name) is not None:
                at_least(getattr(self, name), 1, name)


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """What is trained: the target's sizes, the states that the head reads, the ids it knows, how, and from where."""

    target: DecoderConfig
    state_layers: tuple[int, ...]
    target_ids: Sequence[int]
    settings: HeadSettings
    start: Weights | None = None

    @property
    def config(self) -> DecoderConfig:
        """Sizes of the head's layer: those of the target's, without biases and norms of heads."""
        n_known, n_units = len(self.target_ids), self.settings.n_intermediate or self.target.n_intermediate
        plain = replace(self.target, n_layers=1, n_vocab=n_known, qkv_bias=False, out_bias=False, mlp_bias=False)
        n_intermediate = min(n_units, self.target.n_intermediate)
        return replace(plain, head_norms=False, tied_head=False, n_intermediate=n_intermediate)


def train_head(
    recipe: HeadRecipe,
    target_weights: Weights,
    lessons: Sequence[Lesson],
    *,
    checkpoint: Path | None = None,
    on_step: Callable[[int, int, float], None] | None = None,
) -> dict[str, torch.Tensor]:
    """Fit a head to the target's next-token probabilities, over several draft tokens in a row.

    Loss: as in `train_draft`, of every position after i = 0, 1, ... states that the head foretold itself, weighted by
    0.8^i. Without an earlier head it starts from the target's last layer, which is given the last of the
    states, and the target's own head.

    Args:
        recipe: what to train.
        target_weights: the target's checkpoint.
        lessons: the texts, with their states.
        checkpoint: written every hundred steps; where it exists, training goes on from it.
        on_step: called with (step, of how many, loss).

    Returns:
        The head's weights by EAGLE-3's names, float32.

    Raises:
        ValueError: if the checkpoint is damaged.

    Source: Li et al. 2025, "EAGLE-3", section 3.2, training-time test (arXiv:2503.01840).
    """
    student = HeadStudent(recipe.config, len(recipe.state_layers))
    embedding = _start(student, recipe, target_weights)
    known = torch.full((len(embedding),), -1)
    known[torch.tensor(recipe.target_ids)] = torch.arange(len(recipe.target_ids))
    loss_of = partial(_loss, student, embedding=embedding, known=known, settings=recipe.settings)
    lessons = [_without_beginning(lesson, recipe.settings.prompt_tokens) for lesson in lessons]
    optimise(student, loss_of, lessons, recipe.settings, checkpoint=checkpoint, on_step=on_step)
    return {name: tensor.detach().clone() for name, tensor in student.state_dict().items()}


class HeadStudent(torch.nn.Module):
    """A trainable head; tensors have EAGLE-3's names.

    Args:
        config: sizes of its layer; the vocabulary is what it knows.
        n_states: states that are read side by side.
    """

    def __init__(self, config: DecoderConfig, n_states: int) -> None:
        super().__init__()
        d = config.n_features
        self.fc, self.midlayer = _matrix(n_states * d, d), _Layer(config)
        self.norm, self.lm_head = _Norm(d, config.rms_norm_eps), _matrix(d, config.n_vocab)
        self.config = config

    def forward(self, states: torch.Tensor, embedded: torch.Tensor, n_unrolled: int) -> list[torch.Tensor]:
        """Return the logits after 0, 1, ... foretold states.

        Args:
            states: (b, t, states * d) the target's.
            embedded: (b, t, d) the tokens after them.
            n_unrolled: how many, n.

        Returns:
            n times (b, t, v): entry i at position t foretells from the states up to t - i, and the tokens up to t + 1.
        """
        x, seen, found = self.fc(states).float(), list[tuple[torch.Tensor, torch.Tensor]](), []
        rotation = _rotation(self.config, states.shape[1])
        for _ in range(n_unrolled):
            x = self.midlayer(x, embedded, seen, rotation)
            found.append(self.lm_head(self.norm(x)))
            x = _shifted(x, 1)  # what was foretold at a position is read at the next one
        return found


_Seen = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each step so far, (b, h, t, hd) each."""


class _Norm(torch.nn.RMSNorm):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise in float32, whatever products are computed in."""
        return super().forward(x.float())


class _Layer(torch.nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        d, eps = config.n_features, config.rms_norm_eps
        self.input_layernorm, self.hidden_norm = _Norm(d, eps), _Norm(d, eps)
        self.post_attention_layernorm = _Norm(d, eps)
        self.self_attn, self.mlp = _Attention(config), _FeedForward(d, config.n_intermediate)

    def forward(self, x: torch.Tensor, embedded: torch.Tensor, seen: _Seen, rotation: _Rotation) -> torch.Tensor:
        """Map (b, t, d) states to the next ones; `seen` has what earlier steps left, and gets this one's."""
        joint = torch.cat([self.input_layernorm(embedded), self.hidden_norm(x)], dim=-1)
        x = x + self.self_attn(joint, seen, rotation)
        mapped: torch.Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return mapped


class _Attention(torch.nn.Module):
    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        d, self.head_dim, self.n_groups = config.n_features, config.head_dim, config.n_heads // config.n_kv_heads
        n_q, n_kv = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
        self.q_proj, self.k_proj = _matrix(2 * d, n_q), _matrix(2 * d, n_kv)
        self.v_proj, self.o_proj = _matrix(2 * d, n_kv), _matrix(n_q, d)

    def forward(self, joint: torch.Tensor, seen: _Seen, rotation: _Rotation) -> torch.Tensor:
        """Let each row attend; its keys and values are added to `seen`."""
        b, t, _ = joint.shape
        rows = (self.q_proj(joint), self.k_proj(joint), self.v_proj(joint))
        query, key, value = (each.view(b, t, -1, self.head_dim).transpose(1, 2) for each in rows)
        key, value = (each.repeat_interleave(self.n_groups, dim=1) for each in (_rotated(key, rotation), value))
        seen.append((key, value))
        mixed = _attend(_rotated(query, rotation), seen).transpose(1, 2).reshape(b, t, -1)
        mapped: torch.Tensor = self.o_proj(mixed)
        return mapped


class _FeedForward(torch.nn.Module):
    def __init__(self, d: int, m: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = _matrix(d, m), _matrix(d, m), _matrix(m, d)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Map (b, t, d) to the same."""
        mapped: torch.Tensor = self.down_proj(functional.silu(self.gate_proj(h)) * self.up_proj(h))
        return mapped


def _attend(query: torch.Tensor, seen: _Seen) -> torch.Tensor:
    """Let (b, h, t, hd) queries of step n see true pairs up to n positions before, and one pair of each step since."""
    n, t, scale = len(seen) - 1, query.shape[2], 1 / math.sqrt(query.shape[3])
    keys, values = seen[0]
    hidden = torch.ones(t, t, dtype=torch.bool).triu(1 - n)
    scores = [(query @ keys.transpose(2, 3) * scale).masked_fill(hidden, -math.inf)]
    later = [(_shifted(k, n - i), _shifted(v, n - i)) for i, (k, v) in enumerate(seen) if i]
    scores += [(query * k).sum(-1, keepdim=True) * scale for k, _ in later]
    shares = torch.cat(scores, dim=-1).softmax(-1)
    mixed = shares[..., :t] @ values
    for i, (_, v) in enumerate(later):
        mixed = mixed + shares[..., t + i : t + i + 1] * v
    return mixed


def _loss(
    student: HeadStudent,
    lessons: Sequence[Lesson],
    *,
    embedding: torch.Tensor,
    known: torch.Tensor,
    settings: HeadSettings,
) -> torch.Tensor:
    """Return the mean loss: pair t is the state of token t and token t + 1, and foretells token t + 2."""
    b, t, n_teacher = len(lessons), max(len(lesson.token_ids) for lesson in lessons) - 2, lessons[0].top_ids.shape[1]
    states = torch.zeros(b, t, student.fc.in_features)
    tokens = torch.zeros(b, t, dtype=torch.int64)
    labels, probs, weights = (
        torch.zeros(b, t, n_teacher, dtype=torch.int64),
        torch.zeros(b, t, n_teacher),
        torch.zeros(b, t),
    )
    for row, lesson in enumerate(lessons):
        n = len(lesson.token_ids) - 2
        assert lesson.states is not None
        states[row, :n], tokens[row, :n] = lesson.states[:n].float(), lesson.token_ids[1:-1]
        ids = known[lesson.top_ids[1:]]
        labels[row, :n] = ids.clamp_min(0)
        mass = (lesson.top_probs[1:] / lesson.top_probs[1:].sum(-1, keepdim=True)) * (ids >= 0)
        probs[row, :n] = mass  # of tokens that the head does not know it learns nothing
        weights[row, :n] = 1.0
        weights[row, : max(0, lesson.n_prompt - 2)] = settings.prompt_weight
    total = torch.zeros(())
    with settings.computing():
        found = student(states, embedding[tokens].float(), settings.n_unrolled)
    for i, logits in enumerate(found):
        log_q = functional.log_softmax(logits.float(), dim=-1).gather(-1, labels)
        own = weights * (torch.arange(t) >= i)  # no state was foretold for the first positions
        total = total - STEP_WEIGHT**i * ((probs * log_q).sum(-1) * own).sum() / own.sum().clamp_min(1e-6)
    return total


def likely_tokens(lessons: Sequence[Lesson], settings: HeadSettings) -> list[int]:
    """Return the target ids that a head should know, rising: those of most probability along the target's texts.

    What the target nearly said there it says elsewhere: they cover more of other texts than the tokens it did say.
    """
    n = 1 + max(int(lesson.top_ids.max()) for lesson in lessons)
    mass = torch.zeros(n, dtype=torch.float64)
    for lesson in lessons:
        weights = torch.ones(len(lesson.top_ids), 1, dtype=torch.float64)
        weights[: lesson.n_prompt - 1] = settings.prompt_weight
        mass.index_add_(0, lesson.top_ids.flatten(), (lesson.top_probs * weights).flatten())
    n_known = min(settings.n_vocab, int((mass > 0).sum()))
    found: list[int] = mass.topk(n_known).indices.sort().values.tolist()
    return found


def _without_beginning(lesson: Lesson, prompt_tokens: int | None) -> Lesson:
    """Return a lesson with so many of its prompt's last tokens."""
    first = 0 if prompt_tokens is None else max(0, lesson.n_prompt - prompt_tokens)
    assert lesson.states is not None
    return Lesson(
        lesson.token_ids[first:],
        lesson.top_ids[first:],
        lesson.top_probs[first:],
        lesson.n_prompt - first,
        lesson.states[first:],
    )


def _start(student: HeadStudent, recipe: HeadRecipe, weights: Weights) -> torch.Tensor:
    """Give the student an earlier head, or the target's last layer and head; return the target's (v, d) embedding."""
    d, last = recipe.target.n_features, f"model.layers.{recipe.target.n_layers - 1}."
    embedding = weights["model.embed_tokens.weight"]
    if recipe.start is not None:
        student.load_state_dict({name: recipe.start[name].float() for name in student.state_dict()})
        return embedding
    head = weights.get("lm_head.weight", embedding) if not recipe.target.tied_head else embedding
    state = {"norm.weight": weights["model.norm.weight"], "lm_head.weight": head[torch.tensor(recipe.target_ids)]}
    state["fc.weight"] = torch.cat([torch.zeros(d, d * (len(recipe.state_layers) - 1)), torch.eye(d)], dim=1)
    for name in ("q_proj", "k_proj", "v_proj"):
        own = weights[f"{last}self_attn.{name}.weight"].float()
        state[f"midlayer.self_attn.{name}.weight"] = torch.cat([torch.zeros_like(own), own], dim=1)
    for name in ("self_attn.o_proj", "post_attention_layernorm"):
        state[f"midlayer.{name}.weight"] = weights[f"{last}{name}.weight"]
    gate, up, down = (weights[f"{last}mlp.{name}_proj.weight"].float() for name in ("gate", "up", "down"))
    reach = gate.norm(dim=1) * up.norm(dim=1) * down.norm(dim=0)
    units = reach.topk(student.config.n_intermediate).indices.sort().values
    for name, matrix in (("gate", gate[units]), ("up", up[units]), ("down", down[:, units])):
        state[f"midlayer.mlp.{name}_proj.weight"] = matrix
    for name in ("input_layernorm", "hidden_norm"):
        state[f"midlayer.{name}.weight"] = weights[f"{last}input_layernorm.weight"]
    student.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return embedding


def _matrix(n_in: int, n_out: int) -> torch.nn.Linear:
    return torch.nn.Linear(n_in, n_out, bias=False)


def _shifted(x: torch.Tensor, n: int) -> torch.Tensor:
    """Move (..., t, f) rows n positions on; the first ones become zero."""
    return x if n == 0 else functional.pad(x, (0, 0, n, 0))[..., :-n, :]


def _rotation(config: DecoderConfig, n: int) -> _Rotation:
    angles = torch.outer(torch.arange(n).float(), inverse_frequencies(config))
    return angles.cos(), angles.sin()


def _rotated(x: torch.Tensor, rotation: _Rotation) -> torch.Tensor:
    (cos, sin), (one, other) = rotation, x.chunk(2, dim=-1)
    return torch.cat([one * cos - other * sin, other * cos + one * sin], dim=-1)
