"""``config.toml``: each mistake is one sentence, and the rest of the file is used."""

from __future__ import annotations

from pathlib import Path

from tui.app import Playground
from tui.commands import all_bindings
from tui.preferences.configuration import Configuration, read_configuration
from tui.preferences.example import example
from tui.preferences.keymap import checked_keymap

GOOD = """
theme = "nord"  # mine
preset = "tale-en"
device = "cpu"
[folders]
saves = "/runs"
[defaults]
num_hiddens = 64
learning_rate = 1
[keymap]
"train.train" = "f8"
train.save = "ctrl+w"
"""


def test_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert read_configuration(path) == Configuration(), "no file"
    path.write_text(GOOD)
    assert read_configuration(path) == Configuration(
        "nord", "tale-en", "cpu", {"saves": Path("/runs")}, {"num_hiddens": 64, "learning_rate": 1.0},
        {"train.train": "f8", "train.save": "ctrl+w"},
    )  # fmt: skip
    path.write_text('[folders]\nsaves = "~/runs"\n')
    assert read_configuration(path).folders == {"saves": Path.home() / "runs"}


def test_every_mistake_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for line, words in (
        ("them = 1", "'them' is not a key of this file; did you mean theme?"),
        ("device = true", "device must be a name in quotes, such as 'cpu', got true"),
        ("preset = [1]", "preset must be a name in quotes, such as 'tale-en', got a list"),
        ("folders = 3", "folders must be a table, a line [folders] with its keys below it, got 3"),
        ("[folders]\nsave = '/x'", "'save' is not a folder of this file; did you mean saves?"),
        ("[folders]\nsaves = 'x'", "folders.saves must be a path from / or ~, got 'x'"),
        ("[folders]\nsaves = 7", "folders.saves must be a path in quotes, got 7"),
        ("[defaults]\nnum_hidden = 3", "defaults: there is no setting 'num_hidden'; did you mean num_hiddens"),
        ("[defaults]\nnum_hiddens = '3'", "defaults: num_hiddens must be between 1 and 16,384, got '3'"),
        ("[defaults]\nseed = 1979-05-27", "defaults: seed must be"),
        ("[keymap]\ntrain.save = 3", "keymap train.save must be keys in quotes, such as 'ctrl+t,f8', got 3"),
        ("[keymap]\nx = ''", "keymap x must be keys in quotes"),
    ):
        path.write_text(f'"theme" = "nord"\n{line}\n')
        found = read_configuration(path)
        assert len(found.problems) == 1 and found.problems[0].startswith(f"{path}: {words}"), (line, found.problems)
        assert found.theme == "nord" and "\n" not in found.problems[0]


def keymap(**wanted: str) -> tuple[dict[str, str], list[str]]:
    return checked_keymap({name.replace("__", "."): keys for name, keys in wanted.items()}, all_bindings(Playground))


def test_keys_are_checked() -> None:
    for name, keys, words in (
        ("train__safe", "a", "keymap: there is no binding 'train.safe'; did you mean train.save?"),
        ("train__save", "hello", "keymap train.save: 'hello' is no key"),
        ("train__save", "a, ctl+b", "keymap train.save: 'ctl+b' is no key"),
        ("train__save", ",", "keymap train.save: an empty text is no key"),
        ("train__save", "space", "keymap train.save: space is the key of train.pause (Pause) already"),
        ("train__save", "f9", "keymap train.save: f9 is the key of app.theme (Theme) already"),
        ("train__save", "1", "keymap train.save: 1 is the key of "),
        ("train__save", "ctrl+p", "keymap train.save: ctrl+p is the key of "),
        ("app__runs", "ctrl+t", "keymap app.runs: ctrl+t is the key of train.train (Train) already"),
    ):
        used, problems = keymap(**{name: keys})
        assert len(problems) == 1 and problems[0].startswith(words) and name.replace("__", ".") not in used, problems
    assert keymap(train__save="x", train__stop="ctrl+s") == ({"train.save": "x", "train.stop": "ctrl+s"}, [])
    assert keymap(train__log="?", app__help="f1") == ({"train.log": "question_mark", "app.help": "f1"}, [])
    assert keymap(runs__rename="ctrl+t") == ({"runs.rename": "ctrl+t"}, []), "it acts in another pane"
    used, problems = keymap(train__save="y", train__log="y")
    assert len(problems) == 1 and len(used) == 1, "two actions on one key"
    used, problems = keymap(generate__settings="f12")
    assert not problems and used["generate.stop"] == "escape", "it has its key from before"


def test_the_example_is_valid_and_has_everything(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    bindings = all_bindings(Playground)
    text = example(bindings)
    path.write_text(text)
    assert read_configuration(path) == Configuration()
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    used = [line for line in lines if line.startswith("[") or (" = " in line and line[0] in '"abcdefghijklmnopqrst')]
    path.write_text("\n".join(used).replace("~", str(tmp_path)))
    found = read_configuration(path)
    assert found.problems == () and found.theme and found.preset and found.folders and found.defaults
    assert set(found.keymap) == {binding.id for binding in bindings if binding.id and not binding.system}
    assert checked_keymap(found.keymap, bindings)[1] == [], "the defaults do not clash"
