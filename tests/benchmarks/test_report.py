"""The report as table, markdown, HTML and files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from edge_emotion.benchmarks.charts import pareto_front
from edge_emotion.benchmarks.environment import Vitals
from edge_emotion.benchmarks.files import write_report
from edge_emotion.benchmarks.html import render_html
from edge_emotion.benchmarks.latency import Ratio
from edge_emotion.benchmarks.operators import Operator
from edge_emotion.benchmarks.report import BenchReport, Row
from edge_emotion.benchmarks.sustained import Point, Sustained, first_and_last
from edge_emotion.benchmarks.svg import Scale, padded, tag
from edge_emotion.benchmarks.tables import render_markdown, render_table
from edge_emotion.edge_runtime.metrics import compare
from hypothesis import given
from hypothesis import strategies as st

MakeRow = Callable[..., Row]
MakeReport = Callable[..., BenchReport]
EVIL = '<script>alert("1")</script>|x'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def full(make_row: MakeRow, make_report: MakeReport) -> BenchReport:
    """A report with everything in it."""
    operators = (Operator(0, "CONV_2D", (1, 8, 8, 4), 2304, 0.4), Operator(1, "MEAN", (1, 4), 0, -0.01))
    stages = {"decode": 1.0, "detect": 20.0, "preprocess": 0.2, "classify": 1.0, "track": 0.1, "total": 22.3}
    footage = {"frames": 30, "faces": 31, "total_p95_ms": 25.0}
    points = tuple(
        Point(float(second), 1.0 + second / 100, Vitals(0.0, 50.0 + second, 1800.0, ("throttled",), (), 0.1, None))
        for second in range(1, 30)
    )
    rows = [
        make_row("edge-float32", p50=4.0, accuracy=0.7, operators=operators, macs=2304, ratio=Ratio(1.0, (1.0, 1.0))),
        make_row(EVIL, "int8", p50=1.0, accuracy=0.69, stages_ms=stages, footage=footage),
        make_row("crashed", precision="", latency=None, samples_ms=None, error="the interpreter crashed"),
    ]
    sustained = Sustained("edge-float32", 1, 30.0, points, first_and_last(points))
    return make_report(*rows, sustained=sustained, notes=("NOISY: <b>",))


def test_an_empty_report_can_be_shown(make_report: MakeReport) -> None:
    report = make_report()
    assert "none: no model could be measured" in render_table(report)
    assert "<table>" in render_html(report)
    assert "|" in render_markdown(report)


def test_the_table_tells_everything_once(full: BenchReport) -> None:
    text = render_table(full)
    for words in ("70.00 ±2.8", "p99 ms", "crashed, 1 thread: the interpreter crashed", "detect 20.00"):
        assert text.count(words) == 1
    assert "costliest of 2 operators: #0 conv_2d 8×8×4" in text
    assert "recommendation: " in text
    assert "drop" not in text  # no row was compared


def test_the_table_says_what_a_drop_is_against(make_row: MakeRow, make_report: MakeReport) -> None:
    truth, guess = np.arange(100) % 3, np.zeros(100, np.int64)
    row = make_row("q", "int8", accuracy=0.7)
    assert row.accuracy is not None
    dropped = replace(row, accuracy=replace(row.accuracy, reference="f", drop=compare(truth, guess, truth)))
    lines = render_table(make_report(make_row("f", accuracy=0.7), dropped)).splitlines()
    assert "drop pp" in lines[0]
    assert "+66.00 ±" in lines[2]
    assert any(line.startswith("drop: ") for line in lines)


def test_rows_say_what_the_contract_names(full: BenchReport) -> None:
    document = json.loads(json.dumps(full.to_json(), allow_nan=False))
    assert {"schema_version", "environment", "results", "recommendation"} <= set(document)
    keys = {
        *("model", "precision", "backend", "threads", "size_bytes", "accuracy", "accuracy_drop_pp", "mcnemar_p"),
        *("latency_ms", "stages_ms", "init_ms", "first_ms", "peak_rss_mb", "throughput_per_s"),
    }
    for row in document["results"]:
        assert keys <= set(row)
    assert {"p50", "p95", "p99", "mean", "min"} <= set(document["results"][0]["latency_ms"])
    assert document["results"][0]["gops"] == pytest.approx(2 * 2304 / 4e-3 / 1e9)


def test_markdown_survives_a_name_with_its_own_marks(full: BenchReport) -> None:
    lines = [line for line in render_markdown(full).splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "<script" not in render_markdown(full)


class Page(HTMLParser):
    """Checks that tags are balanced and collects what would be fetched."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(name)
        self.fetched += [value or "" for key, value in attributes if key in ("src", "href", "srcset", "data")]
        if name not in self.VOID:
            self.open.append(name)

    def handle_startendtag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name


def test_the_page_is_whole_asks_nothing_of_the_network_and_escapes_names(full: BenchReport) -> None:
    text = render_html(full)
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.fetched == ["data:,"]
    assert "script" not in page.tags
    assert not re.search(r"https?://|url\(|@import", text)
    assert text.count("<svg") == 7  # scatter, distributions, stages, two confusions, operators, sustained
    assert "NOISY: &lt;b&gt;" in text


def test_files(full: BenchReport, tmp_path: Path) -> None:
    paths = write_report(full, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["report.json", "report.md", "report.html", "samples.npz"]
    assert json.loads(paths[0].read_text()) == full.to_json()
    with np.load(paths[3]) as samples:
        assert len(samples.files) == 2
        assert samples["edge-float32 1"].shape == (101,)
    assert sorted(path.name for path in paths[0].parent.iterdir()) == sorted(path.name for path in paths)


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0, 1)), max_size=12))
def test_nothing_beats_a_point_of_the_pareto_front(points: list[tuple[float, float]]) -> None:
    front = pareto_front(points)
    for index in range(len(points)):
        beaten = any(points[f][0] <= points[index][0] and points[f][1] >= points[index][1] for f in front)
        assert beaten
    costs = [points[index][0] for index in front]
    values = [points[index][1] for index in front]
    assert costs == sorted(costs)
    assert values == sorted(values)


@given(st.floats(1e-3, 1e3), st.floats(1.01, 1e4), st.booleans())
def test_ticks_lie_within_the_scale_and_rise(low: float, factor: float, log: bool) -> None:
    scale = Scale(low, low * factor, 0.0, 100.0, log)
    ticks = scale.ticks()
    assert ticks == sorted(set(ticks))
    assert len(ticks) >= 2
    assert all(low * (1 - 1e-9) <= tick <= low * factor * (1 + 1e-9) for tick in ticks)
    assert all(-1e-6 <= scale(tick) <= 100 + 1e-6 for tick in ticks)


def test_a_scale_maps_its_ends_and_clips() -> None:
    scale = Scale(1.0, 100.0, 0.0, 10.0, log=True)
    assert (scale(1.0), scale(10.0), scale(1e9)) == (0.0, 5.0, 10.0)


def test_a_range_around_one_value_is_not_empty() -> None:
    for value in (0.0, 5.0, -3.0):
        low, high = padded([value])
        assert low < value < high


def test_attributes_are_escaped() -> None:
    assert tag("a", title='"><script>') == '<a title="&quot;&gt;&lt;script&gt;"/>'


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_nothing_overflows_and_the_colours_follow(
    full: BenchReport, tmp_path: Path, width: int, dark: bool
) -> None:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    page = render_html(full)
    probe = (
        "<script>const d = document.documentElement, b = getComputedStyle(document.body);"
        "const small = [...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height);"
        "document.title = JSON.stringify({width: innerWidth, content: d.scrollWidth, ground: b.backgroundColor,"
        "fetched: performance.getEntriesByType('resource').map(e => e.name), smallest: Math.min(...small)})</script>"
    )
    frame = tmp_path / "frame.html"
    (tmp_path / "report.html").write_text(page.replace("</body>", probe + "</body>"))
    # A headless window is at least 500 pixels wide, a frame is as wide as it is told.
    frame.write_text(
        f'<iframe src="report.html" width="{width}" height="800" style="border:0"></iframe>'
        "<script>onload = () => { document.title = frames[0].document.title }</script>"
    )
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--no-first-run"]
    command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stdout[:500]
    seen = json.loads(title[1].replace("&amp;", "&"))
    assert seen["width"] == width
    assert seen["content"] <= width
    assert seen["ground"] == ("rgb(18, 22, 28)" if dark else "rgb(255, 255, 255)")
    assert seen["fetched"] == []
    assert seen["smallest"] > 9
