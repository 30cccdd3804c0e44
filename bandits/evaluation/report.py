"""A comparison as one HTML page that needs nothing else: no network, no other file, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from arms.atomic_file import write_file
from arms.shown_text import escape
from bandits.evaluation.colours import TEXT, colours_of
from bandits.evaluation.comparison import Comparison, ComparisonRow
from bandits.evaluation.report_charts import Axis, Mark, cost_chart, curve_chart, strip
from bandits.evaluation.report_sources import sources_of
from bandits.evaluation.report_wording import basis, limits
from bandits.evaluation.rolling_result import RollingEvaluation
from bandits.evaluation.trade_off_result import TradeOff
from bandits.statistics.estimate import Estimate
from bandits.statistics.table import Table

_MARKED = ("policy", "arm", "log", "oracle")
_FITTING = 7  # columns of figures with intervals, each on one line


def write_report(
    comparison: Comparison,
    path: str | Path,
    *,
    files: Sequence[str | Path] = (),
    command: str | None = None,
    beside: Sequence[TradeOff | RollingEvaluation] = (),
    cost_unit: str | None = None,
) -> None:
    """Write all of a comparison as one HTML page that needs nothing else: no network, no other file, no script.

    Args:
        comparison: of `compare`.
        path: of the page, which ends in .html.
        files: files or folders that the data were read from; the page has their digests.
        command: that made the comparison, for the page.
        beside: what else was found on the same policies: their trade-off, their values over time.
        cost_unit: what the costs are in, such as "$".

    Raises:
        ValueError: if the path does not end in .html, or is of a folder.
        FileNotFoundError: if one of the files is not there.
    """
    file = report_path(path)
    sources = sources_of(files, command, comparison.seeds)
    write_file(file, report_page(comparison, sources, beside, cost_unit))


def report_path(path: str | Path) -> Path:
    """Return where a report is to be written.

    Raises:
        ValueError: if the path does not end in .html, or is of a folder.
    """
    path = Path(path)
    if path.suffix.lower() != ".html":
        raise ValueError(f"a report is one page, so its path must end in .html, got {str(path)!r}")
    if path.is_dir():
        raise ValueError(f"a report is one page, and {path} is a folder: give the path of a file")
    return path


def report_page(
    comparison: Comparison,
    sources: Mapping[str, str],
    beside: Sequence[TradeOff | RollingEvaluation] = (),
    cost_unit: str | None = None,
) -> str:
    """Return the page; names in it are text, whatever they hold.

    Args:
        comparison: of `compare`.
        sources: what it was made from, from `sources_of`.
        beside: trade-off and values over time of the same policies.
        cost_unit: what the costs are in.
    """
    template = Template(files("bandits.evaluation").joinpath("report.html").read_text(encoding="utf-8"))
    parts = [
        _values(comparison),
        _sentences("What the figures rest on", basis(comparison)),
        _sentences("What the data cannot support", limits(comparison)),
        _curves(comparison),
        _segments(comparison),
        _costs(comparison, cost_unit),
        *(_weights(one, cost_unit) if isinstance(one, TradeOff) else _over_time(one) for one in beside),
        _sources(sources),
    ]
    return template.substitute(
        title=escape(f"Policies compared: {comparison.conclusion.policy}"),
        conclusion=escape(str(comparison.conclusion)),
        parts="\n".join(part for part in parts if part),
    )


def _values(comparison: Comparison) -> str:
    """Return the table with a picture of each value; the dashes are where the baseline lies."""
    axis = Axis.around([end for row in comparison for end in (*row.interval, row.value)])
    base = comparison[comparison.baseline].value
    strips = [strip(row, axis, base) for row in comparison] + [strip(None, axis, base)] * len(comparison.refused)
    shares = _shares(comparison)
    return f"<h2>Values</h2>{_table(comparison.table(), strips, axis)}{shares}"


def _shares(comparison: Comparison) -> str:
    """Return which arms each policy takes, as bars that are divided by the arms' probabilities."""
    colours = colours_of(comparison.arm_names)
    first = comparison.rows[0].estimator
    bars = []
    for row in comparison:
        if row.kind not in ("policy", "segment") or row.estimator != first:
            continue
        left, pieces = 0.0, []
        for arm, share in row.arm_shares.items():
            pieces.append(
                f'<rect x="{100 * left:.2f}%" width="{100 * share:.2f}%" height="100%" fill="{colours[arm]}"/>'
            )
            left += share
        taken = ", ".join(f"{arm} {share:.0%}" for arm, share in row.arm_shares.items())
        picture = f'<svg class="shares" role="img" aria-label="{escape(taken)}">{"".join(pieces)}</svg>'
        bars.append(f'<div class="share"><span>{escape(row.name)}</span>{picture}</div>')
    return f"<h2>Which arms are taken</h2>{''.join(bars)}{_legend(colours)}"


def _curves(comparison: Comparison) -> str:
    first = comparison.rows[0].estimator
    lines: dict[str, list[tuple[float, Estimate]]] = {}
    for point in comparison.curves:
        if point.estimator == first:
            lines.setdefault(point.name, []).append((point.n_train, point))
    if max(map(len, lines.values()), default=0) < 2:
        return ""
    colours = colours_of(list(lines))
    drawn = [(colours[name], sorted(line, key=lambda one: one[0])) for name, line in lines.items()]
    chart = curve_chart(drawn, "Mean reward of each policy over the number of training rows")
    told = '<p class="dim">Mean reward on tested queries over the number of training rows, with intervals.</p>'
    return f"<h2>Learning curves</h2>{told}{chart}{_legend(colours)}"


def _segments(comparison: Comparison) -> str:
    rows = comparison.segments
    if not rows:
        return ""
    table = comparison.segment_table()
    axis = Axis.around([0.0, *(end for row in rows for end in row.difference.interval)])
    remarks = "".join(f'<p class="dim">{escape(remark)}</p>' for remark in table.remarks)
    shown = _table(table, [strip(row.difference, axis, 0.0) for row in rows], axis)
    return f"<h2>By segment</h2>{shown}{remarks}"


def _costs(comparison: Comparison, cost_unit: str | None) -> str:
    first = comparison.rows[0].estimator
    rows = [row for row in comparison if row.kind in _MARKED and (row.kind != "policy" or row.estimator == first)]
    priced = [(row, row.cost) for row in rows if row.cost is not None]
    if not priced:
        return ""
    colours = colours_of([row.name for row, _ in priced])
    marks = [Mark(number, colours[row.name], cost, row) for number, (row, cost) in enumerate(priced, 1)]
    front = [(row.cost.value, row.value) for row in comparison.pareto() if row.cost is not None]
    chart = cost_chart(marks[::-1], [(TEXT, front)], "Cost across and mean reward upwards, of policies and arms")
    unbeaten = {row.name for row in comparison.pareto()}
    items = "".join(_priced(row, cost, colours[row.name], unbeaten) for row, cost in priced)
    return f"<h2>Cost against quality</h2>{_axes(cost_unit)}{chart}<ol>{items}</ol>"


def _priced(row: ComparisonRow, cost: Estimate, colour: str, unbeaten: set[str]) -> str:
    best = "; nothing is both cheaper and better" if row.name in unbeaten else ""
    return f'<li><i style="background:{colour}"></i>{escape(f"{row.name}: {row} at {cost:.3g}{best}")}</li>'


def _axes(cost_unit: str | None) -> str:
    unit = f" ({cost_unit})" if cost_unit else ""
    return f'<p class="dim">{escape(f"Mean cost{unit} across, mean reward upwards: up and left is better.")}</p>'


def _weights(result: TradeOff, cost_unit: str | None) -> str:
    """Return a line a policy through its points at all weights, the arms beside it, and the tables."""
    colours = colours_of([*result.names, *(arm.name for arm in result.arms)])
    drawn = [*result.arms, *result.points]
    numbers = {name: number for number, name in enumerate(colours, 1)}
    marks = [Mark(numbers[one.name], colours[one.name], one.cost, one) for one in drawn]
    lines = []
    for name in result.names:
        own = sorted((one.cost.value, one.value) for one in result.points if one.name == name)
        lines.append((colours[name], own))
    chart = cost_chart(marks, lines, "Cost across and mean reward upwards, of each policy at several weights")
    items = "".join(f'<li><i style="background:{colour}"></i>{escape(name)}</li>' for name, colour in colours.items())
    tables = _told(result.table()) + _told(result.points_table())
    return f"<h2>At several weights of the cost</h2>{_axes(cost_unit)}{chart}<ol>{items}</ol>{tables}"


def _over_time(result: RollingEvaluation) -> str:
    """Return a line a policy through its values window by window, and the tables."""
    colours = colours_of([row.name for row in result if row.kind != "frozen"])
    lines = [
        (colour, [(float(point.window), point) for point in result.points if point.name == name])
        for name, colour in colours.items()
    ]
    chart = curve_chart(lines, "Mean reward of each policy over the windows of time", logarithmic=False)
    told = '<p class="dim">Mean reward of policies that learn as they go, window by window in order of time.</p>'
    tables = _told(result.table()) + _told(result.window_table())
    return f"<h2>Over time</h2>{told}{chart}{_legend(colours)}{tables}"


def _told(table: Table) -> str:
    """Return a table with its remarks."""
    return _table(table) + "".join(f'<p class="dim">{escape(remark)}</p>' for remark in table.remarks)


def _sources(sources: Mapping[str, str]) -> str:
    lines = "".join(f"<dt>{escape(what)}</dt><dd>{escape(value)}</dd>" for what, value in sources.items())
    return f"<h2>How to make it again</h2><dl>{lines}</dl>"


def _sentences(heading: str, sentences: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<h2>{heading}</h2><ul>{items}</ul>"


def _legend(colours: Mapping[str, str]) -> str:
    entries = (f'<span><i style="background:{colour}"></i>{escape(name)}</span>' for name, colour in colours.items())
    return f'<p class="legend">{"".join(entries)}</p>'


def _table(table: Table, strips: Sequence[str] = (), axis: Axis | None = None) -> str:
    """Return a table, with a picture at the end of each line where there are some; remarks are left out."""
    left = [place == 0 or heading in table.left for place, heading in enumerate(table.headings)]
    heads = [
        f'<th class="{_side(is_left)}">{escape(one)}</th>' for one, is_left in zip(table.headings, left, strict=True)
    ]
    if axis is not None:
        heads.append(f'<th class="drawn"><span>{axis.low:.3g}</span><span>{axis.high:.3g}</span></th>')
    lines = []
    for number, line in enumerate(table.lines):
        cells = [
            f'<td class="{_side(is_left)}" data-h="{escape(heading)}">{escape(cell)}</td>'
            for heading, cell, is_left in zip(table.headings, line, left, strict=True)
        ]
        cells += [f'<td class="drawn">{strips[number]}</td>'] if strips else []
        rule = ' class="rule"' if number in table.sections else ""
        lines.append(f"<tr{rule}>{''.join(cells)}</tr>")
    head = f"<thead><tr>{''.join(heads)}</tr></thead>"
    many = ' class="many"' if len(table.headings) > _FITTING else ""
    return f"<table{many}><caption>{escape(table.title)}</caption>{head}<tbody>{''.join(lines)}</tbody></table>"


def _side(is_left: bool) -> str:
    return "l" if is_left else "n"
