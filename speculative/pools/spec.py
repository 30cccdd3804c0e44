"""What a pool file says: the target, its arms and the encoder, checked before any model is loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationError,
    field_validator,
)

from arms.plugin import for_field
from arms.strict_model import StrictModel
from arms.toml_file import read_toml
from bandits.encoders import ENCODERS, ContextEncoder, EncoderSpec, SentenceEncoder, read_encoder_spec
from speculative.drafts import NoDraft
from speculative.models.settings import DEFAULT_CACHE, DtypeName, GraphUse, ModelSettings, WeightPrecision, dtype_of
from speculative.pools.arm_specs import FIXED, RULE, AnyArmSpec, ArmSpec
from speculative.targets.hidden_state_encoder import HiddenStateEncoder

POOL_ENCODERS: dict[str, type[ContextEncoder]] = {**ENCODERS, "hidden_state": HiddenStateEncoder}
"""The kinds of encoders that a pool may have: those that need no target, and the target's own states."""
_NOT_IN_THE_FILE = ("draft", FIXED, RULE)  # in the file a draft's settings stand beside the arm's


def _read_encoder(settings: object) -> EncoderSpec:
    if not isinstance(settings, EncoderSpec | Mapping | str):
        raise ValueError(f"an encoder's settings must be a table with a kind, got {settings!r}")
    return read_encoder_spec(settings, POOL_ENCODERS)


class PoolSpec(StrictModel):
    """The content of a pool.toml.

    Attributes:
        target: whatever `resolve_model` finds.
        weights: of the target, as in `ModelSettings`; at 4 bits it is faster and writes a text of its own.
        dtype: of the target's other numbers, and of every draft that names none; "auto" as in `ModelSettings`.
        device: of all models.
        graphs: whether rounds run as graphs on a card, as in `ModelSettings`.
        max_new_tokens: length of an answer where a query sets none.
        max_batch: most queries answered at once.
        prefix_cache_mb: most megabytes that `serve` and `chat` keep of what they have read, so that a conversation's
            next turn is not read from its beginning; None for 512, or 0 with a target that cannot take tokens back.
        chat_template_kwargs: variables of the target's chat template, such as `enable_thinking`.
        encoder: how queries become contexts.
        arms: drafts with their lengths and rules over them, one of kind no_draft at least; names differ.
    """

    target: str
    weights: WeightPrecision = "dense"
    dtype: DtypeName = "float32"
    device: str = "cpu"
    graphs: GraphUse = "auto"
    max_new_tokens: int = Field(default=128, ge=1)
    max_batch: int = Field(default=8, ge=1)
    prefix_cache_mb: int | None = Field(default=None, ge=0)
    chat_template_kwargs: Mapping[str, object] = Field(default_factory=dict)
    encoder: Annotated[SerializeAsAny[EncoderSpec], BeforeValidator(for_field(_read_encoder))] = SentenceEncoder.Spec()
    arms: tuple[AnyArmSpec, ...] = Field(min_length=1)
    _file: Path | None = PrivateAttr(default=None)

    @property
    def origin(self) -> str:
        """What errors call it: its file, where it was read from one."""
        return "the pool" if self._file is None else f"pool file {self._file}"

    @field_validator("arms")
    @classmethod
    def _check_arms(cls, arms: tuple[AnyArmSpec, ...]) -> tuple[AnyArmSpec, ...]:
        if not any(isinstance(arm, ArmSpec) and isinstance(arm.draft, NoDraft.Spec) for arm in arms):
            raise ValueError("arms must hold one of kind no_draft: what every other arm is compared with")
        names = [arm.name for arm in arms if arm.name is not None]
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise ValueError(f"arms must have different names, got {repeated[0]!r} twice")
        return arms

    def model_settings(self, cache: str | Path = DEFAULT_CACHE) -> ModelSettings:
        """How the target is held.

        Raises:
            ValueError: if the device is not there, or the weights are not to be had on it.
        """
        dtype = dtype_of(self.dtype)
        return ModelSettings(dtype=dtype, device=self.device, weights=self.weights, cache=cache, graphs=self.graphs)


def read_pool_spec(path: str | Path) -> PoolSpec:
    """Read and check a pool.toml; relative model folders and files are taken from where it lies.

    Only a module that the file names as "package.module:Class" is imported.

    Raises:
        ValueError: if the file is missing, is no TOML or breaks a rule; it names file, field and value.
    """
    path = Path(path)
    raw = read_toml(path, "pool file")
    try:
        spec = PoolSpec.model_validate(beside(path.parent, raw))
        spec._file = path
        return spec
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"] if part not in _NOT_IN_THE_FILE)
        rule = first["msg"].removeprefix("Value error, ")
        got = "" if isinstance(first["input"], dict | list | tuple) else f", got {first['input']!r}"
        raise ValueError(f"pool file {path}{field and ', ' + field}: {rule}{got}") from error
    except RecursionError as error:
        raise ValueError(f"pool file {path} nests too deep: {error}") from error


def beside(folder: Path, table: Mapping[str, object]) -> dict[str, object]:
    """Return a pool file's table with models that it names by a path beside the file named by where they lie."""
    found = dict(table)
    for key, value in table.items():
        if isinstance(value, Mapping) and key != "chat_template_kwargs":
            found[key] = beside(folder, value)
        elif isinstance(value, list):
            found[key] = [beside(folder, item) if isinstance(item, Mapping) else item for item in value]
        elif key in ("target", "model") and isinstance(value, str) and value and (folder / value).exists():
            found[key] = str((folder / value).resolve())
    return found
