"""What the views have in common: what they ask, what they keep of the answer, what they draw and say.

A view is no widget: the pane's one canvas draws the view that is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from core.inspection.answers import InspectionAnswer, TextView
from tui.charts.drawing import Drawing, message
from tui.panes.inspect.rows import drawn, first_visible
from tui.themes import QUIET

AnswerT = TypeVar("AnswerT", bound=InspectionAnswer)


@dataclass(frozen=True)
class Place:
    """Where the person looks: a position in a text, and the run's model.

    Attributes:
        text: the tokens and the facts of the model; null while they are not known.
        at: the position of the cursor.
        is_untrained: whether the model has its initial weights; is_training: whether they are changing.
    """

    text: TextView | None = None
    at: int = 0
    is_untrained: bool = False
    is_training: bool = False

    @property
    def token(self) -> str:
        """The token under the cursor; empty without a text."""
        return self.text.tokens[self.at] if self.text and self.at < len(self.text.tokens) else ""

    @property
    def has_layers(self) -> bool:
        """Whether the model has several layers or directions."""
        return self.text is not None and self.text.layers * self.text.directions > 1

    def layer_words(self, layer: int, reverse: bool) -> str:
        """The layer and the direction, where there are several."""
        text = self.text
        if text is None:
            return ""
        words = [f"layer {layer} of {text.layers}"] if text.layers > 1 else []
        if text.directions > 1:
            words.append("right to left" if reverse else "left to right")
        return ", ".join(words)


@dataclass(frozen=True)
class Shades:
    """How a view colours the text: values by position, and the size of the strongest one."""

    values: Mapping[int, float] = field(default_factory=dict)
    scale: float = 1.0


class View(Generic[AnswerT]):
    """One of the views.

    ``name`` is that of the request, ``title`` that of the tab; ``help`` says what one sees in it. ``is_live`` says
    whether other weights need another answer, ``is_of_text`` whether the answer is the same at each position,
    ``colours_text`` whether the text shows a part of it; ``sought`` is what can be typed after ``/``, ``at_cursor``
    says what happens to the token under the cursor.

    A subclass says and draws an answer in ``sentence``, ``edge``, ``colours``, ``count`` and ``paint``. What only one
    view can do is a method ``do_...``, which returns whether it needs another answer.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    is_live: ClassVar[bool] = True
    is_of_text: ClassVar[bool] = False
    colours_text: ClassVar[bool] = False
    sought: ClassVar[str] = ""
    at_cursor: ClassVar[str] = ""

    def __init__(self) -> None:
        self.place = Place()
        self.answer: AnswerT | None = None
        self.selected = 0  # the row that up and down move over
        self.size = (0, 0)  # cells of the last drawing
        self._first = 0  # the first row that is visible

    # ------------------------------------------------------------------ asking

    @property
    def follows_cursor(self) -> bool:
        """Whether another position needs another answer."""
        return not self.is_of_text

    def options(self) -> dict[str, Any]:
        """The fields of the request beside view, text and position; null ones are left out."""
        return {}

    def take(self, answer: InspectionAnswer) -> None:
        """Keep an answer. Raises TypeError for that of another view."""
        if answer.view != self.name:
            raise TypeError(f"{answer.view} is not {self.name}")
        self.answer = answer  # type: ignore[assignment]

    def forget(self) -> None:
        """Forget everything that belongs to another run or text."""
        self.answer = None
        self.selected = self._first = 0

    # ------------------------------------------------------------------ showing

    def words(self) -> str:
        """What one sees and what it means, with the run's own numbers; empty without an answer, as all below."""
        return self.sentence(self.answer) if self.answer is not None else ""

    def note(self) -> str:
        """A few words for the edge of the frame: the layer, what a cell is."""
        return self.edge(self.answer) if self.answer is not None else ""

    def shades(self) -> Shades:
        """The colours of the text."""
        return self.colours(self.answer) if self.answer is not None else Shades()

    def rows(self) -> int:
        """How many rows ``up`` and ``down`` move over."""
        return self.count(self.answer) if self.answer is not None else 0

    def sentence(self, answer: AnswerT) -> str:
        return ""

    def edge(self, answer: AnswerT) -> str:
        return ""

    def colours(self, answer: AnswerT) -> Shades:
        return Shades()

    def count(self, answer: AnswerT) -> int:
        return 0

    def draw(self, width: int, height: int) -> Drawing:
        """The view in exactly this size."""
        self.size = (width, height)
        if self.answer is None:
            return message("", width, height, QUIET)
        drawing = self.paint(self.answer, width, height)
        # in a few cells a part of a view may be larger than its room
        return drawing if (drawing.width, drawing.height) == (width, height) else drawn(drawing.rows, width, height)

    def paint(self, answer: AnswerT, width: int, height: int) -> Drawing:
        """The answer in this size; in a few cells it may be larger."""
        raise NotImplementedError

    # ------------------------------------------------------------------ keys

    def move(self, by: int) -> bool:
        """Select another row; returns whether that needs another answer."""
        self.selected = max(0, min(self.selected + by, self.rows() - 1))
        return False

    def can(self, name: str) -> bool:
        """Whether ``do(name)`` does something here."""
        return hasattr(self, f"do_{name}")

    def do(self, name: str) -> bool:
        """Do what this view can; returns whether that needs another answer."""
        action = getattr(self, f"do_{name}", None)
        return bool(action()) if action is not None else False

    def scroll(self, by: int) -> bool:
        """The wheel was turned; returns whether that needs another answer."""
        return self.move(by)

    def pan(self, x: int, y: int) -> bool:
        """Move a plane; returns whether there is one."""
        return False

    def click(self, x: int, y: int) -> bool:
        """Select the row under the pointer; returns whether that needs another answer."""
        return False

    def search(self, words: str) -> str:
        """Take what was typed after ``/``; returns a sentence if there is no such thing."""
        return ""

    def take_back(self) -> bool:
        """Forget what was typed last, which the engine has refused; returns whether an answer from before stays."""
        return False

    def window(self, height: int) -> range:
        """The rows that are visible in ``height``, the selected one among them."""
        self._first = first_visible(self.selected, self._first, height, self.rows())
        return range(self._first, min(self.rows(), self._first + height))


class LayerView(View[AnswerT]):
    """A view of one layer and direction: at first ``layer`` None, the top one, and left to right."""

    def __init__(self) -> None:
        super().__init__()
        self.layer: int | None = None
        self.reverse = False

    def options(self) -> dict[str, Any]:
        """The layer unless it is the first that is shown, the direction unless it is left to right."""
        return {"layer": self.layer, "reverse": self.reverse or None}

    def forget(self) -> None:
        super().forget()
        self.layer, self.reverse = None, False

    def can(self, name: str) -> bool:
        return self.place.has_layers if name == "layer" else super().can(name)

    def do_layer(self) -> bool:
        """The other direction of the layer, or the next layer."""
        text = self.place.text
        if text is not None:
            turns = text.directions > 1 and not self.reverse
            self.layer, self.reverse = (self.layer if turns else self.after(text.layers)), turns
        return True

    def after(self, layers: int) -> int | None:
        """The layer below, of so many; the top one follows the first."""
        layer = self.layer or layers
        return layer - 1 if layer > 1 else None
