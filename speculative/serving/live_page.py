"""The live page as HTML: every figure is put in here, and a few lines of script ask for it anew."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from string import Template

from arms.shown_text import escape
from bandits.evaluation.colours import PALETTE, colours_of
from bandits.online import ServedDomain
from bandits.online.domains import NO_DOMAIN
from speculative.serving.live_charts import gain_chart, gain_scale, shares_chart
from speculative.serving.live_view import ArmView, ExplainedDecision, LiveView, RoundsView
from speculative.serving.trial_curve import CurvePoint

_STAGES = {
    "shadow": "{incumbent} serves; what the policy would have chosen is logged.",
    "canary": "The policy decides {share:.0%} of the requests, {incumbent} the others.",
    "live": "The policy decides {share:.0%} of the requests.",
}
_UNKNOWN = "#8a8f98"  # of an arm that has left
_MOST_DOMAINS = 20  # clients name them as they like
_HEADS = ("time", "arm", "drawn with", "policy alone", "expected now", "reward", "ms a token", "id")
_NUMBERS = frozenset({"drawn with", "reward", "ms a token"})


class LivePage:
    """The page, and what a browser is told that it may do: run its own script, and ask this server.

    Attributes:
        policy: value of the header Content-Security-Policy.
    """

    def __init__(self) -> None:
        text = files("speculative.serving").joinpath("live_page.html").read_text(encoding="utf-8")
        self._template = Template(text)
        [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        self.policy = (
            f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def whole(self, view: LiveView) -> str:
        """Return the page."""
        return self._template.substitute(main=main_part(view))


def main_part(view: LiveView) -> str:
    """Return what changes."""
    colours = colours_of([arm.name for arm in view.arms])
    return "\n".join(
        [
            _tiles(view),
            *(_gain(arm, points) for arm, points in view.curves.items()),
            *([] if view.curves else [_no_gain(view)]),
            _chosen(view, colours),
            _domains(view, colours),
            _rounds(view.rounds, colours),
            _decisions(view.decisions, colours),
            _changes(view),
            _answers(view),
        ]
    )


def _tiles(view: LiveView) -> str:
    points = view.curves.get(view.incumbent)
    gain = f"{points[-1].estimate:+.3g}" if points else "not known yet"
    down = [f"{arm.name} ({arm.state})" for arm in view.arms if arm.state != "up"]
    tiles = {
        "stage": escape(view.stage),
        f"gain a decision over {escape(view.incumbent)}": gain,
        "decisions": f"{view.n_decisions:,}",
        "requests running": str(view.n_running),
        **({} if view.time_lost is None else {"time lost, of what may be lost": _budget(*view.time_lost)}),
        "arms up": f"{len(view.arms) - len(down)} of {len(view.arms)}",
    }
    cells = "".join(f"<div><span>{name}</span><b>{value}</b></div>" for name, value in tiles.items())
    who = _STAGES[view.stage].format(incumbent=view.incumbent, share=view.share)
    each = f", each that is up at least {view.propensity_floor:.1%}" if view.propensity_floor else ""
    about = f"{who} Any arm may get {view.exploration:.1%}{each}. Policy: {view.policy} decisions."
    masked = f'<p class="bad">Not asked at present: {escape(", ".join(down))}.</p>' if down else ""
    return f'<div class="tiles">{cells}</div><p>{escape(about)}</p>{masked}'


def _budget(lost_s: float, allowed_s: float) -> str:
    return f"{lost_s:.3g} of {allowed_s:.3g} s"


def _gain(arm: str, points: Sequence[CurvePoint]) -> str:
    last, scale = points[-1], gain_scale(points)
    finding = "no difference can be told yet"
    if last.low > 0:
        finding = "it earns more, beyond doubt"
    elif last.high < 0:
        finding = "it earns less, beyond doubt"
    told = f"{last.estimate:+.3g} [{last.low:+.3g}, {last.high:+.3g}] from {last.n:,} decisions: {finding}."
    edges = f"<span>decision {points[0].n:,}</span><span>from {-scale:+.2g} to {scale:+.2g}</span>"
    return (
        f"<h2>What the policy earns more a decision than {escape(arm)}</h2><p>{told}</p>"
        f'{gain_chart(points, PALETTE[0])}<p class="scale">{edges}<span>{last.n:,}</span></p>'
    )


def _no_gain(view: LiveView) -> str:
    return (
        f"<h2>What the policy earns more a decision than {escape(view.incumbent)}</h2>"
        '<p class="dim">Not known yet: it is told from rewarded decisions, while other arms get a share.</p>'
    )


def _chosen(view: LiveView, colours: Mapping[str, str]) -> str:
    if not view.chosen or view.since is None:
        return '<h2>What is chosen</h2><p class="dim">No decision yet.</p>'
    rows = "".join(_arm_row(arm, len(view.chosen), colours[arm.name]) for arm in view.arms)
    heads = _heads(
        ("arm", "share", "reward", "ms a token", "failed", "state"), frozenset({"share", "reward", "failed"})
    )
    return (
        f"<h2>What was chosen, the last {len(view.chosen):,} decisions</h2>{shares_chart(view.chosen, colours)}"
        f'<p class="scale"><span>since {_moment(view.since)} UTC</span><span>now</span></p>'
        f"<table>{heads}<tbody>{rows}</tbody></table>"
    )


def _arm_row(arm: ArmView, n: int, colour: str) -> str:
    return _row(
        [
            ("first", "", _swatch(arm.name, colour)),
            ("n", "share", f"{arm.n_chosen / n:.1%}"),
            ("n", "reward", _figure(arm.mean_reward)),
            ("n", "ms a token", _figure(arm.ms_per_token)),
            ("n", "failed", str(arm.n_failed)),
            ("", "state", "up" if arm.state == "up" else f'<span class="bad">{arm.state}</span>'),
        ]
    )


def _rounds(rounds: Sequence[RoundsView], colours: Mapping[str, str]) -> str:
    if not rounds:
        return ""
    of_arm = {one.arm: sum(other.n_rounds for other in rounds if other.arm == one.arm) for one in rounds}
    rows = "".join(_rounds_row(one, of_arm[one.arm], colours) for one in rounds)
    heads = ("arm", "chose", "rounds", "of its rounds", "accepted a round")
    table = f"<table>{_heads(heads, frozenset(heads[2:]))}<tbody>{rows}</tbody></table>"
    return f"<h2>What was chosen round by round</h2>{table}"


def _rounds_row(one: RoundsView, n_of_arm: int, colours: Mapping[str, str]) -> str:
    return _row(
        [
            ("first", "", _swatch(one.arm, colours.get(one.arm, _UNKNOWN))),
            ("", "chose", _swatch(one.chosen, colours.get(one.chosen, _UNKNOWN))),
            ("n", "rounds", f"{one.n_rounds:,}"),
            ("n", "of its rounds", f"{one.n_rounds / n_of_arm:.1%}"),
            ("n", "accepted a round", f"{one.n_accepted / one.n_rounds:.2f}"),
        ]
    )


def _domains(view: LiveView, colours: Mapping[str, str]) -> str:
    if not view.domains:
        return ""
    most = sorted(view.domains.items(), key=lambda item: -item[1].chosen.total())[:_MOST_DOMAINS]
    n_left = len(view.domains) - len(most)
    rows = "".join(
        _row(
            [
                ("first", "", escape(domain or NO_DOMAIN)),
                ("n", "decisions", str(one.chosen.total())),
                ("wide", "chosen", _shares(one, colours)),
                ("n", "reward", _figure(one.mean_reward)),
                ("n", "ms a token", _figure(one.ms_per_token)),
                ("n", "failed", str(one.n_failed)),
            ]
        )
        for domain, one in most
    )
    heads = _heads(
        ("domain", "decisions", "chosen", "reward", "ms a token", "failed"),
        frozenset({"decisions", "reward", "failed"}),
    )
    left = f"<p>{n_left} further domains have fewer decisions.</p>" if n_left else ""
    return f"<h2>The same by domain</h2><table>{heads}<tbody>{rows}</tbody></table>{left}"


def _shares(domain: ServedDomain, colours: Mapping[str, str]) -> str:
    n = max(1, domain.chosen.total())
    arms = domain.chosen.most_common()
    return " ".join(_swatch(f"{arm} {count / n:.0%}", colours.get(arm, _UNKNOWN)) for arm, count in arms)


def _decisions(decisions: Sequence[ExplainedDecision], colours: Mapping[str, str]) -> str:
    if not decisions:
        return ""
    rows = "".join(_decision_row(one, colours) for one in decisions)
    return f"<h2>The last decisions, and why</h2><table>{_heads(_HEADS, _NUMBERS)}<tbody>{rows}</tbody></table>"


def _decision_row(one: ExplainedDecision, colours: Mapping[str, str]) -> str:
    logged, served = one.served.decision, one.served
    decision = logged.decision
    ms = 1000 * served.seconds / served.n_tokens if served.seconds is not None and served.n_tokens else None
    shown = {"rewarded": _figure(served.reward), "open": "open"}.get(served.end)
    if shown is None:
        what = "dropped" if served.reward is None else f"{_figure(served.reward)} failed"
        shown = f'<span class="bad" title="{escape(served.end)}">{what}</span>'
    proposed = decision.proposed or decision.probabilities
    return _row(
        [
            ("first", "", _moment(logged.time)),
            ("", "", _swatch(decision.arm, colours.get(decision.arm, _UNKNOWN))),
            ("n", "drawn with", f"{decision.propensity:.3f}"),
            ("wide", "policy alone", _by_arm({arm: f"{p:.2f}" for arm, p in proposed.items()})),
            ("wide", "expected now", _by_arm({arm: _figure(value) for arm, value in one.expected.items()}) or "-"),
            ("n", "reward", shown),
            ("n", "ms a token", _figure(ms)),
            ("id", "", escape(logged.query_id)),
        ]
    )


def _changes(view: LiveView) -> str:
    if not view.changes:
        return ""
    lines = "".join(
        f"<p>{_moment(change.time, '%d %b %H:%M:%S')} <b>{escape(change.stage)}</b> {escape(change.reason)}</p>"
        for change in view.changes
    )
    return f"<h2>Changes of the stage</h2>{lines}"


def _answers(view: LiveView) -> str:
    if not view.n_answers:
        return ""
    return '<h2>Token by token</h2><p><a href="draftpick/answers">Whose each token of the last answers is</a></p>'


def _heads(names: Iterable[str], numbers: frozenset[str]) -> str:
    cells = "".join(
        f'<th class="n">{name}</th>' if name in numbers | {"ms a token"} else f"<th>{name}</th>" for name in names
    )
    return f"<thead><tr>{cells}</tr></thead>"


def _row(cells: Iterable[tuple[str, str, str]]) -> str:
    parts = (
        f"<td{f' class={kind!r}' if kind else ''}{f' data-h={head!r}' if head else ''}>{text}</td>"
        for kind, head, text in cells
    )
    return f"<tr>{''.join(parts)}</tr>"


def _swatch(name: str, colour: str) -> str:
    return f'<span class="arm"><i style="background:{colour}"></i>{escape(name)}</span>'


def _by_arm(values: Mapping[str, str]) -> str:
    return ", ".join(f"{escape(arm)} {value}" for arm, value in values.items())


def _figure(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.3g}"


def _moment(time: float, form: str = "%H:%M:%S") -> str:
    return datetime.fromtimestamp(time, UTC).strftime(form)
