"""Units: what each hidden unit follows, and the text coloured by one of them."""

from __future__ import annotations

from typing import Any

from core.inspection.answers import InspectionAnswer, Unit, UnitsView
from core.inspection.options import GATES
from core.units import counted
from tui.charts.bars import MARK
from tui.charts.drawing import Drawing, Row, Run
from tui.forms.lines import next_choice
from tui.panes.inspect.rows import beside, drawn, heading, number
from tui.panes.inspect.strips import STYLES, largest
from tui.panes.inspect.view import LayerView, Shades
from tui.text.cells import pad_cells
from tui.text.safe import shown_text
from tui.themes import QUIET

WIDE = 100  # cells from which on the features of the unit are beside the list
BAR = 6
SMALL = 0.5  # a state below it is coloured on its own scale


class Units(LayerView[UnitsView]):
    """A ranked list; the selected unit colours the text."""

    name = "units"
    title = "Units"
    help = "what each hidden unit follows; the text is coloured by the selected one"
    colours_text = True
    is_of_text = True
    sought = "a feature (a part of its name) or the number of a unit; empty: rank by the best feature"

    def __init__(self) -> None:
        super().__init__()
        self.unit: int | None = None
        self.feature: str | None = None
        self.quantity: str | None = None

    # ------------------------------------------------------------------ asking

    def options(self) -> dict[str, Any]:
        return {"unit": self.unit, "feature": self.feature, "quantity": self.quantity, **super().options()}

    def take(self, answer: InspectionAnswer) -> None:
        """Keep an answer; the first unit is chosen where none is, the selected row follows the chosen one."""
        super().take(answer)
        assert self.answer is not None
        numbers = [unit.unit for unit in self.answer.units]
        if self.unit not in numbers:
            self.unit = numbers[0] if numbers else None
        self.selected = numbers.index(self.unit) if self.unit in numbers else 0

    def forget(self) -> None:
        super().forget()
        self.unit = self.feature = self.quantity = None

    def _rank_anew(self) -> None:
        """Another list: its first unit is the one to look at."""
        self.unit = None
        self.selected = self._first = 0

    def can(self, name: str) -> bool:
        """Quantities only where there are several."""
        text = self.place.text
        return text is not None and len(text.quantities) > 1 if name == "quantity" else super().can(name)

    def do_quantity(self) -> bool:
        names = self.place.text.quantities if self.place.text else ("H",)
        self.quantity = next_choice(names, self.quantity)
        self._rank_anew()
        return True

    def do_layer(self) -> bool:
        self._rank_anew()
        return super().do_layer()

    def search(self, words: str) -> str:
        """Rank by a feature, part of its name is enough; a number chooses that unit; an empty one ranks by the best."""
        words = words.strip()
        names = [feature.name for feature in self.answer.features] if self.answer is not None else []
        if words.isdecimal() and self.place.text is not None:
            count = self.place.text.hidden
            if len(words) > 9 or int(words) >= count:
                return f"The layer has {counted(count, 'unit')}, numbered from 0: there is no unit {words[:20]}."
            self.unit = int(words)
        elif any(words.casefold() in name.casefold() for name in names) or not words:
            self.feature = words or None
            self._rank_anew()
        else:
            return f"This text has no feature ‘{shown_text(words)}’, only: {shown_text(', '.join(names)) or 'none'}."
        return ""

    def take_back(self) -> bool:
        """Rank by the best feature."""
        refused, self.feature = self.feature, None
        return refused is not None and self.answer is not None

    # ------------------------------------------------------------------ what is said

    def sentence(self, answer: UnitsView) -> str:
        """What the selected unit follows, and how many units are saturated or dead."""
        unit = self._unit()
        if unit is None:
            return ""
        if not unit.feature:
            first = "The text is too uniform to say what a unit follows."
        elif abs(unit.correlation) < 0.1:
            first = self._follows(unit, "hardly follows")
        else:
            first = self._follows(unit, "rises with" if unit.correlation > 0 else "falls with")
        dead = f"{answer.dead} of {len(answer.units):,} units are dead" if answer.dead else "no unit is dead"
        dead = "" if answer.dead is None else f"; {dead}"
        if self.place.is_untrained and unit.feature:
            first += " Untrained weights: this is chance and the structure of the text."
        return f"{first} Of all values {self._saturation(answer)}{dead}."

    @staticmethod
    def _follows(unit: Unit, how: str) -> str:
        return f"Unit {unit.unit} {how} ‘{shown_text(unit.feature)}’: correlation {unit.correlation:+.2f}."

    @staticmethod
    def _saturation(answer: UnitsView) -> str:
        if answer.quantity in GATES:
            return f"{_percent(answer.high)} are beyond 0.9 and {_percent(answer.low)} below 0.1"
        if answer.low and all(unit.minimum >= 0 for unit in answer.units):  # relu
            return f"{_percent(answer.low)} are 0"
        return f"{_percent(answer.high)} are beyond 0.9 and {_percent(answer.low)} below -0.9"

    def edge(self, answer: UnitsView) -> str:
        """What is listed."""
        words = [
            f"{answer.quantity} over {counted(answer.num_tokens, 'token')}",
            self.place.layer_words(answer.layer, answer.reverse),
        ]
        words.append(f"ranked by ‘{shown_text(answer.feature)}’" if answer.feature else "")
        return ", ".join(filter(None, words))

    def colours(self, answer: UnitsView) -> Shades:
        """Each token by the activation of the unit: a gate around one half, a state around zero."""
        values = answer.activations
        if values is None:
            return Shades()
        if answer.quantity in GATES:
            return Shades({place: 2 * value - 1 for place, value in enumerate(values)}, 1.0)
        size = largest(values)
        return Shades(dict(enumerate(values)), 1.0 if SMALL <= size <= 1 else size)

    # ------------------------------------------------------------------ rows

    def _unit(self) -> Unit | None:
        units = self.answer.units if self.answer is not None else ()
        return units[min(self.selected, len(units) - 1)] if units else None

    def count(self, answer: UnitsView) -> int:
        return len(answer.units)

    def move(self, by: int) -> bool:
        """Select another unit: the text is coloured by it."""
        super().move(by)
        return self._choose()

    def click(self, x: int, y: int) -> bool:
        row = y - 1 + self._first
        if y >= 1 and row < self.rows():
            self.selected = row
            return self._choose()
        return False

    def _choose(self) -> bool:
        unit = self._unit()
        if unit is None or unit.unit == self.unit:
            return False
        self.unit = unit.unit
        return True

    def paint(self, answer: UnitsView, width: int, height: int) -> Drawing:
        """The list, and beside it what the unit follows."""
        if width < WIDE:
            return drawn(self._list(answer, width, height), width, height)
        left = width * 5 // 8
        right = width - left - 2
        return beside(
            drawn(self._list(answer, left, height), left, height),
            drawn(self._features(answer, right, height), right, height),
        )

    def _list(self, answer: UnitsView, width: int, height: int) -> list[Row]:
        figures = 8 + 10 + 5  # mean, saturated, dead
        name = max(8, width - 2 - 6 - 1 - BAR - 7 - figures)
        head = f"  {'unit':>5}  {pad_cells('follows', name)}{'correlation':>{BAR + 6}} {'mean':>7} {'saturated':>9}"
        rows: list[Row] = [((head, QUIET),)]
        for place in self.window(max(1, height - 1)):
            unit, chosen = answer.units[place], place == self.selected
            style = "bold" if chosen else ""
            rows.append((
                (MARK if chosen else "  ", "$primary bold"),
                (f"{unit.unit:>5}  ", style),
                (pad_cells(shown_text(unit.feature) or "nothing", name), style if not unit.is_dead else QUIET),
                *_bar(unit.correlation, BAR),
                (f"{unit.correlation:>+6.2f} ", style),
                (number(unit.mean), QUIET),
                (f"{_percent(unit.saturated):>10}", QUIET),
                (" dead" if unit.is_dead else "", "$text-warning"),
            ))  # fmt: skip
        return rows

    def _features(self, answer: UnitsView, width: int, height: int) -> list[Row]:
        """What the unit follows, the strongest first; then which unit follows each feature best."""
        rows: list[Row] = []
        name = max(8, width - BAR - 7)
        if answer.correlations is not None and answer.unit is not None:
            rows.append(heading(f"unit {answer.unit} and"))
            for feature, correlation in answer.correlations[: max(3, height // 2 - 2)]:
                runs: list[Run] = [(pad_cells(shown_text(feature), name), ""), *_bar(correlation, BAR)]
                rows.append((*runs, (f"{correlation:>+6.2f}", "")))
            rows.append(())
        rows.append(heading("best unit for"))
        for one in answer.features[: max(0, height - len(rows))]:
            rows.append((
                (pad_cells(shown_text(one.name), max(8, width - 13)), ""),
                (f"{one.unit:>6}", QUIET),
                (f"{one.correlation:>+7.2f}", ""),
            ))  # fmt: skip
        return rows


def _bar(correlation: float, cells: int) -> list[Run]:
    """A correlation as a bar of signs."""
    size = min(cells, round(cells * abs(correlation)))
    sign, style = ("+", STYLES[3]) if correlation >= 0 else ("-", STYLES[-3])
    return [(" " * (cells - size), ""), (sign * size, style)]


def _percent(share: float) -> str:
    percent = 100 * share
    return "0 %" if percent == 0 else f"{percent:.0f} %" if percent >= 0.95 else "<1 %"
