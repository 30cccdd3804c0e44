"""A comparison as a page: it needs nothing else, no name acts on it, and it says what the data cannot support."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from bandits import BestFixedArm, ComparisonSettings, LinUCB, Uniform, compare
from bandits.evaluation import RollingSettings, evaluate_rolling, trade_off, write_report
from bandits.evaluation.report_charts import Axis
from bandits.testing import example_data

ATTACK = "\"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e$x^$ & 'y'"
SETTINGS = ComparisonSettings(n_bootstrap=20, train_shares=(0.5, 1.0), by_segment=True)


class Page(HTMLParser):
    """The tags of a page, their attributes' names and values, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def _data(name):
    data = example_data(100)
    arms = (f"{name}1", f"{name}2", f"{name}3")
    return replace(data, arm_names=arms, domains=tuple(f"{name}{row % 2}" for row in range(100)))


def _page(name, folder, **report):
    policies = {f"{name}p": LinUCB(), f"{name}q": BestFixedArm()}
    comparison = compare(policies, _data(name), (0, 1), settings=SETTINGS)
    write_report(comparison, folder / "page.html", **report)
    return (folder / "page.html").read_text(encoding="utf-8"), comparison


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return _page("a", tmp_path_factory.mktemp("report"))


def test_hostile_names_of_arms_domains_and_policies_are_text(plain, tmp_path):
    attacked, _ = _page(ATTACK, tmp_path)
    plainly, hostile = Page(plain[0]), Page(attacked)
    assert hostile.tags == plainly.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in plainly.attributes]
    assert ATTACK.replace("\u202e", "\ufffd") in hostile.text
    assert "\u202e" not in attacked


def test_the_page_needs_no_network_no_file_and_no_script(plain):
    page = Page(plain[0])
    assert {"script", "img", "link", "iframe", "object", "style"} & set(page.tags) == {"style"}
    assert not {"src", "href", "onload"} & {name for name, _ in page.attributes}
    assert not re.search(r"url\(|@import|https?:", plain[0])
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_every_figure_of_the_tables_and_the_conclusion_are_on_the_page(plain):
    page, comparison = Page(plain[0]), plain[1]
    for table in (comparison.table(), comparison.segment_table()):
        for line in table.lines:
            assert all(cell in page.text for cell in line)
    assert str(comparison.conclusion) in page.text
    assert "Cost against quality" in page.text
    assert "Learning curves" in page.text


def test_the_same_comparison_gives_the_same_page(plain, tmp_path):
    assert _page("a", tmp_path)[0] == plain[0]


def test_what_a_log_cannot_support_is_said(tmp_path):
    log = replace(_data("a").log_with(Uniform(), np.random.default_rng(0)), costs=None)
    comparison = compare({"lin_ucb": LinUCB()}, log, (0,), settings=replace(SETTINGS, by_segment=False))
    assert not comparison.conclusion.supported
    write_report(comparison, tmp_path / "page.html")
    text = Page((tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "The conclusion: the log cannot support it." in text
    assert "lin_ucb: the log cannot support an estimate in 1 of 1 seeds" in text
    assert "The data hold no costs" in text
    assert "There is no comparison by segment here" in text
    assert "Cost against quality" not in text


def test_files_command_and_weights_of_the_cost_are_on_the_page(tmp_path):
    (tmp_path / "log.csv").write_text("a")
    front = trade_off({"ap": LinUCB(ucb_width=0)}, _data("a"), (0, 1), (0,), settings=SETTINGS)
    told = {"files": [tmp_path / "log.csv"], "command": "draftpick compare <log>", "beside": [front], "cost_unit": "$"}
    text = Page(_page("a", tmp_path, **told)[0]).text
    assert "SHA-256 ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" in text  # of "a"
    assert "draftpick compare <log>" in text
    assert "Mean cost ($)" in text
    assert all(cell in text for line in front.table().lines for cell in line)


def test_values_over_time_are_on_the_page(tmp_path):
    data = replace(_data("a"), times=np.arange(100))
    settings = RollingSettings(n_windows=4, n_first=1, n_bootstrap=20)
    rolling = evaluate_rolling({"ap": LinUCB()}, data, (0,), settings=settings)
    page = Page(_page("a", tmp_path, beside=[rolling])[0])
    assert ("aria-label", "Mean reward of each policy over the windows of time") in page.attributes
    for table in (rolling.table(), rolling.window_table()):
        assert all(cell in page.text for line in table.lines for cell in line)
    assert rolling.on_learning in page.text


@pytest.mark.parametrize(("name", "message"), [("page.md", "must end in .html, got '"), ("folder.html", "is a folder")])
def test_a_path_that_is_no_page_is_refused(plain, tmp_path, name, message):
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(ValueError, match=message):
        write_report(plain[1], tmp_path / name)


@pytest.mark.parametrize(
    ("values", "logarithmic"), [((0.0, 0.0), False), ((-3.0, 7.0), False), ((0.001, 0.9), True), ((5.0, 5.0), True)]
)
def test_an_axis_holds_its_values_and_ticks(values, logarithmic):
    axis = Axis.around(values, logarithmic=logarithmic)
    assert all(0 < axis.place(value) < 100 for value in values)
    assert all(-1e-9 <= axis.place(tick) <= 100 + 1e-9 for tick in axis.ticks())
