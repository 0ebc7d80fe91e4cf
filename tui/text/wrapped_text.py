"""Text whose lines break by ``wrapping``: Textual's own lines begin with closing marks and Chinese stops."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Size
from textual.widgets import Static

from tui.text.wrapping import wrapped_lines


class WrappedText(Static):
    """Plain text in the lines of ``wrapped_lines``."""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(wrapped_lines(str(self.content), max(1, width)))

    def render(self) -> Content:
        return Content("\n".join(wrapped_lines(self.shown, max(1, self.size.width))))

    @property
    def shown(self) -> str:
        """What is shown of the text."""
        return str(self.content)
