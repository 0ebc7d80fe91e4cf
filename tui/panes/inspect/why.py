"""Why: which tokens before it decided the token at the cursor, or another one in its place."""

from __future__ import annotations

from typing import Any

from core.inspection.answers import InspectionAnswer, SaliencyView
from tui.charts.bars import MARK
from tui.charts.drawing import Drawing, Row, Run
from tui.panes.inspect.rows import beside, drawn, heading, paragraph, percent
from tui.panes.inspect.strips import STYLES, legend
from tui.panes.inspect.view import Shades, View
from tui.text.cells import cell_len, pad_cells
from tui.text.safe import token_name
from tui.themes import QUIET

TARGETS_WIDTH = 30
NARROW = 56  # cells below which only the strongest tokens are drawn
LEAST_SHARE = 0.0005  # of a token that is listed


class Why(View[SaliencyView]):
    """The strongest tokens as bars, and the tokens that could be explained instead."""

    name = "saliency"
    title = "Why"
    at_cursor = "being predicted"
    help = "which tokens decided the one at the cursor: gradient times input"
    colours_text = True
    sought = "the token to explain instead; empty: the one at the cursor"

    def __init__(self) -> None:
        super().__init__()
        self.target: str | None = None  # the token that is explained; None for the one at the cursor
        self._target_at = -1

    # ------------------------------------------------------------------ asking

    def options(self) -> dict[str, Any]:
        """The other token, as long as the cursor stays where it was chosen."""
        if self.place.at != self._target_at:
            self.target = None
        return {"token": self.target}

    def choose(self, token: str | None) -> None:
        """Explain another token at this place; None for the one that is there."""
        self.target, self._target_at = token, self.place.at

    def take(self, answer: InspectionAnswer) -> None:
        super().take(answer)
        names = self._targets()
        assert self.answer is not None
        self.selected = names.index(self.answer.target) if self.answer.target in names else 0

    def forget(self) -> None:
        super().forget()
        self.target = None

    def search(self, words: str) -> str:
        self.choose(words or None)
        return ""

    def take_back(self) -> bool:
        """Explain the token of before."""
        refused, before = self.target, self.answer
        was_other = before is not None and before.at == self.place.at and before.target not in (before.actual, refused)
        self.target = before.target if before is not None and was_other else None
        return refused is not None and before is not None

    # ------------------------------------------------------------------ what is said

    def sentence(self, answer: SaliencyView) -> str:
        """The target, and the strongest tokens for and against it."""
        target = f"‘{token_name(answer.target)}’"
        instead = f" instead of ‘{token_name(answer.actual)}’" if answer.target != answer.actual else ""
        start = f"Why {target}{instead} here, with {percent(answer.probability)}?"
        if not any(answer.shares):
            return f"{start} Its score depends on no token of the text."
        parts: list[str] = []
        for place in self._headline(answer):
            way = "for it most" if answer.shares[place] > 0 else "against it"
            verb = "" if parts else "speaks "
            parts.append(f"{self._named(answer, place)} {verb}{way} ({_share(answer.shares[place])})")
        return f"{start} {', '.join(parts)}."

    @staticmethod
    def _headline(answer: SaliencyView) -> list[int]:
        """The places that the sentence names and that are always listed: the strongest one for it and against it."""
        shares = answer.shares
        order = sorted(range(len(shares)), key=shares.__getitem__)
        named = ([order[-1]] if shares[order[-1]] > 0 else []) + ([order[0]] if shares[order[0]] < 0 else [])
        return [place for place in named if answer.absolute[place] >= min(LEAST_SHARE, max(answer.absolute))]

    @staticmethod
    def _named(answer: SaliencyView, place: int) -> str:
        lag = answer.at - answer.begin - place
        if lag == 0:  # of a bidirectional model
            return "the token itself"
        where = f"{abs(lag)} {'step' if abs(lag) == 1 else 'steps'} {'before' if lag > 0 else 'after'}"
        return f"‘{token_name(answer.tokens[place])}’ {where}"

    def colours(self, answer: SaliencyView) -> Shades:
        """Each token by its share; the strongest has the full colour."""
        return Shades(dict(enumerate(answer.shares, answer.begin)), max(answer.absolute, default=0.0))

    # ------------------------------------------------------------------ drawing

    def _targets(self) -> list[str]:
        """The tokens that can be explained: the one that is, the one that is there, the likeliest."""
        if self.answer is None:
            return []
        return list(dict.fromkeys((self.answer.actual, self.answer.target, *(token for token, _ in self.answer.next))))

    def count(self, answer: SaliencyView) -> int:
        return len(self._targets())

    def do_enter(self) -> bool:
        names = self._targets()
        if not names:
            return False
        chosen = names[min(self.selected, len(names) - 1)]
        self.choose(None if self.answer is not None and chosen == self.answer.actual else chosen)
        return True

    def can(self, name: str) -> bool:
        """Back only from another token."""
        return self.target is not None if name == "leave" else super().can(name)

    def do_leave(self) -> bool:
        self.choose(None)
        return True

    def click(self, x: int, y: int) -> bool:
        row = y - 1
        if self.size[0] >= NARROW and x >= self.size[0] - TARGETS_WIDTH and 0 <= row < self.rows():
            self.selected = row
            return self.do_enter()
        return False

    def paint(self, answer: SaliencyView, width: int, height: int) -> Drawing:
        """The strongest tokens at the left, the other targets at the right."""
        if width < NARROW:
            return drawn(self._strongest(answer, width, height), width, height)
        left = width - TARGETS_WIDTH - 2
        strongest, targets = self._strongest(answer, left, height), self._target_rows(answer, TARGETS_WIDTH, height)
        return beside(drawn(strongest, left, height), drawn(targets, TARGETS_WIDTH, height))

    def _strongest(self, answer: SaliencyView, width: int, height: int) -> list[Row]:
        order = self._listed(answer, max(1, height - 3))
        rows: list[Row] = [((pad_cells("steps", 6, "right") + "  token        share of the whole", QUIET),)]
        names = [token_name(answer.tokens[place]) for place in order]
        cells = min(14, max(map(cell_len, names), default=2))
        bar_room = max(2, width - 6 - 2 - cells - 1 - 9)
        top = max(answer.absolute, default=0.0) or 1.0
        for place, name in zip(order, names, strict=True):
            share = answer.shares[place]
            bar = max(1, round(bar_room * abs(share) / top))
            style = STYLES[3 if share > 0 else -3]
            rows.append((
                (f"{place + answer.begin - answer.at:>+6,}  ", QUIET),
                (pad_cells(name, cells + 1), ""),
                (("+" if share > 0 else "-") * bar, style),
                (" " * (bar_room - bar), ""),
                (f"{_share(share):>9}", ""),
            ))  # fmt: skip
        rows += [(), (*legend("against", "for"), ("  in the text above", QUIET))]
        return rows

    def _listed(self, answer: SaliencyView, room: int) -> list[int]:
        """The strongest places, those of the sentence among them."""
        order = sorted(range(len(answer.shares)), key=lambda place: -answer.absolute[place])
        named = self._headline(answer) if any(answer.shares) else []
        kept = [place for place in order[:room] if place in named or answer.absolute[place] >= LEAST_SHARE]
        missing = [place for place in named if place not in kept]
        return [*kept[: room - len(missing)], *missing] if missing else kept

    def _target_rows(self, answer: SaliencyView, width: int, height: int) -> list[Row]:
        rows: list[Row] = [heading("why not another one?")]
        likely = dict(answer.next)
        likely.setdefault(answer.target, answer.probability)
        for place, token in enumerate(self._targets()):
            is_target, chosen = token == answer.target, place == self.selected
            probability = likely.get(token)
            runs: list[Run] = [
                (MARK if chosen else "  ", "$primary bold"),
                ("● " if is_target else "○ ", "$primary bold" if is_target else QUIET),
                (pad_cells(token_name(token), 12), "bold" if is_target else ""),
                (f"{percent(probability) if probability is not None else '':>8}", QUIET),
                (" here" if token == answer.actual else "", QUIET),
            ]
            rows.append(tuple(runs))
        rows += [(), *paragraph("enter explains the selected token, / another one.", width)]
        return rows[:height]


def _share(share: float) -> str:
    return f"{100 * share:+.1f} %"
