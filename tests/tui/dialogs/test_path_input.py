"""The line that takes a path."""

from textual.app import App, ComposeResult

from tui.dialogs.path_input import PathInput


class Host(App[None]):
    """A path input that has the focus."""

    def compose(self) -> ComposeResult:
        yield PathInput("a path")


async def test_a_path_input_that_is_removed_answers_the_events_that_come_after_its_parts_are_gone() -> None:
    app = Host()
    async with app.run_test() as pilot:
        path = app.query_one(PathInput)
        await pilot.press("/")
        await path.remove_children()
        path.enter_list()
        path.action_close()
        await pilot.pause()
        assert path.is_attached and path.value == "/"
