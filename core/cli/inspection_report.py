"""The views of ``python -m core inspect`` as text: rows, strips and bars, and a sentence with the run's own numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from core.cli.printing import cells, print_table, printable
from core.inspection import answers
from core.settings import setting
from core.units import counted

STRIP_CELLS = 40
BAR_CELLS = 30
TEXT_CELLS = 72
LISTED = 15
MARKED = 1_000  # tokens that are printed with their marks
PLANE_CELLS, PLANE_LINES = 76, 22
# From the most negative value to the most positive one; the middle is zero.
RAMP, NEAR_ZERO = "▁▂▃▄▅▆▇█", "·"


def print_view(view: answers.InspectionAnswer) -> None:
    _PRINTERS[type(view)](view)


# ---------------------------------------------------------------------------------------------------------------------
# The views


def _print_text(view: answers.TextView) -> None:
    print(f"{counted(len(view.tokens), 'token')}, {view.origin}; --at {view.at} is {shown(view.tokens[view.at])}")
    if view.unknown:
        print(f"not in the vocabulary, read as <unk>: {', '.join(map(shown, view.unknown[:10]))}")
    tokens = enumerate(zip(view.ids, view.tokens, strict=True))
    rows = [[f"{place:,}", str(index), shown(token)] for place, (index, token) in tokens]
    print_table([["at", "id", "token"], *rows], right=frozenset({0, 1}))


def _print_step(view: answers.StepView) -> None:
    direction = ", from right to left" if view.reverse else ""
    print(f"reading {shown(view.token)} (id {view.id}) at position {view.at:,}; layer {view.layer}{direction}")
    rows = [["", "shape", "mean", "norm", f"{RAMP[0]} negative to {RAMP[-1]} positive"]]
    if view.is_one_hot:
        rows.append([*stage_row(view.inputs)[:4], f"one-hot: picks row {view.id} of W_x"])
    else:
        rows.append(stage_row(view.inputs))
    rows += [stage_row(stage) for stage in (*view.previous, *view.stages)]
    print_table(rows, right=frozenset({1, 2, 3}))
    print(f"\n{view.separate.name} and {view.concatenated.name} differ by at most {view.identity_difference:.1e}")
    print("most likely next:")
    print_table([[f"  {shown(token)}", f"{share:.4f}", share_bar(share)] for token, share in view.next])
    if view.following is not None and view.probability is not None and view.surprise_bits is not None:
        print(
            f"then comes {shown(view.following)}: probability {view.probability:.3g}, "
            f"a surprise of {view.surprise_bits:.2f} bits"
        )


def stage_row(stage: answers.Stage) -> list[str]:
    shape = f"({', '.join(map(str, stage.shape))})"
    return [stage.name, shape, f"{stage.mean:.3g}", f"{stage.norm:.3g}", strip(stage.values)]


def _print_gradients(view: answers.GradientsView) -> None:
    if view.places:
        between = f"between positions {view.places[0]:,} and {view.places[-1]:,}"
        print(f"gradient of the loss, mean over {counted(len(view.places), 'place')} {between} ({view.loss:.2f} nats)")
    else:
        print(f"gradient of the loss of {shown(view.target)} ({view.loss:.2f} nats) after position {view.at:,}")
    if words := checkpoint_words(view.checkpoint, view.epoch):
        print(words)
    print(f"with respect to H of layer {view.layer}, by steps before it, on a log scale:")
    rows = [["lag", "norm", "", *(["C norm"] if view.cell_norms else [])]]
    for lag in _lags_shown(len(view.lags), view.num_steps):
        row = [f"{lag:,}", f"{view.norms[lag]:.3g}", log_bar(view.norms[lag], view.norms)]
        if view.cell_norms:
            row.append(f"{view.cell_norms[lag]:.3g}")
        if lag == view.num_steps:
            row[2] += " <- training cuts here"
        rows.append(row)
    print_table(rows, right=frozenset({0, 1, 3}))
    print(gradient_sentence(view))
    if view.factor is not None:
        print(f"factor per step, over {counted(view.lags[-1], 'step')}: {view.factor:.3f}")
    if view.spectral_radius is not None:
        print(f"spectral radius of {view.matrix}: {view.spectral_radius:.3f}; num_steps: {view.num_steps}")
    clipping = view.clipping
    if clipping is not None:
        by = f", on average to {clipping.factor:.0%} of their length" if clipping.factor is not None else ""
        limit = setting.shown(clipping.limit)
        print(f"last epoch: {clipping.share:.0%} of the batches were clipped at norm {limit}{by}")


def gradient_sentence(view: answers.GradientsView) -> str:
    """What one sees from these tokens, with the run's own numbers."""
    start = f"over {counted(len(view.places), 'place')}" if view.places else "from this token"
    if view.vanishes:
        return f"{start}, the gradient vanishes at once: nothing is left after one step"
    if view.factor is None:
        return "one step is too few to see how the gradient shrinks"
    if view.half_life is None:
        return f"{start}, the gradient grows by {view.factor:.3f} a step: it explodes instead of vanishing"
    words = f"{start}, the gradient halves every {view.half_life:.1f} steps"
    if view.negligible_after is None:
        return f"{words}: 1 % or more is left after all {counted(view.lags[-1], 'step')} measured"
    return f"{words}: less than 1 % is left beyond {counted(view.negligible_after, 'step')}"


def checkpoint_words(checkpoint: str, epoch: int | None) -> str:
    """Which weights were looked at: ``weights: best checkpoint, after 3 epochs``; empty if nothing is known."""
    names = {"": "as they are now", "latest": "latest checkpoint", "best": "best checkpoint", "first": "initial"}
    if epoch is None:
        return f"weights: {names[checkpoint]}" if checkpoint else ""
    age = f"after {counted(epoch, 'epoch')}" if epoch else "untrained (0 epochs)"
    return f"weights: {names[checkpoint]}, {age}"


def _lags_shown(count: int, cut: int) -> list[int]:
    """The first ten lags, then fewer and fewer, and the cut."""
    lags, lag = list(range(min(count, 10))), 10
    while lag < count:
        lags.append(lag)
        lag = max(lag + 1, round(lag * 1.25))
    return sorted({*lags, *([cut] if cut < count else []), count - 1})


def _print_units(view: answers.UnitsView) -> None:
    direction = ", from right to left" if view.reverse else ""
    print(f"{view.quantity} of layer {view.layer}{direction}, over {counted(view.num_tokens, 'token')}")
    if words := checkpoint_words(view.checkpoint, view.epoch):
        print(words)
    rows = [["unit", "follows", "correlation", "", "mean", "saturated"]]
    for unit in view.units[:LISTED]:
        correlation, share = f"{unit.correlation:+.3f}", f"{unit.saturated:.0%}"
        dead = " dead" if unit.is_dead else ""
        rows.append([
            str(unit.unit), printable(unit.feature), correlation, share_bar(abs(unit.correlation)), f"{unit.mean:+.2f}",
            share + dead,
        ])  # fmt: skip
    print_table(rows, right=frozenset({0, 2, 4, 5}))
    print(
        f"saturated: {view.saturated:.1%} of all values ({view.high:.1%} high, {view.low:.1%} low); "
        f"{_dead_words(view.dead)}"
    )
    if view.activations is not None and view.tokens is not None:
        print(f"\nunit {view.unit}, {RAMP[0]} lowest to {RAMP[-1]} highest:")
        middle = (min(view.activations) + max(view.activations)) / 2
        _print_marked(view.tokens[:MARKED], ramp(view.activations, middle))
        for name, value in (view.correlations or ())[:5]:
            print(f"  {value:+.3f}  {printable(name)}")


def _dead_words(dead: int | None) -> str:
    if dead is None:
        return "too few tokens to tell whether a unit is dead"
    return counted(dead, "unit hardly changes", "units hardly change")


def _print_saliency(view: answers.SaliencyView) -> None:
    instead = "" if view.target == view.actual else f" (the text has {shown(view.actual)})"
    print(f"why {shown(view.target)} at position {view.at:,}{instead}: probability {view.probability:.3g}")
    if not any(view.absolute):
        print("its score depends on no token before it")
        return
    order = sorted(range(len(view.tokens)), key=lambda index: -view.absolute[index])[:LISTED]
    rows = [["at", "token", "share", ""]]
    for index in order:
        sign = "for it" if view.shares[index] > 0 else "against it"
        rows.append([
            f"{view.begin + index:,}", shown(view.tokens[index]), f"{view.shares[index]:+.1%}",
            f"{share_bar(view.absolute[index])} {sign}",
        ])  # fmt: skip
    print_table(rows, right=frozenset({0, 2}))
    recent = max(0, view.at - view.begin - 4 * TEXT_CELLS)
    print(f"\n{RAMP[0]} against it to {RAMP[-1]} for it:")
    _print_marked(view.tokens[recent:], ramp(view.shares)[recent:])


def _print_tokens(view: answers.TokensView) -> None:
    print(f"nearest to {shown(view.token)} (id {view.id})")
    rows = [["by input vectors", "cosine", "by output vectors", "cosine"]]
    for (near, cosine), (other, other_cosine) in zip(view.neighbours, view.output_neighbours, strict=True):
        rows.append([shown(near), f"{cosine:.3f}", shown(other), f"{other_cosine:.3f}"])
    print_table(rows, right=frozenset({1, 3}))
    print(
        f"\nthe {view.vectors} vectors on their first two principal components "
        f"({view.axes[0]:.1%} and {view.axes[1]:.1%} of the variance), the most frequent tokens:"
    )
    for line in plane_lines(view.points):
        print(line)


def plane_lines(points: Sequence[tuple[str, float, float]]) -> list[str]:
    """The points as labels in a rectangle; where two would overlap, the more frequent one is shown."""
    grid = [[" "] * PLANE_CELLS for _ in range(PLANE_LINES)]
    shown_points = [(shown_short(token), x, y) for token, x, y in points if math.isfinite(x) and math.isfinite(y)]
    wide, high = _reach([x for _, x, _ in shown_points]), _reach([y for _, _, y in shown_points])
    for label, x, y in shown_points:
        width = cells(label)
        column = round((max(-1.0, min(x / wide, 1.0)) + 1) / 2 * (PLANE_CELLS - 1 - width))
        line = grid[round((1 - max(-1.0, min(y / high, 1.0))) / 2 * (PLANE_LINES - 1))]
        if width and all(cell == " " for cell in line[max(column - 1, 0) : column + width + 1]):
            line[column : column + width] = [label, *[""] * (width - 1)]
    return ["".join(line).rstrip() for line in grid]


def _reach(values: Sequence[float]) -> float:
    """The length of an axis to each side: nearly all points are within it, and the others are put at its end."""
    distances = sorted(map(abs, values))
    return (distances[int((len(distances) - 1) * 0.97)] or distances[-1] or 1.0) if distances else 1.0


def _print_parity(view: answers.ParityView) -> None:
    print(
        f"the model from scratch beside torch.nn, with the same weights: {view.batch_size} x {view.num_steps} tokens, "
        f"{view.device}, {view.precision}"
    )
    rows = [["largest difference, relative", ""]]
    for name, value in (
        ("outputs", view.output_difference), ("states", view.state_difference),
        ("gradients", view.gradient_difference), *((f"  {part}", one) for part, one in view.gradients),
    ):  # fmt: skip
        rows.append([name, f"{value:.1e}"])
    print_table(rows, right=frozenset({1}))
    print(
        f"forward and backward, median: from scratch {_milliseconds(view.scratch_seconds, view.scratch_range)}, "
        f"torch.nn {_milliseconds(view.torch_seconds, view.torch_range)}; on this machine, now"
    )


def _milliseconds(seconds: float, around: tuple[float, float] | None) -> str:
    """``10.1 ms (9.8 to 12.0)``."""
    spread = f" ({around[0] * 1e3:.1f} to {around[1] * 1e3:.1f})" if around is not None else ""
    return f"{seconds * 1e3:.1f} ms{spread}"


_PRINTERS: dict[type[answers.InspectionAnswer], Callable[[Any], None]] = {
    answers.TextView: _print_text, answers.StepView: _print_step, answers.GradientsView: _print_gradients,
    answers.UnitsView: _print_units, answers.SaliencyView: _print_saliency, answers.TokensView: _print_tokens,
    answers.ParityView: _print_parity,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Strips, bars and tokens


def strip(values: Sequence[float]) -> str:
    """A vector in at most ``STRIP_CELLS`` cells: in each, the value of its part that is farthest from zero."""
    size = max(1, -(-len(values) // STRIP_CELLS))
    parts = [max(values[begin : begin + size], key=abs) for begin in range(0, len(values), size)]
    return ramp(parts)


def ramp(values: Sequence[float], around: float = 0.0) -> str:
    """One character a value, between -largest and largest."""
    finite = [abs(value - around) for value in values if math.isfinite(value)]
    largest = max(finite, default=0.0)
    return "".join(_level(value - around, largest) for value in values)


def _level(value: float, largest: float) -> str:
    if not math.isfinite(value):
        return "?"
    if abs(value) <= largest / 20:
        return NEAR_ZERO
    place = (value / largest + 1) / 2
    return RAMP[min(int(place * len(RAMP)), len(RAMP) - 1)]


def share_bar(share: float) -> str:
    """A bar of up to ``BAR_CELLS`` for a share between 0 and 1."""
    return "━" * round(min(max(share, 0.0), 1.0) * BAR_CELLS) if math.isfinite(share) else ""


def log_bar(value: float, values: Iterable[float]) -> str:
    """A bar on a log scale from 1e-6 of the largest value to that value."""
    largest = max((one for one in values if math.isfinite(one)), default=0.0)
    if not largest or not value > 0:
        return ""
    return share_bar(1 + math.log10(value / largest) / 6)


def _print_marked(tokens: Sequence[str], marks: str) -> None:
    """The tokens in lines, and below each of them its mark, as wide as it is."""
    line = below = ""
    for token, mark in zip(tokens, marks, strict=False):
        label = shown_short(token)
        if cells(line) + cells(label) > TEXT_CELLS:
            print(f"  {line}\n  {below}")
            line = below = ""
        line += label
        below += mark * cells(label)
    if line:
        print(f"  {line}\n  {below}")


def shown(token: str) -> str:
    """A token in quotes, on one line."""
    return f"'{printable(token)}'"


def shown_short(token: str) -> str:
    """A token as short as it can be seen: blanks and line ends as signs."""
    return {" ": "␣", "\n": "⏎"}.get(token, printable(token))
