"""The views of the Inspect pane: what they draw and say of an answer, and what their keys ask for."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import RunError, UserError
from core.events import State
from core.inspection.answers import CLASSES, Clipping
from tests.run_folders import make_run
from tests.tui.inspections import (
    TEXT,
    gradients_view,
    parity_view,
    saliency_view,
    stage,
    step_view,
    text_view,
    tokens_view,
    units_view,
    wave,
)  # fmt: skip
from tests.tui.panes.inspect.harness import InspectClient, edges, epoch, inspect_app, opened, picture, sentence
from tests.tui.waiting import until
from tui.messages import JournalGrew, RunStateChanged
from tui.panes.inspect.gradient import Gradient
from tui.panes.inspect.parity import Parity
from tui.panes.inspect.parts import Canvas, ViewTabs, whole_sentences
from tui.panes.inspect.step import Step
from tui.panes.inspect.strips import largest, level, strip, summary
from tui.panes.inspect.subject import KINDS
from tui.panes.inspect.token_text import TokenText
from tui.panes.inspect.tokens import Tokens
from tui.panes.inspect.units import Units
from tui.panes.inspect.view import Place
from tui.panes.inspect.why import Why
from tui.text.cells import cell_len
from tui.text.weights import UNTRAINED

SIZES = [(24, 5), (40, 8), (78, 13), (116, 28), (196, 50)]


def test_a_strip_keeps_the_strongest_value_of_each_cell() -> None:
    values = [0.1, -0.9, 0.2, 0.3, 0.0, -0.1]
    assert summary(values, 3) == [-0.9, 0.3, -0.1]
    assert summary(values, 10) == values
    assert largest([0.5, -2.0, math.nan, math.inf]) == 2.0
    assert [level(value, 1.0) for value in (0.0, 0.1, -0.4, 0.9, -1.0)] == [0, 1, -2, 3, -3]
    assert "".join(text for text, _ in strip([1.0, -1.0, 0.0, math.nan], 4)) == "▲▼·!"


@pytest.mark.parametrize("zoomed", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_a_step_fits_every_size(size: tuple[int, int], zoomed: bool) -> None:
    view = Step()
    view.place = Place(text_view(TEXT, "given"), 2)
    view.take(step_view(TEXT, 2, 1))
    view.identity, view.zoomed = True, zoomed
    for row in range(view.rows()):
        view.selected = row
        drawing = view.draw(*size)
        assert drawing.height == size[1] and {cell_len(line) for line in drawing.lines} == {size[0]}
        names = [one.name for one in view.stages()]
        assert zoomed or names[row] in drawing.plain or "…" in drawing.plain or "[X H]" in drawing.plain


def test_all_numbers_of_a_row_can_be_scrolled_to() -> None:
    view = Step()
    answer = step_view(TEXT, 2, 1)
    long = stage("H_t", [unit / 1000 for unit in range(300)])
    view.take(type(answer)(**{**vars(answer), "stages": (long, *answer.stages[-1:])}))
    view.do("enter")
    assert "units 0 to 39 of" not in view.draw(78, 11).plain and "+0.0390" in view.draw(78, 11).plain
    assert "+0.2990" not in view.draw(78, 11).plain
    view.move(1000)
    assert "+0.2990" in view.draw(78, 11).plain and "299" in view.draw(78, 11).plain


def test_a_sum_is_named_by_what_it_adds() -> None:
    answer = step_view(TEXT, 2, 1)
    names = ("X_t W_xh", "H_{t-1} W_hh", "X_t W_xh + H_{t-1} W_hh", "X_t W_xh + H_{t-1} W_hh + b_h", "H_t")
    view = Step()
    view.take(type(answer)(**{**vars(answer), "stages": tuple(stage(name, wave(1.0)) for name in names)}))
    drawn = view.draw(116, 28).plain
    assert "… + H_{t-1} W_hh" in drawn and "… + b_h" in drawn


def test_the_colours_of_a_gate_are_around_one_half() -> None:
    view = Units()
    answer = units_view("abcd", {"unit": 3, "quantity": "F"})
    view.take(type(answer)(**{**vars(answer), "activations": (0.0, 0.5, 1.0, 0.75)}))
    assert view.shades().values == {0: -1.0, 1: 0.0, 2: 1.0, 3: 0.5}


async def go(pilot: Any, app: Any, title: str, words: str) -> Any:
    """Open the pane and one of its views."""
    await opened(pilot, app)
    await pilot.press(*["tab"] * [kind.title for kind in KINDS].index(title))
    await until(pilot, lambda: words in sentence(app))
    return app.pane.subject.view


async def test_the_gradient_and_what_it_is_compared_with(tmp_path: Path) -> None:
    client = InspectClient()
    app = inspect_app(tmp_path, client)
    other = make_run(tmp_path, "other", epochs=2)
    async with app.run_test(size=(120, 40)) as pilot:
        view = await go(pilot, app, "Gradient", "From this token, the gradient halves every 3.1 steps. Less than 1 %")
        assert "is left beyond 21 steps. Training cuts it after 32 steps." in sentence(app)
        await until(pilot, lambda: view.other is not None)
        assert client.asked[-1] == {"view": "gradients", "at": 2, "checkpoint": "first"}
        drawn = picture(app)
        for words in ("0.800", "0.500", "spectral radius W_hh", "cut at 32", "initial weights", "25 % of the last"):
            assert words in drawn, words
        client.errors["gradients"] = RunError("there is no best checkpoint")
        await pilot.press("c")
        await until(pilot, lambda: "best checkpoint: there is no best checkpoint" in " ".join(picture(app).split()))
        assert "halves" in sentence(app)
        client.errors.clear()
        await pilot.press("c")
        await until(pilot, lambda: client.asked[-1].get("run") == str(other.path) and view.other is not None)
        await pilot.press("c")
        await until(pilot, lambda: view.compared == "" and "0.500" not in picture(app))


async def test_the_mean_over_many_places(tmp_path: Path) -> None:
    client = InspectClient("a text that is long " * 20)
    app = inspect_app(tmp_path, client)
    async with app.run_test(size=(120, 40)) as pilot:
        view = await go(pilot, app, "Gradient", "Over 24 places of the text, the gradient halves every 3.1 steps.")
        await until(pilot, lambda: view.other is not None)
        assert client.asked[-2:] == [
            {"view": "gradients", "places": 24},
            {"view": "gradients", "places": 24, "checkpoint": "first"},
        ]
        assert "mean loss" in picture(app) and "cursor alone." in picture(app)
        asked = len(client.asked)
        await pilot.press("right")  # it does not depend on the cursor
        await pilot.pause(0.1)
        assert len(client.asked) == asked
        await pilot.press("m")
        await until(pilot, lambda: "From this token" in sentence(app) and client.asked[asked]["at"] == 3)
        await until(pilot, lambda: "places of the text." in picture(app))
        await pilot.press("m")
        await until(pilot, lambda: "Over 24 places" in sentence(app))
        app.news.publish(RunStateChanged(app.saves / "lyrics", State.TRAINING, 3, ""))
        await until(pilot, lambda: "Over 8 places" in sentence(app))  # fewer and more often


def test_a_gradient_that_does_not_shrink_and_one_step() -> None:
    view = Gradient()
    grown = gradients_view(TEXT, 2)
    view.take(type(grown)(**{**vars(grown), "factor": 1.1, "half_life": None, "negligible_after": None}))
    assert "does not shrink: a step multiplies it by 1.100" in view.words()
    none = {"factor": None, "half_life": None, "negligible_after": None}
    view.take(type(grown)(**{**vars(grown), **none, "lags": (0,), "norms": (0.1,)}))
    assert "One step is too few" in view.words() and "never" not in view.draw(120, 30).plain
    gone = {**none, "negligible_after": 1, "lags": (0, 1, 2), "norms": (0.1, 0.0, 0.0)}
    view.take(type(grown)(**{**vars(grown), **gone}))
    assert "vanishes at once" in view.words() and "at once" in view.draw(120, 30).plain
    assert "never" not in view.draw(120, 30).plain
    for size in SIZES:
        assert view.draw(*size).height == size[1]


def test_what_is_beyond_the_steps_measured_is_not_guessed() -> None:
    view, known = Gradient(), gradients_view(TEXT, 2)
    view.take(replace(known, factor=0.99, half_life=69.0, negligible_after=None))
    assert "1 % or more is left after all 39 steps measured" in view.words() and "> 39" in view.draw(120, 30).plain


def test_the_clipping_says_what_is_not_known() -> None:
    view, known = Gradient(), gradients_view(TEXT, 2)
    view.take(replace(known, clipping=None, clip=None))
    assert "no limit is set" in view.draw(120, 30).plain
    view.take(replace(known, clipping=None, clip=1.0))
    assert "no epoch has been measured" in view.draw(120, 30).plain
    for share, factor in ((0.0, None), (0.25, 0.5)):
        view.take(replace(known, clipping=Clipping(1e6, share, factor)))
        assert "over 1,000,000" in view.draw(120, 30).plain


async def test_the_units_colour_the_text(tmp_path: Path) -> None:
    client = InspectClient()
    app = inspect_app(tmp_path, client)
    async with app.run_test(size=(120, 40)) as pilot:
        view = await go(pilot, app, "Units", "Unit 3 rises with ‘position in the line’: correlation +0.90")
        await until(pilot, lambda: client.asked[-1] == {"view": "units", "unit": 3} and view.answer.unit == 3)
        assert "1 of 4 units are dead" in sentence(app) and "dead" in picture(app)
        text = app.query_one(TokenText)
        await until(pilot, lambda: len(list(text.render_line(0))) > 3)
        backgrounds = {str(segment.style.bgcolor) for segment in text.render_line(0) if segment.style}
        assert len(backgrounds) > 3
        await pilot.press("down")
        await until(pilot, lambda: "Unit 0 falls with ‘a blank’" in sentence(app) and view.answer.unit == 0)
        await pilot.press("slash", *"blank", "enter")
        await until(pilot, lambda: {"feature": "blank", "unit": 3}.items() <= client.asked[-1].items())
        await until(pilot, lambda: "ranked by ‘blank’" in edges(app))
        await pilot.press("slash", *"quotes", "enter")
        await until(
            pilot, lambda: app.notices == ["This text has no feature ‘quotes’, only: position in the line, a blank."]
        )
        assert view.feature == "blank" and view.answer is not None
        await pilot.press("slash", *"9999", "enter")
        await until(
            pilot, lambda: app.notices[1:] == ["The layer has 12 units, numbered from 0: there is no unit 9999."]
        )
        assert view.unit == 3
        await pilot.press("slash", "7", "enter")
        await until(pilot, lambda: view.answer.unit == 7 and "Unit 7" in sentence(app))
        asked = len(client.asked)
        await pilot.press("right")  # the list does not depend on the cursor
        await pilot.pause(0.1)
        assert len(client.asked) == asked


async def test_why_and_why_not_another_one(tmp_path: Path) -> None:
    client = InspectClient()
    app = inspect_app(tmp_path, client)
    async with app.run_test(size=(80, 24)) as pilot:
        view = await go(
            pilot, app, "Why", "Why ‘了’ here, with 12.5 %? ‘分’ 2 steps before speaks for it most (+75.0 %)"
        )
        assert "‘开’ 1 step before against it (-25.0 %)" in sentence(app)
        assert view.shades().values == {0: 0.75, 1: -0.25}
        await pilot.press("down", "enter")
        await until(pilot, lambda: client.asked[-1] == {"view": "saliency", "at": 2, "token": "分"})
        await until(pilot, lambda: "Why ‘分’ instead of ‘了’ here" in sentence(app))
        await pilot.press("slash", "久", "enter")
        await until(pilot, lambda: "Why ‘久’ instead of ‘了’ here" in sentence(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Why ‘了’ here" in sentence(app))
        client.errors["saliency"] = UserError("the vocabulary has no token 'Q'")
        await pilot.press("slash", "Q", "enter")
        await until(pilot, lambda: app.notices == ["The vocabulary has no token 'Q'."])
        assert "Why ‘了’ here" in sentence(app), "the answer stays"
        client.errors.clear()
        await pilot.press("slash", "久", "enter")
        await until(pilot, lambda: "Why ‘久’ instead of ‘了’ here" in sentence(app))
        client.errors["saliency"] = UserError("the vocabulary has no token 'Q'")
        await pilot.press("slash", "Q", "enter")
        await until(pilot, lambda: len(app.notices) == 2)
        assert "Why ‘久’ instead of ‘了’ here" in sentence(app) and view.target == "久"
        client.errors.clear()
        await pilot.press("right")  # the other target is forgotten
        await until(pilot, lambda: client.asked[-1] == {"view": "saliency", "at": 3})


def test_the_tokens_that_the_sentence_names_are_listed() -> None:
    view = Why()
    answer = saliency_view("a" * 21, 20, None)
    shares = tuple([-0.01] + [0.99 / 19] * 19)
    tokens = tuple("Z" + "a" * 19)
    view.take(replace(answer, shares=shares, absolute=tuple(map(abs, shares)), tokens=tokens))
    assert "‘Z’ 20 steps before against it (-1.0 %)" in view.words()
    for height in (8, 12, 40):
        assert any(line.lstrip().startswith("-20  Z") for line in view.draw(78, height).lines), height
    shares = tuple([-0.0001] + [0.9999 / 19] * 19)
    view.take(replace(answer, shares=shares, absolute=tuple(map(abs, shares)), tokens=tokens))
    assert "against it" not in view.words() and "Z" not in view.draw(78, 40).plain, "next to nothing"


def test_words_are_whole_at_80_columns() -> None:
    step, answer = Step(), step_view(TEXT, 2, 1)
    names = ("H_{t-1} W_hh", "H_{t-1} W_hh + b_hn", "R_t", "R_t * (H_{t-1} W_hh + b_hn)", "H_t")
    step.take(replace(answer, stages=tuple(stage(name, wave(1.0)) for name in names)))
    assert "  R_t * (…) " in step.draw(76, 20).plain and names[3] in step.draw(200, 40).plain
    gradient = Gradient()
    gradient.take(gradients_view(TEXT, 2))
    gradient.take_other(gradients_view(TEXT, 2, 0.5))
    assert "…" not in gradient.draw(76, 14).plain and "radius W_hh" in gradient.draw(76, 14).plain
    tokens, many = Tokens(), tokens_view(TEXT, "了", "input")
    tokens.take(replace(many, classes=tuple(CLASSES) + ("CJK",) * (len(many.points) - len(CLASSES))))
    assert "…" not in tokens.draw(76, 14).lines[-1]


async def test_the_plane_of_tokens(tmp_path: Path) -> None:
    client = InspectClient()
    app = inspect_app(tmp_path, client)
    async with app.run_test(size=(120, 40)) as pilot:
        view = await go(pilot, app, "Tokens", "‘了’ is read like ‘分’ (cosine 0.90)")
        assert "60 % of the variance of the input vectors" in sentence(app)
        everything = picture(app)
        assert all(token in everything for token in "分开了很久我还在原地") and "CJK" in everything
        await pilot.press("plus", "plus")
        await until(pilot, lambda: "zoom 4" in edges(app) and "原" not in picture(app))
        await pilot.press("shift+right", "shift+up")
        moved = view.centre
        assert moved[0] > 0.125 and moved[1] > 0.125
        await pilot.press("z", "v")
        await until(pilot, lambda: "output vectors" in edges(app) and "zoom" not in edges(app))
        await pilot.press("slash", "久", "enter")
        await until(pilot, lambda: client.asked[-1]["token"] == "久" and "‘久’ is read like" in sentence(app))
        await pilot.press("slash", "x", "enter")
        await until(pilot, lambda: app.notices == ["The vocabulary has no token ‘x’."])
        assert "‘久’ is read like" in sentence(app)


def test_the_plane_is_not_mirrored_and_a_zoom_follows_the_token() -> None:
    view = Tokens()
    first = tokens_view(TEXT, "了", "input")
    centred = tuple((token, x - 5, y - 5) for token, x, y in first.points)
    view.take(replace(first, points=centred))
    view.take(replace(first, points=tuple((token, -x, y) for token, x, y in centred)))
    assert view.answer is not None and view.answer.points == centred
    for _ in range(3):
        view.do("zoom_in")
    before = view.centre
    view.take(replace(first, points=centred, token="原"))
    assert view.centre != before and "原" in view.draw(116, 28).plain


def test_times_that_are_nearly_equal_have_no_ratio() -> None:
    view = Parity()
    for ours, theirs, words in (
        (0.010, 0.014, "both take about as long, on this machine, now."),
        (0.010, 0.016, "scratch is 1.6 times as fast as torch.nn, on this machine, now."),
        (0.030, 0.010, "torch.nn is 3.0 times as fast as scratch, on this machine, now."),
    ):
        view.take(replace(parity_view(), scratch_seconds=ours, torch_seconds=theirs, scratch_range=(0.009, ours)))
        assert view.words().endswith(words)
        assert f"(9.0 to {1000 * ours:.1f})" in view.draw(120, 30).plain
        for width in (78, 100, 118, 198):
            assert "relative difference" in view.draw(width, 30).plain, width


async def test_parity_is_asked_for_once(tmp_path: Path) -> None:
    client = InspectClient()
    app = inspect_app(tmp_path, client)
    async with app.run_test(size=(80, 24)) as pilot:
        await go(pilot, app, "Parity", "Both compute the same: they differ by at most 1.0e-06")
        assert "scratch is 2.0 times as fast as torch.nn" in sentence(app)
        assert "equal in 6 digits" in picture(app) and "bias" in picture(app)
        await pilot.press("right", "tab")
        await until(pilot, lambda: "The model reads" in sentence(app))
        await pilot.press("shift+tab")
        await until(pilot, lambda: "Both compute" in sentence(app))
        assert client.views().count("parity") == 1
        app.news.publish(JournalGrew(app.pane.subject.run, (epoch(4),)))
        await until(pilot, lambda: "as of epoch 3" in edges(app))
        assert "as of epoch 3; r measures again" in edges(app) and "epoch 4" not in edges(app)
        await pilot.press("r")
        await until(pilot, lambda: client.views().count("parity") == 2 and "epoch 4" in edges(app))
        assert "as of" not in edges(app)


async def test_weights_that_are_untrained_or_went_back_are_named(tmp_path: Path) -> None:
    app = inspect_app(tmp_path, InspectClient())
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, app, "Units", "Unit 3")
        assert "Untrained" not in sentence(app)
        for at, words in ((2, "diverged: weights of epoch 2 again"), (0, "diverged: initial weights again")):
            app.news.publish(RunStateChanged(app.saves / "lyrics", State.DIVERGED, at, "non-finite"))
            await until(pilot, lambda words=words: words in edges(app))
        await pilot.press("r")
        await until(pilot, lambda: sentence(app).startswith(UNTRAINED))
        await until(pilot, lambda: "Untrained weights: this is chance and the structure of the text" in sentence(app))


def test_a_sentence_is_shown_whole_or_left_out() -> None:
    text = "Unit 3 rises with it: +0.90. Of all values 5 % are beyond 0.9. No unit is dead."
    assert whole_sentences(text, 200, 1) == text
    assert whole_sentences(text, 40, 2) == "Unit 3 rises with it: +0.90. Of all values 5 % are beyond 0.9."
    assert whole_sentences(text, 30, 1) == "Unit 3 rises with it: +0.90."
    assert whole_sentences(text, 10, 1) == "Unit 3 rises with it: +0.90."


@pytest.mark.parametrize("height", [16, 18, 24])
async def test_a_short_screen_keeps_the_tabs_and_some_rows(tmp_path: Path, height: int) -> None:
    app = inspect_app(tmp_path, InspectClient("a long text " * 200))
    async with app.run_test(size=(60, height)) as pilot:
        await opened(pilot, app)
        for _ in KINDS:
            await pilot.press("tab")
            view = app.pane.subject.view
            await until(pilot, lambda view=view: view.answer is not None and view.words() in sentence(app))
            assert app.query_one(ViewTabs).size.height == 1, view.name
            assert app.query_one(Canvas).size.height >= (4 if height >= 18 else 3), view.name


async def test_every_view_fits_every_size(tmp_path: Path) -> None:
    app = inspect_app(tmp_path, InspectClient())
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        for _ in KINDS:
            await pilot.press("tab")
            view = app.pane.subject.view
            await until(pilot, lambda view=view: view.answer is not None)
            every = [(width, height) for width in (*range(1, 13), 40, 54, 78, 116) for height in range(1, 13)]
            for size in (*SIZES, *every):
                drawing = view.draw(*size)
                assert drawing.height == size[1], (view.name, size)
                assert {cell_len(line) for line in drawing.lines} == {size[0]}, (view.name, size)
