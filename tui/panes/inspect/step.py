"""Step: the computation at the cursor as its equations, one row each."""

from __future__ import annotations

from core.inspection import options
from core.inspection.answers import InspectionAnswer, Stage, StepView
from tui.charts.bars import MARK, TOKENS, token_bars
from tui.charts.drawing import Drawing, Row, Run
from tui.panes.inspect.rows import beside, drawn, heading, number, percent
from tui.panes.inspect.strips import TEXT_STYLES, largest, legend, level, per_cell_words, strip, summary
from tui.panes.inspect.view import LayerView
from tui.text.cells import cell_len, pad_cells
from tui.text.safe import token_name
from tui.themes import QUIET

WIDE = 104  # cells from which on the likeliest tokens are beside the rows
TOKENS_WIDTH = 38
GATES = tuple(f"{name}_t" for name in options.GATES)
"""Stages between 0 and 1."""
SCALED = ", scaled by row"


class Step(LayerView[StepView]):
    """The stages of a step as strips; one can be looked at in numbers."""

    name = "step"
    title = "Step"
    at_cursor = "being read"
    help = "one step of the recurrence: its equations with the numbers of this run"

    def __init__(self) -> None:
        super().__init__()
        self.zoomed = False  # whether the numbers of the selected row are shown
        self.identity = False  # whether both ways of the identity are shown
        self._lines = 1  # of the drawing for each stage
        self._numbers_from = 0  # the first line of numbers that is visible
        self._selected_before = 0  # the row to go back to from the identity

    def forget(self) -> None:
        super().forget()
        self.zoomed = False

    def can(self, name: str) -> bool:
        """Back only from the numbers."""
        return self.zoomed if name == "leave" else super().can(name)

    def after(self, layers: int) -> int | None:
        """The layer above, from the first on: here None is the first."""
        layer = self.layer or 1
        return layer + 1 if layer < layers else None

    def do_identity(self) -> bool:
        """Show both ways of the identity and select the second, or go back to the row that was selected."""
        self.identity = not self.identity
        self.zoomed = False
        if self.identity and self.answer is not None:
            self._selected_before = self.selected
            first = 1 + len(self.answer.previous)
            self.selected, self._first = first + 1, first
        else:
            self.selected = self._selected_before
        return False

    # ------------------------------------------------------------------ what is said

    def sentence(self, answer: StepView) -> str:
        """The token that is read, and how surprising the one after it is."""
        read = f"The model reads {_quoted(answer.token)} and updates its state."
        if answer.identity_difference is not None and self.identity:
            return (
                "One product of the joined matrices is the sum of both products: the two strips differ by at most "
                f"{answer.identity_difference:.1e}, which is rounding."
            )
        likely, probability = answer.next[0] if answer.next else ("", 0.0)
        guess = f"It expects {_quoted(likely)} with {percent(probability)}."
        if answer.following is None or answer.surprise_bits is None:
            return f"{read} {guess}"
        return f"{read} {guess} {_quoted(answer.following)} follows: {surprise_words(answer.surprise_bits)}."

    def edge(self, answer: StepView) -> str:
        return self.place.layer_words(answer.layer, answer.reverse)

    # ------------------------------------------------------------------ rows

    def stages(self) -> list[Stage]:
        """The rows: the input, the state before, what is computed; with the identity, both ways of it."""
        answer = self.answer
        if answer is None:
            return []
        both = [answer.separate, answer.concatenated] if self.identity else []
        return [answer.inputs, *answer.previous, *both, *answer.stages]

    def take(self, answer: InspectionAnswer) -> None:
        """Keep an answer; the first one selects the new state."""
        is_first = self.answer is None
        super().take(answer)
        if is_first:
            names = [stage.name for stage in self.stages()]
            self.selected = names.index("H_t") if "H_t" in names else 0

    def count(self, answer: StepView) -> int:
        return len(self.stages())

    def do_enter(self) -> bool:
        self.zoomed = not self.zoomed
        self._numbers_from = 0
        return False

    def move(self, by: int) -> bool:
        if not self.zoomed:
            return super().move(by)
        self._numbers_from = max(0, self._numbers_from + by)
        return False

    def do_leave(self) -> bool:
        self.zoomed = False
        return False

    def click(self, x: int, y: int) -> bool:
        """Select the row; a second click shows its numbers."""
        row = (y - 1) // self._lines + self._first
        if self.zoomed:
            self.zoomed = False
        elif self._first <= row < self.rows() and y >= 1:
            self.zoomed = row == self.selected
            self.selected = row
        return False

    def paint(self, answer: StepView, width: int, height: int) -> Drawing:
        """The stages, and the likeliest tokens beside or below them."""
        if self.zoomed:
            return drawn(self._numbers(width, height), width, height)
        if width < WIDE:
            chart = next_tokens(answer, width, min(11, height - self.rows() - 2))
            chart = chart if len(chart) > 3 else [next_line(answer, width)]
            return drawn([*self._table(width, height - len(chart)), *chart], width, height)
        left = width - TOKENS_WIDTH - 2
        side = next_tokens(answer, TOKENS_WIDTH, 11)
        if height - len(side) > 6:
            side += [(), *self._strongest(TOKENS_WIDTH, height - len(side) - 1)]
        return beside(drawn(self._table(left, height), left, height), drawn(side, TOKENS_WIDTH, height))

    def _table(self, width: int, height: int) -> list[Row]:
        """A heading, the stages that have room, a legend."""
        most = max(18, width // 4)
        stages, names = self.stages(), self._names(most)
        name_cells = min(max(map(cell_len, names), default=8), most)
        figures = 3 if width >= 90 else 2
        cells = max(4, width - 2 - name_cells - 1 - 6 - 8 * figures - 1)
        has_legend = height >= 8
        room = height - 1 - has_legend
        hidden = self.place.text.hidden if self.place.text else 1
        needed = -(-hidden // cells) + 1  # for a cell a unit, and a blank line
        self._lines = max(1, min(4, needed, room // max(1, len(stages))))
        left = 2 + name_cells + 1 + 6
        shown_rows = self.window(room // self._lines)
        hidden_rows = len(shown_rows) < len(stages)
        part = f"rows {shown_rows.start + 1}–{shown_rows.stop} of {len(stages)}" if hidden_rows else ""
        head = pad_cells(f"  {part}", left - 6) + pad_cells("shape", 6) + pad_cells("values", cells)
        head += "".join(word.rjust(8) for word in ("largest", "mean", "norm")[-figures:])
        rows: list[Row] = [((head, QUIET),)]
        for place in shown_rows:
            stage, chosen = stages[place], place == self.selected
            style = "bold" if chosen else ""
            shown = [largest(stage.values), stage.mean, stage.norm][-figures:]
            first, *more = self._strips(stage, cells)
            rows.append((
                (MARK if chosen else "  ", f"{TOKENS} bold"),
                (pad_cells(names[place], name_cells + 1), style),
                (pad_cells(_shape(stage), 6), QUIET),
                *first,
                *((" " + number(value), style) for value in shown),
            ))  # fmt: skip
            rows += [((" " * left, ""), *line) for line in more]
        if has_legend:
            words = f"   {per_cell_words(hidden, cells * self._strip_lines)}"
            has_gates = any(stage.name in GATES for stage in stages)
            signs = legend("negative, closed", "positive, open") if has_gates else legend()
            used = 2 + sum(cell_len(text) for text, _ in signs) + cell_len(words)
            rows.append((("  ", ""), *signs, (words + (SCALED if used + len(SCALED) <= width else ""), QUIET)))
        return rows

    @property
    def _strip_lines(self) -> int:
        """Lines of a strip; with several lines for a row, the last one is blank."""
        return max(1, self._lines - 1)

    def _strips(self, stage: Stage, cells: int) -> list[list[Run]]:
        """The strip of a stage in lines of exactly ``cells``; of a one-hot vector what it does."""
        lines = self._strip_lines
        if not stage.values and self.answer is not None:
            words = f"one-hot, 1 at {self.answer.id:,}: picks row {self.answer.id:,} of W_x"
            if cell_len(words) > cells:
                words = f"one-hot: row {self.answer.id:,} of W_x"
            return [[(pad_cells(words, cells), QUIET)], *[[(" " * cells, "")]] * (self._lines - 1)]
        # Of a gate, open is positive and closed is negative: most are positive numbers of about one half.
        values = [2 * value - 1 for value in stage.values] if stage.name in GATES else list(stage.values)
        scale = 1.0 if stage.name in GATES else largest(values)
        values = summary(values, cells * lines)
        each = -(-len(values) // lines)
        rows = []
        for line in range(self._lines):
            runs = strip(values[line * each : (line + 1) * each], cells, scale) if line < lines else []
            rows.append([*runs, (" " * (cells - sum(len(text) for text, _ in runs)), "")])
        return rows

    def _names(self, cells: int) -> list[str]:
        """The names of the rows; of a sum whose first part has a row of its own, what is added.

        In a longer name than ``cells``, no parenthesis that has a row of its own.
        """
        both = [self.answer.separate, self.answer.concatenated] if self.answer is not None else []
        names = [_timeless(stage.name) if any(stage is one for one in both) else stage.name for stage in self.stages()]
        short = []
        for place, name in enumerate(names):
            known = max((one for one in names[:place] if name.startswith(f"{one} + ")), key=len, default="")
            shown = f"… {name[len(known) + 1 :]}" if known else name
            inner = next((one for one in names[:place] if f"({one})" in shown), "")
            short.append(shown.replace(f"({inner})", "(…)") if inner and cell_len(shown) > cells else shown)
        return short

    # ------------------------------------------------------------------ numbers

    def _numbers(self, width: int, height: int) -> list[Row]:
        """All numbers of the selected row, unit by unit, as far as there is room; up and down scroll."""
        stage = self._selected()
        if stage is None:
            return []
        if stage is self.stages()[-1] and self.answer is not None:
            return next_tokens(self.answer, width, height)
        columns, lines = max(1, (width + 2) // NUMBER_CELLS), max(1, height - 1)
        count = -(-len(stage.values) // columns)
        self._numbers_from = max(0, min(self._numbers_from, count - lines))
        first = self._numbers_from * columns
        units = range(first, min(len(stage.values), first + lines * columns))
        shown = f", units {first:,} to {units[-1]:,}" if units and len(units) < len(stage.values) else ""
        return [self._title(stage, shown), *self._table_of(stage, list(units), columns, across=True)]

    def _strongest(self, width: int, height: int) -> list[Row]:
        """The strongest numbers of the selected row, in the order of the units."""
        stage = self._selected()
        if stage is None:
            return []
        columns = max(1, (width + 2) // NUMBER_CELLS)
        room = max(1, height - 2) * columns
        order = sorted(range(len(stage.values)), key=lambda unit: -_size(stage.values[unit]))[:room]
        few = f"the {len(order):,} of the largest magnitude" if len(order) < len(stage.values) else "by unit"
        return [self._title(stage), ((few, QUIET),), *self._table_of(stage, sorted(order), columns, across=False)]

    def _selected(self) -> Stage | None:
        stages = self.stages()
        return stages[min(self.selected, len(stages) - 1)] if stages else None

    @staticmethod
    def _title(stage: Stage, more: str = "") -> Row:
        figures = f"mean {number(stage.mean, 0)}, norm {number(stage.norm, 0)}"
        return (*heading(f"{stage.name}  "), (f"{_shape(stage)}, {figures}{more}", QUIET))

    @staticmethod
    def _table_of(stage: Stage, units: list[int], columns: int, *, across: bool) -> list[Row]:
        """Units with their values, in columns; ``across``: one after the other in a line, else down the columns."""
        if not stage.values:
            return [(("a vector of zeros with a one at the token's place", QUIET),)]
        scale = 1.0 if stage.name in GATES else largest(stage.values)
        lines = -(-len(units) // columns)
        rows: list[Row] = []
        for line in range(lines):
            runs: list[Run] = []
            for unit in units[line * columns : (line + 1) * columns] if across else units[line::lines]:
                value = stage.values[unit]
                style = TEXT_STYLES[level(value, scale)]
                runs += [(f"{unit:>6,} ", QUIET), (f"{value:+.4f}"[:8].rjust(8), style), ("  ", "")]
            rows.append(tuple(runs))
        return rows


NUMBER_CELLS = 17


def next_tokens(answer: StepView, width: int, height: int) -> list[Row]:
    """The ten likeliest tokens as bars, the one that follows marked."""
    if height < 2 or not answer.next:
        return []
    tokens = [token for token, _ in answer.next]
    place = tokens.index(answer.following) if answer.following in tokens else None
    rows = [heading("softmax(Y_t): the next token"), *token_bars(answer.next, place, width, height - 1)]
    if answer.following is not None and place is None and len(rows) < height:
        rest = f"{MARK}{token_name(answer.following)} follows, {percent(answer.probability or 0.0)}"
        rows.append(((rest, "bold"),))
    return rows


def next_line(answer: StepView, width: int) -> Row:
    """The likeliest tokens in one line, as many as fit."""
    runs: list[Run] = [("  next ", QUIET)]
    for token, probability in answer.next:
        style = "bold" if token == answer.following else ""
        runs += [(f" {token_name(token)}", style), (f" {percent(probability)} ", QUIET)]
        if sum(cell_len(text) for text, _ in runs) > width:
            return tuple(runs[:-2])
    return tuple(runs)


def surprise_words(bits: float) -> str:
    """``a surprise of 3.2 bits, one in 9``."""
    return f"a surprise of {bits:.2f} bits" + (f", one in {2**bits:,.0f}" if 1 <= bits < 40 else "")


def _timeless(name: str) -> str:
    """A name without the steps: ``X W_xh + H W_hh``."""
    return name.replace("_{t-1}", "").replace("_{t+1}", "").replace("_t", "")


def _size(value: float) -> float:
    return abs(value) if value == value else float("inf")


def _shape(stage: Stage) -> str:
    return "×".join(map(str, stage.shape))


def _quoted(token: str) -> str:
    return f"‘{token_name(token)}’"
