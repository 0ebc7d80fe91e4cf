"""What is inspected: a run, a text with a cursor, the views, what the engine has said of them. No widgets here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from core.events import EpochFinished, Event, RunResumed, State, StateChanged
from core.inspection.answers import InspectionAnswer, TextView
from core.runs.summary import RunSummary
from tui.panes.inspect.asking import BESIDE, Question
from tui.panes.inspect.gradient import Gradient
from tui.panes.inspect.parity import Parity
from tui.panes.inspect.step import Step
from tui.panes.inspect.tokens import Tokens
from tui.panes.inspect.units import Units
from tui.panes.inspect.view import Place, View
from tui.panes.inspect.why import Why
from tui.text.keys import keyed
from tui.text.safe import token_name
from tui.text.weights import UNTRAINED, weights_words

KINDS: tuple[type[View[Any]], ...] = (Step, Gradient, Units, Why, Tokens, Parity)
"""The views, by number."""
NO_RUN = (
    "No run is open, so there is no model to look into.\n\n"
    "{app.train} and {train.train} train one; {app.runs} lists the runs that were saved, enter opens one.\n"
    "A model can be inspected from its first batch on, while it learns."
)
ASKING = "The engine is looking …"
READING = "The engine reads the run and its text …"
MOST_OTHERS = 8  # other runs that can be compared
MOST_UNKNOWN = 5  # unknown tokens that are named


class Subject:
    """Takes in what happens, and knows what to ask next.

    Attributes:
        views: in the order of their numbers; ``number`` is that of the one that is shown, from 0.
        run: its folder; None if no run is open.
        source: the text that was given; None for the run's own.
        text: the tokens of the text; None while they are not known. ``cursor`` is the position of one of them.
        is_wide: whether there is room for a second view beside the one that is shown.
        no_run: what is said while no run is open.
    """

    def __init__(self) -> None:
        self.views: tuple[View[Any], ...] = tuple(kind() for kind in KINDS)
        self.number = 0
        self.is_wide = False
        self.no_run = NO_RUN
        self.open(None)

    def open(self, run: Path | None) -> None:
        self.run = run
        self.source: str | None = None
        self.text: TextView | None = None
        self.cursor = 0
        self._failures: dict[str, str] = {}  # sentences, by the view that was asked for
        self.state, self.epoch = State.IDLE, 0
        self._is_known = False  # whether the run's files or its engine have said how far it is
        self._restored: int | None = None  # the epoch that a run which diverged went back to, once it is known
        self._from_best: int | None = None  # the epoch of the best checkpoint, where the latest one is damaged
        self._is_lost = False  # whether no checkpoint can be read
        self._weights = 0  # counts how often they were looked at anew
        self._answered: dict[str, Question] = {}  # of each view the question whose answer or failure is shown
        for view in self.views:
            view.forget()
        self._place()

    @property
    def view(self) -> View[Any]:
        return self.views[self.number]

    @property
    def companion(self) -> View[Any] | None:
        """The view beside it, where there is room: the gradient of a step, the step of all others."""
        return self.views[int(self.number == 0)] if self.is_wide else None

    @property
    def _gradient(self) -> Gradient:
        return next(view for view in self.views if isinstance(view, Gradient))

    def _place(self) -> None:
        for view in self.views:
            view.place = Place(self.text, self.cursor, self.is_untrained, self.state == State.TRAINING)

    # ------------------------------------------------------------------ what happens

    def apply(self, events: Iterable[Event]) -> bool:
        """Take in events of the run's journal; returns whether the weights have moved on."""
        moved = False
        for event in events:
            if isinstance(event, EpochFinished):
                self.epoch, moved = event.epoch, True
            elif isinstance(event, RunResumed) and event.epoch == self._from_best != self.epoch:
                self._from_best = None  # its epochs after that are trained again
            elif isinstance(event, StateChanged):
                self.change_state(event.state, event.epoch)
        self._place()
        return moved

    def change_state(self, state: str, epoch: int) -> None:
        """Take in another state; that of a run that diverged comes with the epoch it went back to."""
        self.state, self._is_known = state, True
        if state == State.DIVERGED and not self._is_lost:
            self._restored = epoch if self._from_best is None else self._from_best
        self._place()

    def reopen(self, state: str, epoch: int) -> None:
        """Take in what the engine says of the run that it opened."""
        if epoch != self._from_best:
            self.epoch, self._from_best = epoch, None
        self._is_lost = False
        self.change_state(state, epoch)

    def know(self, summary: RunSummary, others: Iterable[RunSummary]) -> None:
        """Take in what the run's files say, and which other runs there are."""
        self.state, self.epoch, self._is_known = summary.state, max(self.epoch, summary.epoch), True
        self._restored, self._from_best, self._is_lost = summary.restored, summary.from_best, summary.is_lost
        trained = [run for run in others if run.path != self.run and not run.problem and run.epoch]
        self._gradient.others = tuple((str(run.path), run.name) for run in trained[:MOST_OTHERS])
        self._place()

    def look_anew(self) -> None:
        """Ask for the weights as they are now."""
        self._weights += 1

    def again(self) -> None:
        self._answered.clear()
        self._failures.clear()

    def move_to(self, position: int) -> bool:
        """Put the cursor on a position; returns whether it moved."""
        last = len(self.text.tokens) - 1 if self.text is not None else 0
        before, self.cursor = self.cursor, max(0, min(position, last))
        for view in self.views if self.cursor != before else ():
            if view.follows_cursor:
                self._failures.pop(view.name, None)
        self._place()
        return self.cursor != before

    # ------------------------------------------------------------------ asking

    def wanted(self) -> Question | None:
        """What is to be asked next: how the text is read, the views that are shown; None if all is known."""
        return next((one for one in self._questions() if self._answered.get(one.view) != one), None)

    def _questions(self) -> Iterator[Question]:
        """All whose answers are shown, in the order in which they are asked."""
        if self.run is None:
            return
        given = () if self.source is None else (("text", self.source),)
        yield Question(self.run, "text", given)
        if self.text is None:
            return
        for view in (self.view, self.companion):
            if view is None:
                continue
            options: dict[str, Any] = dict(given)
            if view.follows_cursor:
                options["at"] = self.cursor
            options |= view.options()
            kept = tuple((name, value) for name, value in options.items() if value is not None)
            yield Question(self.run, view.name, kept, self._weights if view.is_live else 0, self.epoch)
            other = view.other_options() if isinstance(view, Gradient) and view.answer is not None else None
            if other is not None:
                yield Question(self.run, BESIDE, (*kept, *other.items()))

    def take(self, question: Question, answer: InspectionAnswer) -> None:
        if question.run != self.run:
            return
        self._answered[question.view] = question
        if question.view == BESIDE:
            self._gradient.take_other(answer)
            return
        for name in ("", question.view):
            self._failures.pop(name, None)
        if isinstance(answer, TextView):
            self.text, self.cursor = answer, answer.at
            self._failures = {name: why for name, why in self._failures.items() if not name}  # of another text
            self._place()
        else:
            next(view for view in self.views if view.name == question.view).take(answer)

    def refuse(self, question: Question, sentence: str) -> str:
        """Take the sentence with which a question was refused.

        Returns it if something typed was refused: then the answer of before stays.
        """
        view = next((view for view in self.views if view.name == question.view), None)
        if question.run == self.run and view is not None and view.take_back():
            return as_sentence(sentence)
        self.fail(question, sentence)
        return ""

    def fail(self, question: Question, sentence: str) -> None:
        if question.run != self.run:
            return
        self._answered[question.view] = question
        if question.view == BESIDE:
            self._gradient.take_other(None, sentence)
            return
        self._failures[question.view] = as_sentence(sentence)
        if question.view == "text":
            self.text = None
            self._place()
        for view in self.views:
            if question.view in (view.name, "text"):
                view.answer = None

    # ------------------------------------------------------------------ words

    def failure(self, view: View[Any] | None = None) -> str:
        """Why nothing is known of a view, that is the one that is shown; empty if nothing failed."""
        names = ("", "text", (view or self.view).name)
        return next((self._failures[name] for name in names if name in self._failures), "")

    def lose(self, reason: str) -> None:
        """The engine ended: what is shown is the last that is known."""
        self._failures[""] = reason

    def words(self, view: View[Any] | None = None) -> str:
        """The sentence above a view, that is the one that is shown."""
        view = view or self.view
        if self.run is None:
            return keyed(self.no_run)
        if failure := self.failure(view):
            return failure
        if view.answer is not None:
            is_initial = view is self.view and self.state == State.DIVERGED and self._restored == 0
            return f"{UNTRAINED}\n{view.words()}" if is_initial else view.words()
        return ASKING if self.text is not None else READING

    def text_words(self) -> str:
        """Where the text is from, what the model does not know of it, and where the cursor is."""
        text = self.text
        if text is None:
            return ""
        words = [f"{text.origin} text"]
        if text.unknown:
            more = " …" if len(text.unknown) > MOST_UNKNOWN else ""
            words.append(f"unknown: {' '.join(map(token_name, text.unknown[:MOST_UNKNOWN]))}{more}")
        words.append(f"token {self.cursor + 1:,} of {len(text.tokens):,}")
        if self.view.at_cursor:
            words.append(self.view.at_cursor)
        return ", ".join(words)

    def looked_at(self) -> str:
        """Which weights are looked at."""
        if not self._is_known:
            return ""
        asked = self._answered.get(self.view.name)
        if not self.view.is_live and self.view.answer is not None and asked is not None and asked.epoch != self.epoch:
            return f"as of epoch {asked.epoch:,}; r measures again"
        return weights_words(self.state, self.epoch, self._restored, self._from_best, self._is_lost)

    @property
    def is_untrained(self) -> bool:
        if self.state == State.DIVERGED:
            return self._restored == 0
        return not self.epoch and self.state not in (State.TRAINING, State.PAUSED)


def as_sentence(message: str) -> str:
    """A message of an error, as a sentence of its own."""
    return f"{message[:1].upper()}{message[1:]}{'' if message.endswith(('.', '!', '?')) else '.'}"
