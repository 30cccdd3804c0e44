"""Rewards written as text: "0.5 * rouge_l + 0.5 * relative_speed"."""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from arms import Observation
from arms.plugin import find_plugin
from rewards import REWARDS, FittedReward, OnFailure, RelativeSpeed, Reward, RougeL, WeightedAverage

DEFAULT_REWARD = "time_saved"
"""What the speed of drafts is valued by where nothing else is asked for: its sum is the time saved in all."""
MAX_LENGTH = 500
MAX_DEPTH = 100

_PLUGIN = re.compile(r"[^\W\d][\w.]*:\w+")
_OPERATORS: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
}
_Value: TypeAlias = Reward | float | str | None  # texts and None as settings only


def make_reward(formula: str, training: Iterable[Observation] | None = None) -> Reward:
    """Build a reward from a sum, difference, product or quotient of rewards and numbers.

    A reward is a name of `REWARDS` or a path "package.module:Class", with settings in parentheses where it has some:
    `rouge_l(missing=1)`. One that is fitted on training observations, as `relative_speed` is, is fitted on
    `training` unless its settings are given. Nothing of the formula is evaluated as Python.

    Args:
        formula: at most 500 characters, such as "0.5 * rouge_l(missing=1) + 0.5 * relative_speed". Beside rewards,
            `on_failure(REWARD, VALUE)` values failed pulls, and `paper(A)` is A * rouge_l + (1 - A) * relative_speed,
            with another agreement of texts where one is named: `paper(A, agreement=gleu(missing=0))`.
        training: every arm's observations of the training queries; None where there are none.

    Raises:
        ValueError: naming formula and rule, if it cannot be read, a name is unknown, a setting breaks its rule, or
            training observations are needed and missing.
        TypeError: if a path names no class of rewards.
    """
    if len(formula) > MAX_LENGTH:
        raise ValueError(f"a reward formula must have at most {MAX_LENGTH} characters, got {len(formula)}")
    paths: dict[str, str] = {}

    def stand_in(found: re.Match[str]) -> str:
        name = f"path_{len(paths)}_"
        paths[name] = found[0]
        return name

    text = _PLUGIN.sub(stand_in, formula)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"reward {formula!r} cannot be read ({error}); write, for example, 2 * speedup") from error
    value = _Reader(formula, paths, None if training is None else list(training)).read(tree)
    if not isinstance(value, Reward):
        raise ValueError(f"reward {formula!r} must name a reward: {', '.join(REWARDS)}, or package.module:Class")
    return value


class _Reader:
    """Turns the few kinds of nodes that a formula may hold into rewards and numbers."""

    def __init__(self, formula: str, paths: Mapping[str, str], training: list[Observation] | None) -> None:
        self._formula, self._paths, self._training = formula, paths, training

    def read(self, node: ast.expr, depth: int = 1) -> _Value:
        if depth > MAX_DEPTH:
            raise self._error(f"it must be nested at most {MAX_DEPTH} deep")
        match node:
            case ast.Constant(value=None):
                return None
            case ast.Constant(value=str() as setting):  # a path in it was stood in for, too
                return re.sub(r"path_\d+_", lambda found: self._paths.get(found[0], found[0]), setting)
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return self._number(number)
            case ast.Name(id=name):
                return self._reward(name, [], {})
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._combined(ast.Mult, -1.0, self.read(operand, depth + 1))
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
                return self._combined(type(sign), self.read(left, depth + 1), self.read(right, depth + 1))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords):
                settings = {str(word.arg): self.read(word.value, depth + 1) for word in keywords}
                return self._reward(name, [self.read(argument, depth + 1) for argument in arguments], settings)
        raise self._error(
            f"{ast.unparse(node)!r} is no number, reward, or sum, difference, product or quotient of them"
        )

    def _combined(self, kind: type[ast.operator], left: _Value, right: _Value) -> Reward | float:
        sign, operation = _OPERATORS[kind]
        if not (isinstance(left, Reward | int | float) and isinstance(right, Reward | int | float)):
            raise self._error(f"{sign} takes rewards and numbers, got {left!r} and {right!r}")
        n_rewards = isinstance(left, Reward) + isinstance(right, Reward)
        if sign in "+-" and n_rewards == 1:
            raise self._error("a number may multiply or divide a reward, not be added to one")
        if (sign == "*" and n_rewards == 2) or (sign == "/" and isinstance(right, Reward)):
            raise self._error("a reward may be multiplied and divided by numbers only")
        if sign == "/" and right == 0:
            raise self._error("a divisor must not be 0")
        combined: Reward | float = operation(left, right)
        return combined if isinstance(combined, Reward) else self._number(combined)

    def _reward(self, name: str, arguments: Sequence[_Value], settings: Mapping[str, _Value]) -> Reward:
        makers: dict[str, Callable[..., Reward]] = {"paper": self._paper, "on_failure": OnFailure}
        make = makers.get(name)
        if make is None:
            name = self._paths.get(name, name)
            found = find_plugin(name, REWARDS, Reward, "reward")
            if issubclass(found, FittedReward) and not arguments and not settings:
                return self._fitted(found, name)
            make = found
        try:
            return make(*arguments, **settings)
        except TypeError as error:
            raise self._error(f"{name} does not take these settings ({error})") from error

    def _fitted(self, reward: type[FittedReward], name: str) -> Reward:
        if self._training is None:
            raise self._error(f"{name} is fitted on training observations: give some, or its settings in parentheses")
        return reward.fitted(self._training)

    def _paper(self, weight: float, missing: float | None = None, agreement: Reward | None = None) -> Reward:
        if not 0 <= weight <= 1:
            raise self._error(f"paper(A) needs A in [0, 1], got {weight:g}")
        if missing is not None and agreement is not None:
            raise self._error("paper(A) takes missing or an agreement, which says it itself: gleu(missing=0)")
        speed = self._fitted(RelativeSpeed, "relative_speed")
        return WeightedAverage(weight, agreement or RougeL(missing), speed)

    def _number(self, number: float) -> float:
        """Return a number as it is: a whole one may be the setting of a reward that takes no other."""
        try:
            is_finite = math.isfinite(float(number))
        except OverflowError:
            is_finite = False
        if not is_finite:
            raise self._error("a number must be finite")
        return number

    def _error(self, rule: str) -> ValueError:
        return ValueError(f"reward {self._formula!r}: {rule}")
