"""A pool: a loaded target, the arms that may help it, and the encoder of queries."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np

from arms import ArmSet
from arms.checks import at_least
from bandits import ContextEncoder, Policy
from bandits.online import TimeBudget
from rewards.named import DEFAULT_REWARD, make_reward
from speculative.collection.collect import collect
from speculative.collection.priced_folder import stored_costs
from speculative.collection.settings import CollectSettings
from speculative.measuring.cost_cache import cached_costs
from speculative.measuring.cost_profile import CostProfile
from speculative.models.settings import DEFAULT_CACHE
from speculative.pools.arm_specs import ArmSpec
from speculative.pools.building import build_arms, key_of
from speculative.pools.learning import choose_policy
from speculative.pools.spec import PoolSpec, read_pool_spec
from speculative.protocols.draft import Draft
from speculative.protocols.request import Generation
from speculative.protocols.selector import Selector
from speculative.sampling.sampling_params import SamplingParams
from speculative.selectors.conservative import Conservative
from speculative.selectors.fixed import FixedSelector
from speculative.selectors.policy_selector import PolicySelector
from speculative.targets.hidden_state_encoder import HiddenStateEncoder
from speculative.targets.prompts import Prompt, named_by_content
from speculative.targets.rendering import PLAIN, Rendering
from speculative.targets.rule_arm import PoolArm, RuleArm
from speculative.targets.speculative_arm import SpeculativeArm
from speculative.targets.target import GREEDY, Target
from speculative.targets.target_arm import drafts_of, target_of


class Pool:
    """A target with its arms and its encoder, read from a file (`Pool.load`) or put together from loaded objects.

    Args:
        target: the model whose text is kept.
        arms: ways to help it, fixed ones and rules over them; each of this target.
        encoder: makes the contexts that a policy chooses by; by default the target's own hidden states, which cost
            nothing while it generates.

    Attributes:
        arms: an `ArmSet`: in order, by name or index.

    Raises:
        ValueError: if there is no arm, one is of another target, a rule is over an arm that the pool lacks, or two arms
            or two drafts share a name.
    """

    def __init__(self, target: Target, arms: Iterable[PoolArm], *, encoder: ContextEncoder | None = None) -> None:
        self.target, self.arms = target, ArmSet[PoolArm](arms)
        self._origin: tuple[PoolSpec, Path, CostProfile | None] | None = None
        self.encoder: ContextEncoder = encoder or HiddenStateEncoder(target)
        if target_of(self.arms) is not target:
            raise ValueError(f"the arms answer with {target_of(self.arms).name!r}, not with the target {target.name!r}")
        _check_rules(self.arms)
        drafts: dict[str, Draft] = {}
        for arm in self.arms:
            for draft in arm.drafts:
                if drafts.setdefault(draft.name, draft) is not draft:  # traces and costs are filed under its name
                    raise ValueError(
                        f"arm {arm.name!r}: another draft of the pool has the name {draft.name!r}; rename one, or let "
                        "the arms share one draft"
                    )

    @classmethod
    def load(cls, path: str | Path, cache: str | Path = DEFAULT_CACHE) -> Self:
        """Read a pool file and load its models.

        Args:
            path: a pool.toml.
            cache: where converted weights are kept.

        Raises:
            ValueError: if the file breaks a rule, a model is missing, or two arms or drafts share a name.
        """
        return cls.of(read_pool_spec(path), cache)

    @classmethod
    def of(cls, spec: PoolSpec, cache: str | Path = DEFAULT_CACHE, costs: CostProfile | None = None) -> Self:
        """Load the target and every draft that a specification names, each model once.

        Args:
            spec: of the pool.
            cache: where converted weights and measured costs are kept.
            costs: by which drafts of `min_confidence = "auto"` stop; None for this machine's own, see `cached_costs`.

        Raises:
            ValueError: if a model is missing, a draft speaks other tokens, two arms or drafts share a name, or a rule
                names an arm that it may not.
        """
        target = load_target(spec, cache)

        def measure(drafts: Sequence[Draft]) -> CostProfile:
            nonlocal costs
            if costs is None:
                costs = cached_costs(target.model, target.name, drafts, Path(cache) / "profiles")
                costs.check(allow_noisy=True)
            return costs

        pool = cls(target, build_arms(spec, target, measure), encoder=spec.encoder.build(target))
        pool._origin = (spec, Path(cache), costs)
        return pool

    def with_arms_of(self, spec: PoolSpec) -> Self:
        """Return a pool of the same loaded target with another specification's arms; loaded drafts serve it too.

        Args:
            spec: differs from this pool's in its arms alone.

        Raises:
            TypeError: if the pool was put together from loaded objects.
            ValueError: if anything but the arms differs, an arm is another one under its old name, a new draft stops by
                measured costs (`min_confidence = "auto"`), or for what `of` says.
        """
        if self._origin is None:
            raise TypeError("a pool of loaded objects has no specification: read it from a file (Pool.load)")
        known, cache, costs = self._origin
        for field in sorted(set(type(spec).model_fields) - {"arms"}):
            if getattr(spec, field) != getattr(known, field):
                raise ValueError(f"{spec.origin}: {field} must stay what it is while the target stays loaded")

        def measure(drafts: Sequence[Draft]) -> CostProfile:
            raise ValueError(f'{spec.origin}: a draft of min_confidence = "auto" is measured before anything else runs')

        pairs = zip(known.arms, self.arms, strict=True)
        loaded = {key_of(one.draft): arm.drafts[0] for one, arm in pairs if isinstance(one, ArmSpec)}
        pool = type(self)(self.target, build_arms(spec, self.target, measure, loaded), encoder=self.encoder)
        for name in set(self.arms.names) & set(pool.arms.names):
            if pool.arms[name].fingerprint() != self.arms[name].fingerprint():
                raise ValueError(f"{spec.origin}: arm {name!r} is another one under its old name: rename it")
        pool._origin = (spec, cache, costs)
        return pool

    def __reduce__(
        self,
    ) -> tuple[Callable[[PoolSpec, Path, CostProfile | None], Self], tuple[PoolSpec, Path, CostProfile | None]]:
        """Travel to another worker as a specification, of which the models are loaded there, with the costs used here.

        Raises:
            TypeError: if the pool was put together from loaded objects.
        """
        if self._origin is None:
            raise TypeError("a pool of loaded objects cannot travel to other workers: read it from a file (Pool.load)")
        return type(self).of, self._origin

    def generate(
        self,
        prompt: Prompt,
        *,
        policy: Policy | str | None = None,
        sampling: SamplingParams = GREEDY,
        rendering: Rendering = PLAIN,
        conservative: TimeBudget | float | None = None,
        seed: int = 0,
    ) -> Generation:
        """Answer a prompt with the target's own text, helped by the arm that a policy chooses.

        Args:
            prompt: a text, chat messages, or a `Query`.
            policy: fitted on this pool's arms and encoder (see `learn`), or the name of an arm; None for the pool's
                first arm.
            sampling: how tokens are picked, and where the answer ends; greedy by default, as long as the query or the
                pool says.
            rendering: what the chat template is told beside the messages.
            conservative: seconds that drafts may lose against no draft in this answer, or a budget that several answers
                share; see `Conservative`. None for no limit.
            seed: of the policy's choice.

        Returns:
            The answer: `.text`, `.token_ids`, why it `.finished`, and `.stats` (seconds, arms used, tokens accepted).

        Raises:
            ValueError: if the prompt is blank or does not fit the context, the pool has no such arm, the policy
                learned from other arms or another encoder, or `conservative` is given and no arm is without a draft.
        """
        selector = self._selector(policy, conservative, seed)
        return self.target.generate(prompt, draft=self.arms, policy=selector, sampling=sampling, rendering=rendering)

    def stream(
        self,
        prompt: Prompt,
        *,
        policy: Policy | str | None = None,
        sampling: SamplingParams = GREEDY,
        rendering: Rendering = PLAIN,
        conservative: TimeBudget | float | None = None,
        seed: int = 0,
    ) -> Iterator[str]:
        """Yield the answer's text as it grows; arguments and errors as in `generate`."""
        selector = self._selector(policy, conservative, seed)
        return self.target.stream(prompt, draft=self.arms, policy=selector, sampling=sampling, rendering=rendering)

    def learn(
        self,
        prompts: Iterable[Prompt],
        *,
        folder: str | Path | None = None,
        cache: str | Path = DEFAULT_CACHE,
        seed: int = 0,
        allow_noisy_costs: bool = False,
        say: Callable[[str], None] = print,
    ) -> Policy:
        """Learn from prompts which arm to use for which, and say whether that pays.

        The target answers each prompt once; every arm is replayed on its text, so nothing is generated twice. The
        policies tried are compared by total seconds on held-out prompts; the best one is returned if it is faster than
        the best single arm beyond doubt, else a policy that always takes that arm.

        Args:
            prompts: at least two, like those that will be asked; texts, chat messages or queries.
            folder: keeps what was collected, and lets a stopped run go on; a temporary one by default.
            cache: where this machine's measured costs are kept.
            seed: of folds, intervals and what is random in a policy.
            allow_noisy_costs: go on, with a warning, where the machine was too busy to be measured.
            say: called with the conclusion, in one sentence; `print` by default.

        Returns:
            A fitted policy, for `generate(policy=...)`; `policy.save(path)` keeps it.

        Raises:
            ValueError: if there are fewer than two prompts, one does not fit the target, two queries share an id,
                the machine was too busy to be measured, or the folder was begun with something else.
        """
        at_least(seed, 0, "seed")
        queries = named_by_content(prompts)
        if len(queries) < 2:
            raise ValueError(f"learn needs at least 2 prompts, got {len(queries)}")
        with nullcontext(folder) if folder is not None else TemporaryDirectory() as place:
            costs = stored_costs(Path(place)) or cached_costs(
                self.target.model, self.target.name, self.drafts, Path(cache) / "profiles"
            )
            settings = CollectSettings(allow_noisy_costs=allow_noisy_costs)
            collected = collect(queries, self, Path(place), costs, settings=settings)
            data = collected.with_reward(make_reward(DEFAULT_REWARD))
        policy, conclusion = choose_policy(data, seed)
        say(conclusion)
        return policy

    def _selector(self, policy: Policy | str | None, budget: TimeBudget | float | None, seed: int) -> Selector:
        chosen: Selector
        if policy is None or isinstance(policy, str):
            chosen = FixedSelector(0 if policy is None else self.arms.index(policy))
        else:
            chosen = PolicySelector(
                policy, self.encoder, self.arms.names, np.random.default_rng(at_least(seed, 0, "seed"))
            )
        return chosen if budget is None else Conservative.over(chosen, budget, list(self.arms), seed=seed)

    @property
    def fixed_arms(self) -> list[SpeculativeArm]:
        """The arms that are no rules."""
        return [arm for arm in self.arms if isinstance(arm, SpeculativeArm)]

    @property
    def drafts(self) -> list[Draft]:
        """Each draft once, in the order of the arms."""
        return drafts_of(self.arms)


def load_target(spec: PoolSpec, cache: str | Path = DEFAULT_CACHE) -> Target:
    """Load a pool's target alone.

    Raises:
        ValueError: if it cannot be found or read, or its chat template does not read a variable that the pool sets.
    """
    target = Target.load(
        spec.target, spec.model_settings(cache), max_new_tokens=spec.max_new_tokens, max_batch=spec.max_batch
    )
    try:
        return replace(target, chat_template_kwargs=spec.chat_template_kwargs, prefix_cache_mb=spec.prefix_cache_mb)
    except ValueError as error:
        raise ValueError(f"{spec.origin}: {error}") from error


def _check_rules(arms: ArmSet[PoolArm]) -> None:
    known = list(arms)
    for rule in known:
        for arm in rule.arms if isinstance(rule, RuleArm) else ():
            if not any(arm is other for other in known):
                raise ValueError(
                    f"rule {rule.name!r} is over arm {arm.name!r}, which the pool must hold too; it has "
                    f"{', '.join(arms.names)}"
                )
