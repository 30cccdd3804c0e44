"""The terminal and the page tell the same of an answer, and no text can act on either."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from speculative.explaining.answer import ExplainedAnswer, ExplainedRound, Piece, explain
from speculative.explaining.page import to_html
from speculative.explaining.terminal import to_text
from speculative.protocols.decoding_stats import DecodingStats, DraftFault
from speculative.protocols.round_report import RoundReport
from speculative.sampling.certainty import Certainty

REPORT = RoundReport(
    arm="rule",
    drafted_by="suffix_3",
    draft="suffix",
    match_lengths={"suffix": 4},
    certainty=Certainty(1.5, 0.25),
    proposed_ids=(1, 2, 3),
    n_accepted=1,
    token_ids=(1, 9),
    n_caught_up=0,
    select_s=0.0001,
    draft_s=0.0004,
    verify_s=0.04,
    host_s=0.0005,
)


def _answer(accepted=" red", rejected=(" ap", "ple\n"), own=" hat\n", prompt="Say it."):
    pieces = (
        Piece(accepted, "accepted"),
        *(Piece(text, "rejected") for text in rejected),
        Piece(own, "target"),
    )
    one = ExplainedRound(REPORT, pieces, {"suffix": (3, 8)})
    stats = DecodingStats(n_prompt=3, n_new=3, actions=[0], proposed=[3], accepted=[1], prefill_s=0.1, verify_s=0.04)
    return ExplainedAnswer("q1", prompt, (Piece("A", "target"),), (one,), stats)


def test_without_colours_marks_tell_the_tokens_apart():
    shown = to_text(_answer())
    assert shown.startswith("{+accepted draft tokens+}, [-rejected draft tokens-], the target's own\n\n")
    assert "\nA{+ red+}[- apple\u21b5-] hat\n" in shown
    assert "\x1b" not in shown


def test_colours_say_the_same_as_marks():
    coloured = to_text(_answer(), colour=True)
    assert "{+" not in coloured
    marks = {"\x1b[32m": "{+", "\x1b[9;31m": "[-", "\x1b[36m": ""}
    ends = {"\x1b[32m": "+}", "\x1b[9;31m": "-]", "\x1b[36m": ""}
    plain = re.sub(
        r"(\x1b\[[\d;]*m)(.*?)\x1b\[0m", lambda m: marks[m[1]] + m[2] + ends[m[1]], coloured, flags=re.DOTALL
    )
    assert plain == to_text(_answer())


def test_the_table_says_what_was_known_picked_and_given():
    *_, row = to_text(_answer()).splitlines()
    for word in (
        "1  rule > suffix_3",
        "match suffix 4; lately accepted suffix 3 of 8",
        "41.0",
        "{+ red+}[- apple\u21b5-]",
    ):
        assert word in row
    assert re.search(r" 3 +1 +41\.0 ", row)


def test_a_long_text_is_cut_in_the_table_alone():
    shown = to_text(_answer(accepted="x" * 100))
    assert "x" * 100 in shown
    assert shown.splitlines()[-1].endswith("{+" + "x" * 48 + "...+}")


class Page(HTMLParser):
    """What stands on a page: tags with their attributes, and texts by the class that they stand in."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._classes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "input"):
            self._classes.append(dict(attributes).get("class"))

    def handle_endtag(self, tag):
        self._classes.pop()

    def handle_data(self, data):
        self.texts.append((self._classes[-1] if self._classes else None, data))

    def of(self, name):
        return [text for cls, text in self.texts if cls == name]


def test_the_page_says_of_every_token_what_the_terminal_says():
    page = Page(to_html([_answer()], title="Why"))
    assert page.of("a")[1:] == [" red"] * 2  # after the legend: in the text and in the table
    assert page.of("r")[1:] == [" ap", "ple\u21b5"] * 2
    assert page.of("o")[1:] == ["A", " hat\u21b5\n", " hat\u21b5"]
    first, told = [attributes for tag, attributes in page.tags if "data-what" in attributes]
    assert first["data-time"] == "100.0 ms: the prompt's pass"
    assert told["data-what"] == "round 1: picked rule > suffix_3 (draft suffix), proposed 3, accepted 1"
    assert told["data-known"].startswith("match suffix 4; lately accepted suffix 3 of 8")
    assert "margin 1.50, entropy 0.25" in told["data-known"]
    assert told["data-time"].startswith("41.0 ms: choosing 0.1, drafting 0.4, verifying 40.0")
    assert [attributes["href"] for tag, attributes in page.tags if tag == "a"] == ["#" + told["id"]]


def test_the_page_needs_no_network_and_reads_on_a_phone_in_the_dark_and_on_paper():
    page = to_html([_answer(), replace(_answer(), name="q2")])
    assert "http" not in re.sub(r'http-equiv="', "", page)
    assert "default-src 'none'" in page
    for needed in ('name="viewport"', "prefers-color-scheme: dark", "@media print", "@media (max-width"):
        assert needed in page
    ids = [attributes["id"] for _, attributes in Page(page).tags if attributes.get("id", "").startswith("a")]
    assert ids == ["a1r1", "a2r1"]


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "</span><b onclick='x'>", "$title", '" onfocus="x'])
def test_no_text_acts_on_the_page(hostile):
    harmless, attacked = _answer(rejected=("ap",)), _answer(hostile, (hostile,), hostile, hostile)
    attacked = replace(attacked, name=hostile)
    pages = [Page(to_html([one])) for one in (harmless, attacked)]
    names = [[(tag, sorted(attributes)) for tag, attributes in page.tags] for page in pages]
    assert names[0] == names[1]
    assert pages[1].of("a")[1] == hostile


def test_no_text_acts_on_the_terminal():
    shown = to_text(_answer("\x1b[2J", ("\x07",), "\x00\ud800"))
    assert not set(shown) & {"\x1b", "\x07", "\x00"}
    assert "{+\u241b[2J+}[-\u2407-]\u2400?" in shown
    for acting in ("\x9b2J", "\x85", "\u2028", "\u202e", "\u2066"):
        shown = to_text(_answer(acting, (acting,), acting))
        assert acting[0] not in shown
        assert "{+\ufffd" in shown


def test_a_disabled_draft_is_told():
    answer = _answer()
    answer.stats.faults.append(DraftFault("suffix", 0, "RuntimeError: no index"))
    assert "draft suffix was disabled in round 1: RuntimeError: no index" in to_html([answer])


def test_a_page_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one answer"):
        to_html([])


def test_a_real_answer_is_shown_both_ways(pool, answer):
    explained = explain(answer(number=1), pool.target, "a<b")
    assert to_text(explained).count("\n") >= len(explained.rounds)
    assert to_html([explained]).count("<tr>") == len(explained.rounds) + 1
