"""What the front door adds and loses, whether its bounds hold, and what a policy learns while it serves."""

from pathlib import Path

from results_pages.guard import guard_lines
from results_pages.learning import learning
from results_pages.parts import Record, bar_table, missing, origin, page_head, page_text, read_record, table
from results_pages.serving_engines import engines_section

_LEARNING = "python examples/benchmarks/bench_online.py"


def serving_page(folder: Path) -> str:
    """Return added time, kills, the budget, two engines, the bounds' coverage, and learning, each from a JSON."""
    lines = page_head(
        "Serving",
        "What `draftpick serve` adds to requests that go through it, what is lost where it is killed, whether its "
        "budget and the confidence sequence that promotes a policy hold, and what a policy learns while it serves.",
    )
    load = read_record(folder / "bench_serving.json")
    wrong = read_record(folder / "bench_confidence_sequence.json")
    learned = read_record(folder / "bench_online.json")
    lines += ["## Added time", ""]
    lines += missing("python examples/benchmarks/bench_serving.py") if load is None else _load(load)
    lines += ["## Kills", ""]
    kills = read_record(folder / "check_serving_kills.json")
    lines += missing("python examples/benchmarks/check_serving_kills.py") if kills is None else _kills(kills)
    lines += guard_lines(folder)
    lines += engines_section(folder)
    lines += ["## The confidence sequence", ""]
    lines += missing("python examples/benchmarks/bench_confidence_sequence.py") if wrong is None else _wrong(wrong)
    lines += missing(f"{_LEARNING} --data TRAIN TEST") if learned is None else learning(learned)
    return page_text(lines)


def _load(record: Record) -> list[str]:
    figures, settings = record["figures"], record["settings"]
    lost, crossed, _ = (bar["value"] for bar in record["bars"][:3])
    rows = [
        [
            f"{what}, {name}{when}",
            *(f"{figures[f'{group}{key}_p{share}_{side}_ms']:.2f}" for side in ("direct", "through", "added")),
        ]
        for group, when in (("", ""), ("together_", ", all at once"))
        for key, what in (("first", "first token"), ("total", "whole answer"))
        for share, name in ((50, "median"), (99, "99th percentile"))
    ]
    note = (
        f"Milliseconds. {settings['n_clients']} streaming clients, {figures['n_requests']:,} requests each way in "
        f"{settings['n_blocks']} alternating blocks, {settings['n_tokens']} tokens each, at two scripted upstreams; "
        "clients, upstreams and front door share one machine. The clients begin evenly over one answer's time; all at "
        f"once: {figures['together_n_requests']:,} requests each way whose clients begin together and keep in step, so "
        "that they wait for one another as well. The front door's own processor time is "
        f"{figures['server_cpu_ms']:.2f} ms a request. Lost: {lost}, "
        f"crossed: {crossed}, decisions missing in the log: {figures['decisions_missing']}. Memory after a "
        f"tenth of {settings['n_memory']:,} further requests {figures['memory_first_mb']:.0f} MB, after all of them "
        f"{figures['memory_last_mb']:.0f} MB. {record.get('remark', '')}"
    ).strip()
    heads = ["time to", "direct", "through", "added"]
    return [*table(heads, rows), "", note, "", *bar_table(record["bars"]), *origin(record), ""]


def _kills(record: Record) -> list[str]:
    figures, settings = record["figures"], record["settings"]
    text = (
        f"The server was killed {figures['kills']} times (SIGKILL) while {settings['n_clients']} clients asked, and "
        f"started again on the same folder. Of {figures['answered']:,} answers that came whole, {figures['missing']} "
        f"have no decision in the log; {figures['repeated']} decisions stand there twice. The learner, which was "
        f"killed with the server, knows {'something else than' if figures['learned_differently'] else 'the same as'} "
        "an undisturbed one that read the same log."
    )
    return [text, "", *bar_table(record["bars"]), *origin(record), ""]


def _wrong(record: Record) -> list[str]:
    rows = [
        [name, f"{row['ever_wrong']:.3f}", f"{row['median_width_at_the_end']:.4f}"]
        for name, row in record["rows"].items()
    ]
    settings = record["settings"]
    note = (
        f"{settings['n_runs']:,} streams of {settings['n']:,} values each, the bound looked at after every value; it "
        f"may ever be wrong in {settings['level']:.0%} of them."
    )
    heads = ["stream", "share ever wrong", "median distance at the end"]
    return [*table(heads, rows), "", note, "", *bar_table(record["bars"]), *origin(record), ""]
