"""The dialog for tags and note of a run, or the tags of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from core.runs.annotation import LONGEST_NOTE, check_note, parse_tags
from core.runs.summary import RunSummary
from core.units import counted
from tui.dialogs.checked import CheckedDialog
from tui.forms.plain_input import PlainInput
from tui.text.safe import shown_text


@dataclass(frozen=True)
class Annotation:
    """What was typed: the tags in place of ``common``, those that all runs had, and the note, None for several runs."""

    tags: tuple[str, ...]
    common: tuple[str, ...]
    note: str | None

    def tags_of(self, run: RunSummary) -> tuple[str, ...]:
        """The tags that a run has from now on: its own ones, which others lack, stay."""
        common, typed = ({tag.casefold() for tag in tags} for tags in (self.common, self.tags))
        kept = [tag for tag in run.tags if tag.casefold() in typed or tag.casefold() not in common]
        return (*kept, *(tag for tag in self.tags if tag.casefold() not in {old.casefold() for old in kept}))


def common_tags(runs: Sequence[RunSummary]) -> tuple[str, ...]:
    others = [{tag.casefold() for tag in run.tags} for run in runs[1:]]
    return tuple(tag for tag in runs[0].tags if all(tag.casefold() in tags for tags in others))


class AnnotationDialog(CheckedDialog[Annotation]):
    """Asks for tags and note of one of ``runs``, or for the tags of several."""

    AUTO_FOCUS = "#tags-input"

    def __init__(self, runs: Sequence[RunSummary]) -> None:
        super().__init__("Save")
        self._common = common_tags(runs)
        is_one = len(runs) == 1
        what = shown_text(runs[0].name) if is_one else counted(len(runs), "run")
        self._title = Content(f"{'Tags and note' if is_one else 'Tags'} of {what}")
        self._tags = PlainInput(", ".join(self._common), placeholder="best, paper", max_length=900, id="tags-input")
        self._note = PlainInput(runs[0].note, placeholder="what to remember of it", max_length=2 * LONGEST_NOTE,
                                id="note-input") if is_one else None  # fmt: skip

    def compose(self) -> ComposeResult:
        with self.box(self._title, "annotation"):
            yield Static("tags, with blanks or commas between them", classes="quiet")
            yield self._tags
            if self._note is not None:
                yield Static("note", classes="quiet")
                yield self._note
            else:
                yield Static("These are the tags that all of them have; each keeps its other tags.", classes="quiet")
            yield from self.foot()

    def answer(self) -> Annotation:
        note = check_note(self._note.value) if self._note is not None else None
        return Annotation(parse_tags(self._tags.value), self._common, note)
