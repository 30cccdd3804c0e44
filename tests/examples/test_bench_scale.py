"""The benchmark of large sizes runs on tiny ones, and its page shows what it leaves."""

import json
import runpy
from pathlib import Path

from results_pages.scale import scale_page
from scale_bench.peers import PEERS
from scale_bench.streamed import PIECES

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_scale.py"


def test_the_benchmark_of_scale_runs_and_its_page_shows_every_row_and_limit(tmp_path):
    assert "Not measured yet" in scale_page(tmp_path)
    record = runpy.run_path(str(SCRIPT))["main"](["--smoke"])
    assert [bar["bar"] for bar in record["bars"]] == [20, 5000, 600]
    assert all(row["ms"] > 0 for row in record["rows"])
    (tmp_path / "bench_scale.json").write_text(json.dumps(record))
    page = scale_page(tmp_path)
    assert all(row["name"] in page for row in record["rows"])
    assert all(bar["name"] in page for bar in record["bars"])
    assert all(row["name"] in page for kind in ("streamed", "peers") for row in record[kind])


def test_pieces_run_on_a_small_log_on_disk_and_ours_beside_peers(tmp_path, capsys):
    for piece in ("write", "fit", "estimate", "compare", "fit-in-memory", "estimate-in-memory"):
        PIECES[piece][1](tmp_path / "log", 600, 3, 4)
    assert "DoublyRobust" in capsys.readouterr().err
    from scale_bench.drawn import drawn_log

    for ours in ("our-fit", "our-estimate"):
        PEERS[ours][2](drawn_log(600, 3, 4))()
