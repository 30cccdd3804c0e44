"""By which settings a pool file names a draft, and what a draft is told of the target when it is made."""

from typing import Any, ClassVar, Protocol

from arms.plugin import build_plain
from arms.strict_model import StrictModel
from speculative.models.settings import ModelSettings
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.draft import Draft


class DraftedTarget(Protocol):
    """What a draft may need of the target that it drafts for; `speculative.Target` is one."""

    @property
    def name(self) -> str:
        """What it was loaded by."""

    @property
    def model(self) -> CausalLM:
        """The model."""

    @property
    def tokenizer(self) -> Any:
        """Its transformers tokenizer."""

    @property
    def n_tokens(self) -> int | None:
        """Ids from here on are padding of the model's vocabulary; None for no padding."""

    @property
    def settings(self) -> ModelSettings:
        """How it is held; a draft model is held the same way."""


class DraftSpec(StrictModel):
    """What names a draft in a pool file: `kind` and the settings of that kind.

    A draft with settings has a spec of its own, nested as `Spec`; one's own draft without settings needs none.

    Attributes:
        kind: a name of `DRAFTS`, or "package.module:Class".
    """

    keys_beside: ClassVar[tuple[str, ...]] = ("draft_length", "name")
    kind: str

    @property
    def changed(self) -> dict[str, object]:
        """The settings that are not the defaults, by name."""
        return self.model_dump(exclude_defaults=True, exclude={"kind"})

    def build(self, target: DraftedTarget) -> Draft:
        """Make the draft.

        Args:
            target: the loaded target, for a draft that reads its tokenizer or runs its layers.

        Raises:
            TypeError: if the class at `kind` needs arguments and has no `Spec` that gives them.
            ValueError: if `kind` names no draft, or the draft cannot be made for this target.
        """
        return build_plain(self.kind, Draft, DraftSpec, "draft")
