"""The token under the cursor of a text: its surprise and the distribution it was drawn from."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.widget import Widget

from core.generation.events import Likeliest
from core.generation.options import GenerationRequest
from tui.charts.bars import MARK, TOKENS, token_bars
from tui.charts.drawing import Drawing, Row
from tui.panes.generate.token_details import LEVELS, TokenDetail
from tui.panes.generate.written_text import SURPRISE, WrittenText
from tui.text.cells import clip_cells, pad_cells
from tui.text.safe import token_name
from tui.text.wrapping import wrapped_lines
from tui.themes import QUIET

BLANKS = "\n "
NOTHING = (
    "Select a token with the arrow keys or a click: its surprise and the distribution it was drawn from are shown here."
)
NO_DETAILS = "This text has no details of its tokens."
TOO_LONG = "A text of this length has no details of its tokens: generate a shorter one."
ONLY_BEST = "In a beam search only the best text, the first, has details of its tokens."


class TokenView(Widget):
    """Shows as much as fits: a bar chart of ten rows, and a second one if there is room."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, classes="box")
        self._written: WrittenText | None = None
        self._request: GenerationRequest | None = None
        self._key: object = None

    def on_mount(self) -> None:
        self.border_title = "Token"

    @property
    def written(self) -> WrittenText | None:
        """The text whose token is shown."""
        return self._written

    def show(self, written: WrittenText | None, request: GenerationRequest | None) -> None:
        """Show the token under the cursor of ``written``."""
        has_details = written is not None and len(written.details) > 0
        key = (written, written.cursor if written else 0, has_details)
        self._written, self._request = written, request
        if key != self._key:
            self._key = key
            self.border_title = f"Token {written.cursor + 1:,}" if written and has_details else "Token"
            self.refresh()

    def on_resize(self, _event: events.Resize) -> None:
        self.refresh()

    def render(self) -> Content:
        written, request = self._written, self._request
        if written is None or request is None:
            return Content.styled(NOTHING, QUIET)
        if not len(written.details):
            return Content.styled(self._why_nothing(written, request), QUIET)
        cursor = min(written.cursor, len(written.details) - 1)
        token: TokenDetail = written.details[cursor]
        lines = self._head(token, written.details.level(cursor))
        lines += self._source(token, request, written.is_head(cursor))
        room = self.size.height - len(lines) - 2
        if room >= 0:
            mean = f"{written.details.mean:.2f} bits a token on average"
            lines += [Content(""), Content.styled(clip_cells(mean, self.size.width), QUIET)]
        copied = wrapped_lines(written.copied_words, max(10, self.size.width)) if written.copied_words else []
        if len(lines) + len(copied) < self.size.height:
            lines += [Content(""), *(Content.styled(line, QUIET) for line in copied)]
        return Content("\n").join(lines[: max(1, self.size.height)])

    def _why_nothing(self, written: WrittenText, request: GenerationRequest) -> str:
        if not request.details:
            return TOO_LONG
        if request.sampling.is_search and written.continuation:
            return ONLY_BEST
        return NO_DETAILS if written.continuation else NOTHING

    def _head(self, token: TokenDetail, level: int) -> list[Content]:
        name = token_name(token.text.lstrip(BLANKS) or token.text)
        bits = f" {token.surprise:.2f} bits "
        return [
            Content.assemble((clip_cells(name, self.size.width), "bold $accent")),
            Content.assemble(("surprise ", QUIET), (bits, SURPRISE["colour"][level])),
            Content.assemble(("probability ", QUIET), f"{_percent(token.probability)}"),
        ]

    def _source(self, token: TokenDetail, request: GenerationRequest, is_head: bool) -> list[Content]:
        """The distribution of the token, or two if filters have changed it."""
        if is_head:
            return self._chart("given. The model's own:", token, token.model, True)
        if request.sampling.is_greedy:
            return self._chart("the most likely of:", token, token.model, True)
        if request.sampling.is_search:
            return self._chart("the model's own distribution:", token, token.model, True)
        if not token.was_filtered:
            return self._chart("drawn from:", token, token.drawn, True)
        lines = self._chart("drawn from, filters applied:", token, token.drawn, False)
        own = self._chart("the model's own:", token, token.model, True)
        # Three rows at least, or none: at 24 lines there is room for one chart.
        room = self.size.height - 3 - len(lines)
        return lines + own[:room] if room >= 5 else lines

    def _chart(self, title: str, token: TokenDetail, distribution: Likeliest, is_own: bool) -> list[Content]:
        width = self.size.width
        lines = Drawing(distribution_rows(token, distribution, width, is_own), width).content.split("\n")
        return [Content(""), Content.styled(clip_cells(title, width), QUIET), *lines]


def distribution_rows(token: TokenDetail, distribution: Likeliest, width: int, is_own: bool) -> list[Row]:
    """The most likely tokens as bars, the chosen one marked; in a last row if it is not among them.

    ``is_own``: the distribution is the model's own, whose probability of the token is known.
    """
    chosen = token.place_in(distribution)
    rows = token_bars(distribution, chosen, width, len(distribution), "bold")
    if chosen is None:
        share = _percent(token.probability) if is_own else "less likely than these"
        other = f"{token_name(token.text.lstrip(BLANKS) or token.text)}  {share}"
        rows.append(((MARK, f"{TOKENS} bold"), (pad_cells(other, max(1, width - len(MARK))), "bold")))
    return rows


def legend(shading: str, width: int) -> Content:
    """The legend of the colours or marks of surprise, in at most ``width`` cells."""
    parts: list[str | tuple[str, str]] = [("bits ", QUIET)]
    for words, style in zip(LEVELS, SURPRISE[shading], strict=True):
        parts += [(words.removesuffix(" bit"), style), "  "]
    line = Content.assemble(*parts)
    copied = Content.assemble(("underlined", "underline"), (": copied", QUIET))
    return line + copied if shading == "colour" and line.cell_length + copied.cell_length <= width else line


def _percent(probability: float) -> str:
    percent = 100 * probability
    return f"{percent:.2f} %" if percent >= 0.01 else f"{percent:.1g} %"
