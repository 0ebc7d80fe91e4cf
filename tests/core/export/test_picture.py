"""Pictures by matplotlib: what is in them, how runs are told apart, and what is said where something is left out."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from core.errors import UserError
from core.export import extras
from core.export.curves import Curve, read_run
from core.export.picture import COLOURS, COLUMNS, DOTS_PER_INCH, INCHES, MARKERS, Chart, picture
from core.runs.looks import looks
from core.runs.metrics import AXES, LOSSES, METRICS
from core.scales import LINEAR, LOG
from tests.core.export.journalled import MakeRun, epoch
from tests.core.export.readers import size_of
from tests.scales import SQUARE_ROOT


def curve(name: str, **columns: list[float]) -> Curve:
    return Curve(name, {key: np.array(values, dtype=np.float64) for key, values in columns.items()}, Path(name))


def strokes(svg: bytes) -> set[str]:
    """The colours of the lines and markers in an SVG."""
    return {colour.upper() for colour in re.findall(r"stroke: (#\w{6})", svg.decode())}


def test_runs_have_their_own_colours_and_markers_and_names(make_run: MakeRun) -> None:
    names = ["one", "月亮", "_hidden", "$x^2$", "<b>&amp;"]
    curves = [read_run(make_run(name, [epoch(1), epoch(2)])) for name in names]
    svg, remarks, _ = picture(curves, Chart(title="四"), "svg")
    assert remarks == []
    assert {COLOURS[colour].upper() for colour, _ in looks(names).values()} <= strokes(svg)
    comments = svg.decode()  # matplotlib notes each text beside its shapes
    for words in ("月亮", "_hidden", "$x^2$", "&lt;b&gt;", "四", "training perplexity", "epoch"):
        assert f"<!-- {words}" in comments, words
    assert svg == picture(curves, Chart(title="四"), "svg")[0], "the same curves give the same bytes"
    png, *_ = picture(curves, Chart(), "png")
    assert size_of(png) == tuple(round(inches * DOTS_PER_INCH) for inches in INCHES)


def test_what_cannot_be_drawn_of_a_name_is_an_escape() -> None:
    strange = [curve("\udcfe\x1b[31m\ufffe", epoch=[1, 2], perplexity=[3, 2])]
    svg, *_ = picture(strange, Chart(title="\udcff\0"), "svg")
    assert ElementTree.fromstring(svg).tag.endswith("svg"), "which other programs can read"
    for words in (r"\udcfe\x1b[31m\ufffe", r"\udcff\x00"):
        assert f"<!-- {words} -->" in svg.decode(), words
    assert picture(strange, Chart(title="\udcff\0"), "png")[0]


def test_a_run_looks_the_same_in_every_picture_and_unlike_the_others() -> None:
    names = [f"run-{number}" for number in range(50)]
    alone = looks(["run-7"])["run-7"]
    assert looks(["run-7", *names])["run-7"] == alone and looks(["run-7"])["run-7"] == alone
    found = looks(names)
    assert len(set(found.values())) == 50, "no two share colour and marker"
    first = list(found.values())[: len(COLOURS)]
    assert len({colour for colour, _ in first}) == len({marker for _, marker in first}) == len(COLOURS)
    assert {marker for _, marker in found.values()} == set(range(len(MARKERS)))


def test_every_axis_and_metric_is_drawn(make_run: MakeRun) -> None:
    run = read_run(make_run())
    for chart in (
        *(Chart(axis=axis) for axis in AXES),
        Chart(("loss", "validation_loss"), smoothing=0.5),
        Chart(("gradient_norm",), y_scale=LINEAR),
        Chart(("bits",), y_scale=LOG),
        Chart(("bits",), y_scale=SQUARE_ROOT),
    ):
        svg, remarks, _ = picture([run], chart, "svg")
        assert f"<!-- {AXES[chart.axis].label} -->" in svg.decode()
        first = (*chart.metrics, "perplexity")[0]
        far = [f"one: 1 of 3 values of {first} is far worse than guessing: left out"]
        beyond = far if first in LOSSES else []
        assert remarks == beyond, chart
        shown = svg.decode()
        assert ("<!-- one, held-out perplexity -->" in shown) == ("<!-- perplexity -->" in shown) == (not chart.metrics)
    rare = picture([curve("one", epoch=[1, 2], saturated=[0.1, 0.2])], Chart(("saturated",)), "svg")[0].decode()
    assert f"<!-- {METRICS['saturated'].label} -->" in rare
    raw = svg_lines(picture([run], Chart(("loss",)), "svg")[0])
    assert svg_lines(picture([run], Chart(("loss",), smoothing=0.9), "svg")[0]) == raw + 1, "the raw line is dimmed"


def test_a_run_that_diverged_does_not_flatten_the_others() -> None:
    good = replace(curve("good", epoch=[1, 2, 3], perplexity=[60.0, 20.0, 9.0]), vocabulary=62)
    wild = replace(curve("wild", epoch=[1, 2, 3], perplexity=[70.0, 1e210, np.inf]), vocabulary=62)
    svg, remarks, _ = picture([good, wild], Chart(), "svg")
    assert remarks == ["wild: 2 of 3 values of perplexity are far worse than guessing: left out"]
    assert "<!-- 50 -->" in svg.decode() and "<!-- wild -->" in svg.decode()
    alone = replace(curve("alone", epoch=[1, 2], perplexity=[1e200, 1e210]), vocabulary=62)
    assert picture([alone], Chart(), "svg")[1] == [], "where all is far, it is shown"
    assert picture([good, alone], Chart(), "svg")[2] == 1
    endless = curve("endless", epoch=[1], perplexity=[np.inf], loss=[900.0])
    with pytest.raises(UserError, match=r"no finite perplexity above 0, .* to draw: .* metric, such as loss$"):
        picture([endless], Chart(), "svg")


def svg_lines(svg: bytes) -> int:
    return len(re.findall(rb'clip-path="url\(#\w+\)" style="fill: none; stroke: #(?!b0b0b0)', svg))


def test_what_cannot_be_drawn_is_said() -> None:
    good = curve("good", epoch=[1, 2], loss=[2.0, 1.0])
    value = curve("value", epoch=[1, 2], Value=[2.0, 1.0])
    assert picture([good, value], Chart(("loss",)), "svg")[1] == [], (
        "the only figure of a file is the one that is meant"
    )
    loss, log, root = Chart(("loss",)), Chart(("loss",), y_scale=LOG), Chart(("loss",), y_scale=SQUARE_ROOT)
    cases = [
        ([curve("a", epoch=[1, 2], loss=[-1.0, 1.0])], log, ["a: 1 of 2 values of loss is not above 0: left out"]),
        (
            [curve("a", epoch=[1, 2], loss=[-1.0, 0.0])],
            root,
            ["a: 1 of 2 values of loss is not of at least 0: left out"],
        ),
        ([good, curve("b", epoch=[1], loss=[np.nan])], loss, ["b has no loss"]),
    ]
    for curves, chart, remarks in cases:
        assert picture(curves, chart, "svg")[1] == remarks
    refused = [
        ([curve("a", epoch=[1], loss=[np.inf])], loss, "there is no finite loss to draw"),
        ([curve("a", epoch=[1], loss=[-1.0])], log, "no finite loss above 0, which a logarithmic"),
        ([curve("a", step=[1], loss=[1.0])], loss, "a has no epoch; it has step, loss"),
        ([curve("a", loss=[1], perplexity=[3])], loss, "a has no epoch; it has loss, perplexity, bits"),
        ([curve("a", epoch=[1], x=[1.0], y=[1.0])], loss, "a has no loss; it has epoch, x, y"),
    ]
    for curves, chart, words in refused:
        with pytest.raises(UserError, match=re.escape(words)):
            picture(curves, chart, "svg")
    for wrong in ({"axis": "days"}, {"smoothing": 1.0}, {"smoothing": float("nan")}, {"metrics": tuple("abcde")}):
        with pytest.raises(UserError):
            Chart(**wrong)  # type: ignore[arg-type]


def test_fifty_runs_have_a_legend_beside_the_chart() -> None:
    curves = [curve(f"a run with a name {number}", epoch=[1, 2], perplexity=[9, 8]) for number in range(50)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png, remarks, _ = picture(curves, Chart(), "png")
    width, height = size_of(png)
    assert remarks == [] and height == INCHES[1] * DOTS_PER_INCH and width > 1.5 * INCHES[0] * DOTS_PER_INCH


def test_a_legend_leaves_the_chart_its_width_whatever_the_names() -> None:
    for name in ("a name", "月亮代表我的心和一条很长的名字", "\x01\x02" * 12, "$x^2$ [b]", "W" * 40, "i" * 40):
        curves = [curve(f"{name} {number}", epoch=[1, 2], perplexity=[9, 8]) for number in range(45)]
        svg, *_ = picture(curves, Chart(), "svg")
        (width,) = {float(found) for found in re.findall(r'<rect x="\S+" y="\S+" width="(\S+)"', svg.decode())}
        assert 0.85 < width / 72 / INCHES[0] < 1.0, name


def test_a_long_curve_is_drawn_in_bounded_size() -> None:
    noise = np.random.default_rng(1).random(100_000) + 1
    noise[54_321] = 1000.0  # a spike is not lost
    long = Curve("long", {"epoch": np.arange(100_000.0), "loss": noise}, Path("long"))
    svg, *_ = picture([long], Chart(("loss",), y_scale=LINEAR), "svg")
    assert len(svg) < 80 * COLUMNS and "<!-- 1000 -->" in svg.decode()


def test_a_missing_font_and_a_missing_library_are_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.font_manager

    moon = curve("月亮", epoch=[1.0, 2.0], loss=[2.0, 1.0])
    with monkeypatch.context() as patch:
        fonts = [entry for entry in matplotlib.font_manager.fontManager.ttflist if entry.name == "DejaVu Sans"]
        patch.setattr(matplotlib.font_manager.fontManager, "ttflist", fonts)
        (remark,) = picture([moon], Chart(("loss",)), "svg")[1]
        assert remark.startswith("no font of this machine has 亮月: the picture shows boxes; install one, such as")

    (remark,) = picture([curve("\U00013000", epoch=[1.0], loss=[2.0])], Chart(("loss",)), "svg")[1] or [""]
    assert remark in ("", "no font of this machine has \U00013000: the picture shows boxes; install one")

    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(UserError, match=r"needs matplotlib, which is not installed: run pip install .*\[export\]"):
        picture([moon], Chart(("loss",)), "svg")
