"""A pool: the target, the arms it may be helped by and the encoder of queries, read from one TOML file."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from arms import ArmSet
from bandits import ContextEncoder, HashingEncoder, SentenceEncoder
from speculative.drafts.draft_model import DraftModel
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.draft import Draft
from speculative.engine.linear import Int4Linear, Linear
from speculative.engine.loading import DEFAULT_CACHE
from speculative.hidden_state_encoder import HiddenStateEncoder
from speculative.speculative_arm import SpeculativeArm
from speculative.target import Target

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class ArmSpec(BaseModel):
    """One arm: which draft, how far it guesses, and the draft's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["no_draft", "prompt_lookup", "draft_model"]
    draft_length: int = Field(default=0, ge=0, le=64)
    name: str | None = None
    model: str | None = None
    weights: Literal["dense", "int4"] = "dense"
    max_ngram: int = Field(default=4, ge=1)
    min_ngram: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind == "no_draft") != (self.draft_length == 0):
            raise ValueError(f"draft_length must be 0 for no_draft and >= 1 for {self.kind}, got {self.draft_length}")
        if (self.kind == "draft_model") != (self.model is not None):
            raise ValueError(
                f"model must be given for draft_model and for no other kind, got {self.model!r} for {self.kind}"
            )
        if self.weights != "dense" and self.kind != "draft_model":
            raise ValueError(f"weights must be dense unless kind is draft_model, got {self.weights!r} for {self.kind}")
        if self.min_ngram > self.max_ngram:
            raise ValueError(f"min_ngram must be <= max_ngram, got {self.min_ngram} > {self.max_ngram}")
        return self


class EncoderSpec(BaseModel):
    """How queries become contexts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["sentence", "hidden_state", "hashing"] = "sentence"
    model: str | None = None
    n_features: int = Field(default=256, ge=1)


class PoolSpec(BaseModel):
    """The content of a pool.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "cpu"
    max_new_tokens: int = Field(default=128, ge=1)
    max_batch: int = Field(default=8, ge=1)
    encoder: EncoderSpec = EncoderSpec()
    arms: tuple[ArmSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any(arm.kind == "no_draft" for arm in self.arms):
            raise ValueError("arms must hold one of kind no_draft: what every other arm is compared with")
        return self


@dataclass(frozen=True, slots=True)
class Pool:
    """A loaded pool."""

    spec: PoolSpec
    target: Target
    arms: ArmSet
    encoder: ContextEncoder

    @property
    def drafting_arms(self) -> list[SpeculativeArm]:
        """The arms in order, typed as what they are."""
        return [arm for arm in self.arms if isinstance(arm, SpeculativeArm)]

    @property
    def drafts(self) -> list[Draft]:
        """Each draft once, in the order of the arms."""
        return list({arm.draft.name: arm.draft for arm in self.drafting_arms}.values())

    @property
    def max_draft_length(self) -> int:
        """Longest draft length of an arm, at least 1."""
        return max(1, *(arm.draft_length for arm in self.drafting_arms))


def read_pool_spec(path: Path) -> PoolSpec:
    """Read and check a pool.toml; relative model folders and files are taken from where it lies.

    Raises:
        ValueError: if the file is missing, is no TOML or breaks a rule; it names file, field and value.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"pool file {path} cannot be read ({error.strerror}); check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"pool file {path} is not TOML: {error}") from error
    try:
        spec = PoolSpec.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ", ".join([f"pool file {path}", *filter(None, [".".join(map(str, first["loc"]))])])
        rule = first["msg"].removeprefix("Value error, ")
        got = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"
        raise ValueError(f"{where}: {rule}{got}") from error
    arms = tuple(arm.model_copy(update={"model": _beside(path, arm.model)}) for arm in spec.arms)
    encoder = spec.encoder.model_copy(update={"model": _beside(path, spec.encoder.model)})
    return spec.model_copy(update={"target": _beside(path, spec.target), "encoder": encoder, "arms": arms})


def load_target(spec: PoolSpec, cache: Path = DEFAULT_CACHE) -> Target:
    """Load a pool's target alone.

    Raises:
        ValueError: if it cannot be found or read.
    """
    return Target.load(
        spec.target,
        max_new_tokens=spec.max_new_tokens,
        dtype=_DTYPES[spec.dtype],
        device=spec.device,
        cache=cache,
    )


def load_pool(spec: PoolSpec, cache: Path = DEFAULT_CACHE) -> Pool:
    """Load the target and every draft.

    Raises:
        ValueError: if a model is missing, a draft speaks other tokens, or two arms or drafts share a name.
    """
    target = load_target(spec, cache)
    drafts: dict[tuple[object, ...], Draft] = {}
    arms = ArmSet()
    for arm in spec.arms:
        key = _settings(arm)
        if key not in drafts:
            drafts[key] = _load_draft(arm, target, cache)
        arms.add(SpeculativeArm(target, drafts[key], arm.draft_length, arm.name))
    names = [draft.name for draft in drafts.values()]
    twice = [name for name in names if names.count(name) > 1]
    if twice:  # traces and costs are filed under a draft's name
        raise ValueError(f"two models of the pool give a draft the name {twice[0]!r}; rename one's folder or file")
    return Pool(spec, target, arms, _make_encoder(spec.encoder, target))


def _settings(arm: ArmSpec) -> tuple[object, ...]:
    """What makes two arms share a draft."""
    if arm.kind == "prompt_lookup":
        return (arm.kind, arm.max_ngram, arm.min_ngram)
    return (arm.kind, arm.model, arm.weights)


def _load_draft(arm: ArmSpec, target: Target, cache: Path) -> Draft:
    if arm.kind == "no_draft":
        return NoDraft()
    if arm.kind == "prompt_lookup":
        lookup = PromptLookup(arm.max_ngram, arm.min_ngram)
        if _settings(arm) != _settings(ArmSpec(kind="prompt_lookup", draft_length=1)):
            lookup.name += f"_{arm.min_ngram}to{arm.max_ngram}"
        return lookup
    assert arm.model is not None
    model = target.model
    draft = DraftModel.load(
        arm.model,
        target.tokenizer,
        model.n_vocab,
        dtype=model.dtype,
        device=model.device,
        linear=Int4Linear if arm.weights == "int4" else Linear,
        cache=cache,
    )
    if arm.weights == "int4":
        draft.name += "_int4"
    return draft


def _make_encoder(spec: EncoderSpec, target: Target) -> ContextEncoder:
    if spec.kind == "hashing":
        return HashingEncoder(spec.n_features)
    if spec.kind == "hidden_state":
        return HiddenStateEncoder(target)
    return SentenceEncoder() if spec.model is None else SentenceEncoder(spec.model)


def _beside(path: Path, model: str | None) -> str | None:
    """A model named by a path that exists beside the pool file is taken from there."""
    if model and (path.parent / model).exists():
        return str((path.parent / model).resolve())
    return model
