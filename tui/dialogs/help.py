"""The help screen: first steps, keys by pane, what the words mean."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import ClassVar, TypeAlias

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from core.generation.options import STRATEGIES
from tui.dialogs.dialog import Dialog
from tui.text.safe import pad_cells

Lines: TypeAlias = Sequence[tuple[str, str]]
Section: TypeAlias = tuple[str, Lines]
COLUMN = 17  # cells of the first column

FIRST_STEPS = (
    ("1 or f2", "Data: choose a text, or download one, see what is in it, and use it"),
    ("2 or f3", "Train: ctrl+t trains a new model with the settings that stand there"),
    ("3 or f4", "Generate: let the model write, even while it is still learning"),
    ("4 or f5", "Runs: everything is saved by itself and stands there; open it, copy it, train it further, delete it"),
    ("q", "Quit: a training goes on without the screen, and is found again at the next start"),
)

WORDS = (
    ("token", "what the model reads one at a time: a character, or a word"),
    ("perplexity", "how many tokens the model hesitates between, on average: 1 is certainty, the vocabulary's size is "
     "pure guessing. On the training text it tells how well that is known by now, on the held-out text how well a text "
     "of the same kind"),
    ("uniform", "the perplexity of guessing without having read anything: the size of the vocabulary"),
    ("bits/token", "the perplexity in another unit, its binary logarithm: so many yes-or-no questions are open at each "
     "token"),
    ("held out", "the end of the text that is not trained on. Where the perplexity on it rises while that on the "
     "training text goes on falling, the model learns by heart"),
    ("memorised", "the training perplexity is below 2 and the held-out one at least four times as high, which is two "
     "bits a token more"),
    ("best", "the epoch with the lowest held-out perplexity: its weights are kept beside the latest ones"),
    ("patience", "how many epochs without a better held-out perplexity end the training early"),
    ("unigram", "and bigram, trigram: what counting single tokens, pairs and triples reaches on the text that the line "
     "names; a model below them has learned more than that"),
    ("bidirectional", "a model that reads the text from both ends has seen what it is asked for: it cannot write"),
    ("Zipf", "the frequency of a text's tokens over their rank, both as logarithms: near a straight line, whose slope "
     "stands beside it, in every language. The last view in Data, by v"),
    ("documents", "stream: the text is one; lines: each line is a poem, with a start, an end, and padding behind it"),
    ("epoch", "one pass over the text"),
    ("batch", "the sequences that are read side by side before the weights change once"),
    ("steps", "how long a sequence is: so far back in time the gradient reaches"),
    ("learning rate", "how far the weights move after each batch: too small is slow, too large diverges"),
    ("clip", "the longest gradient that is let through: a recurrent model's gradients can explode"),
    ("hidden", "how many numbers the model remembers from token to token"),
    ("sampling", "sequential or random: each batch goes on where the one before ended, or takes pieces from anywhere"),
    ("temperature", "below 1 the model writes what it is sure of, above 1 it dares more"),
    ("surprise", "how unlikely a token was for the model, in bits: 1 bit is a coin toss, 10 bits one in a thousand"),
    ("acrostic 藏头", "a text whose verses begin with given characters, one each"),
    ("mood", "a text that the model reads before it writes: it is not shown, but what follows goes on from it"),
    ("copy meter", "the longest stretch of what was written that stands literally in the training text"),
    ("run", "one model with its settings, its curve and its weights: a folder of its own"),
    ("trash", "where deleted runs stay for 30 days: t in Runs shows them, u brings them back"),
    ("engine", "the process that trains a run: it outlives this screen"),
)  # fmt: skip


class HelpScreen(Dialog[None]):
    """Scrolls; any of f1, escape and q closes it."""

    AUTO_FOCUS = "#help"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q,question_mark", "dismiss", "Close", tooltip="Back to the pane", id="help.close"),
    ]

    def __init__(self, keys: Sequence[Section]) -> None:
        """``keys``: those of each pane and those of the app, with what they do."""
        super().__init__()
        self._keys = keys
        self._text = Static("", id="help-text")
        self._box = VerticalScroll(self._text, id="help")
        self._box.border_title = Content("Help")
        self._box.border_subtitle = Content("esc closes")

    def compose(self) -> ComposeResult:
        yield self._box

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        self._text.update(self._words(max(40, self._box.scrollable_content_region.width - 2)))

    def _words(self, width: int) -> Content:
        strategies = [(strategy.name, strategy.help) for strategy in STRATEGIES]
        sections: list[Section] = [
            ("First steps", FIRST_STEPS), *self._keys, ("Strategies in Generate", strategies), ("Words", WORDS),
        ]  # fmt: skip
        return Content("\n\n").join(_section(title, lines, width) for title, lines in sections)


def _section(title: str, lines: Lines, width: int) -> Content:
    """A heading and lines of two columns; the second one wraps under itself."""
    rows = [Content.styled(title, "bold $accent")]
    for word, meaning in lines:
        first, *more = wrap(meaning, max(20, width - COLUMN)) or [""]
        rows.append(Content.assemble(("  " + pad_cells(word, COLUMN - 2), "bold"), first))
        rows += [Content(" " * COLUMN + line) for line in more]
    return Content("\n").join(rows)
