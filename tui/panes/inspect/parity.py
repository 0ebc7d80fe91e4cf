"""Parity: the same weights in the model from scratch and in torch.nn."""

from __future__ import annotations

from typing import Any

from core.inspection.answers import ParityView
from core.units import counted
from tui.charts.drawing import Drawing, Row
from tui.panes.inspect.rows import beside, drawn, heading, paragraph
from tui.panes.inspect.view import View
from tui.text.cells import cell_len, pad_cells
from tui.text.safe import shown_text
from tui.themes import QUIET

WIDE = 100
SPREAD = 19  # cells of the shortest and the longest time
LEAST_RATIO = 1.5  # of two times that is named
ROUNDING = {"fp32": 1e-3, "bf16": 5e-2, "fp64": 1e-9}
"""Relative differences up to which rounding explains them, by precision."""


class Parity(View[ParityView]):
    """What differs, and how long each takes."""

    name = "parity"
    title = "Parity"
    help = "the same weights in the model from scratch and in torch.nn: what differs, and the time of each"
    is_live = False
    is_of_text = True

    def options(self) -> dict[str, Any]:
        """The batch is of the run's own text."""
        return {"text": None}

    def sentence(self, answer: ParityView) -> str:
        """Whether both compute the same, and which is faster."""
        largest = max(answer.output_difference, answer.state_difference, answer.gradient_difference)
        bound = ROUNDING.get(answer.precision, ROUNDING["fp32"])
        same = f"they differ by at most {largest:.1e} of the largest value"
        verdict = f"Both compute the same: {same}, which is rounding." if largest <= bound else f"Not the same: {same}!"
        ours, theirs = answer.scratch_seconds, answer.torch_seconds
        if not (ours > 0 and theirs > 0):
            return verdict
        ratio = max(ours, theirs) / min(ours, theirs)
        if ratio < LEAST_RATIO:  # two measurements differ by as much
            return f"{verdict} For this batch both take about as long, on this machine, now."
        faster, slower = ("scratch", "torch.nn") if ours < theirs else ("torch.nn", "scratch")
        return f"{verdict} For this batch {faster} is {ratio:.1f} times as fast as {slower}, on this machine, now."

    def count(self, answer: ParityView) -> int:
        return len(answer.gradients)

    def paint(self, answer: ParityView, width: int, height: int) -> Drawing:
        """The differences and times; the gradients by parameter beside or below them."""
        first = [*self._differences(answer, width), (), *self._times(answer, width)]
        if width >= WIDE:
            half = (width - 2) // 2
            first = [*self._differences(answer, half), (), *self._times(answer, half)]
            right = drawn(self._gradients(answer, half, height), width - half - 2, height)
            return beside(drawn(first, half, height), right)
        return drawn([*first, (), *self._gradients(answer, width, height - len(first) - 1)], width, height)

    @staticmethod
    def _differences(answer: ParityView, width: int) -> list[Row]:
        lines = (
            ("outputs", answer.output_difference),
            ("last states", answer.state_difference),
            ("gradients", answer.gradient_difference),
        )
        rows: list[Row] = [((f"{'relative difference':>28}", QUIET),)]  # to the largest value, as the sentence says
        for name, value in lines:
            rows.append(((f"{name:16}", ""), (f"{value:>12.1e}", "bold"), (f"   {digits_words(value)}", QUIET)))
        return rows

    @staticmethod
    def _times(answer: ParityView, width: int) -> list[Row]:
        longest = max(answer.scratch_seconds, answer.torch_seconds) or 1.0
        batch = f"{answer.batch_size:,} × {counted(answer.num_steps, 'token')}, {answer.precision} on {answer.device}"
        room = max(4, width - 16 - 14 - SPREAD)
        rows: list[Row] = [heading("forward and backward pass"), *paragraph(batch, width)]
        for name, seconds, around in (
            ("scratch", answer.scratch_seconds, answer.scratch_range),
            ("torch.nn", answer.torch_seconds, answer.torch_range),
        ):
            spread = f" ({1000 * around[0]:.1f} to {1000 * around[1]:.1f})" if around is not None else ""
            bar = max(1, round(room * seconds / longest))
            rows.append((
                (f"{name:16}", ""), ("█" * bar, "$primary 70%"), (" " * (room - bar), ""),
                (f"{1000 * seconds:>10.2f} ms", "bold"), (pad_cells(spread, SPREAD), QUIET),
            ))  # fmt: skip
        return rows

    def _gradients(self, answer: ParityView, width: int, height: int) -> list[Row]:
        rows: list[Row] = [heading("gradient of each parameter")]
        cells = min(24, max((cell_len(name) for name, _ in answer.gradients), default=8) + 2)
        for place in self.window(max(0, height - 1)):
            name, value = answer.gradients[place]
            rows.append(((pad_cells(shown_text(name), cells), ""), (f"{value:>12.1e}", "")))
        return rows


def digits_words(difference: float) -> str:
    """``equal in 6 digits``, ``equal``."""
    if difference == 0:
        return "equal, bit for bit"
    if difference != difference or difference >= 1:
        return "not equal"
    digits = 0
    while digits < 17 and difference < 10.0 ** -(digits + 1):
        digits += 1
    return f"equal in {digits} digits" if digits != 1 else "equal in 1 digit"
