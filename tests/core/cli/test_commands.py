"""What the commands print, for people and for programs."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.events import State
from core.runs.run import Run
from core.runs.summary import run_summary
from core.settings.presets import PRESETS
from core.settings.run_config import RunConfig, shown
from tests.core.cli.commands import SMALL, Printed, refused

pytestmark = pytest.mark.usefixtures("as_it_was")


def test_stats(run: Callable[..., Printed], text_path: Path) -> None:
    printed = run("stats", "--corpus", text_path, "--batch-size", 4, "--num-steps", 5, "--top", 3)
    assert printed.code == 0 and printed.err == ""
    for words in ("801 tokens", "vocabulary 12 with the unknown token", "(5, 4, 12)", "most frequent bigrams", "  X  "):
        assert words in printed.out
    printed = run("stats", "--corpus", text_path, "--batch-size", 4, "--num-steps", 20, "--max-tokens", 500,
                  "--validation-fraction", 0.2)  # fmt: skip
    assert "lines in the whole text; counted: 500 tokens" in printed.out and "first row; 4 batches" in printed.out


def test_stats_as_json(run: Callable[..., Printed], text_path: Path) -> None:
    (facts,) = run("stats", "--corpus", text_path, "--json").json()
    assert (facts["tokens"], facts["vocabulary"]) == (801, 12) and facts["lines"] > 1 and "known_tokens" not in facts
    (known,) = run("stats", "--corpus", text_path, "--json", "--vocabulary").json()
    assert len(known.pop("known_tokens")) == 12 and known == facts
    assert set(facts["top"]) == {"1", "2", "3"} and facts["top"]["1"][0][0] == " "
    assert isinstance(facts["top"]["2"][0][0], list) and len(facts["top"]["3"][0][0]) == 3
    (facts,) = run("stats", "--corpus", text_path, "--json", "--tokens", "word", "--normalise", "letters").json()
    assert facts["token_kind"] == "word" and isinstance(facts["top"]["1"][0][1], int)


def test_text_is_text(run: Callable[..., Printed], tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31mred.txt"
    path.write_text("[bold]\x1b[31m\x07\x9b2J\u202e x" * 20, "utf-8")
    printed = run("stats", "--corpus", path, "--batch-size", 2, "--num-steps", 5)
    assert printed.code == 0 and "[" in printed.out
    assert all(character.isprintable() or character == "\n" for character in printed.out)
    printed = run("train", "--corpus", path, "--saves", tmp_path / "saves", *SMALL, "--epochs=1", "--set=batch_size=2",
               "--name=one")  # fmt: skip
    assert printed.code == 0, printed.err
    printed = run("generate", "one", "--saves", tmp_path / "saves", "--prefix", "\x1b[31m[bold]", "--length", 100)
    assert printed.code == 0 and printed.out.startswith("\\x1b[31m[bold]")
    assert all(character.isprintable() or character == "\n" for character in printed.out)
    assert "\x1b" not in run("runs", "--saves", tmp_path / "saves").out


def test_a_life(run: Callable[..., Printed], train: Callable[..., Printed], saves: Path) -> None:
    printed = train("--epochs", 3, "--set", "validation_fraction=0.2", "--name", "my run")
    assert printed.code == 0 and printed.err.startswith("warning: only 160 tokens are held out")
    for words in ("my run: scratch rnn, 8 hidden", "801 tokens", "epoch     3/3  training perplexity", "held out"):
        assert words in printed.out
    assert f"my run is finished and saved in {saves / 'my run'}" in printed.out
    assert f"python -m core generate 'my run' --saves {saves} --prefix TEXT generates a text" in printed.out

    refused(run("resume", "my run", "--saves", saves), "3 epochs are done and 3 were asked for: ask for more than 3")
    printed = run("resume", "my run", "--saves", saves, "--epochs", 4, "--json")
    events = printed.json()
    assert printed.code == 0 and [event["epoch"] for event in events if event["event"] == "epoch"] == [4]

    printed = run("runs", "--saves", saves)
    assert "my run" in printed.out and "4/4" in printed.out and "(held out " in printed.out
    (summary,) = run("runs", "--saves", saves, "--json").json()
    assert set(summary) >= {
        "name", "state", "epoch", "perplexity", "model", "corpus", "parameters", "bytes", "created",
    }  # fmt: skip
    assert (summary["name"], summary["state"], summary["epoch"]) == ("my run", State.FINISHED, 4)
    assert summary["bytes"] > 1000 and summary["parameters"] > 100

    printed = run("generate", "my run", "--saves", saves, "--prefix", "ab", "--length", 20, "--seed", 1)
    assert printed.code == 0 and printed.out.startswith("ab") and len(printed.out) == 23
    printed = run("generate", "my run", "--saves", saves, "--prefix", "ab分", "--length", 20, "--seed", 1, "--json")
    done = printed.json()[-1]
    assert done["event"] == "done" and done["text"].startswith("ab分") and done["unknown"] == ["分"]
    assert "".join(event["text"] for event in printed.json()[:-1]) == done["text"][3:]
    assert run("generate", saves / "my run", "--prefix", "ab", "--length", 5, "--strategy", "greedy").code == 0


def test_train_as_json(train: Callable[..., Printed], saves: Path) -> None:
    printed = train("--epochs=2", "--seed=7", "--json", "--set=sample_every=1")
    events = printed.json()
    assert printed.code == 0 and events[0]["event"] == "run" and events[0]["name"] == "nonsense-0001"
    assert [event["event"] for event in events] == [
        "run", "resumed", "state", "epoch", "sample", "epoch", "sample", "state",
    ]  # fmt: skip
    for event in events:
        if event["event"] == "epoch":
            assert set(event) >= {
                "epoch", "perplexity", "validation_perplexity", "tokens_per_second", "seconds", "loss",
                "gradient_norm", "learning_rate",
            }  # fmt: skip
    assert events[-1]["state"] == State.FINISHED
    again = train("--epochs=2", "--seed=7", "--json").json()
    assert again[0]["name"] == "nonsense-0002"
    figures = [[event["perplexity"] for event in printed if event["event"] == "epoch"] for printed in (events, again)]
    assert figures[0] == figures[1], "the same seed gives the same numbers"


def test_a_preset_with_another_text(run: Callable[..., Printed], saves: Path) -> None:
    printed = run(
        "train", "--preset=lyrics-scratch-random", "--corpus=verse-zh", "--epochs=1", f"--saves={saves}", "--name=one",
        "--set=max_tokens=3000", "--set=num_hiddens=8", "--set=threads=1", "--device=cpu",
    )  # fmt: skip
    assert printed.code == 0
    config = Run(saves / "one").metadata().config
    wanted = PRESETS["lyrics-scratch-random"].config
    assert (config.corpus, config.num_epochs, config.sampling) == ("verse-zh", 1, "random")
    assert (config.learning_rate, config.clip, config.batch_size) == (wanted.learning_rate, wanted.clip, 32)


def test_a_training_that_diverges(run: Callable[..., Printed], train: Callable[..., Printed], saves: Path) -> None:
    wild = ("--set=learning_rate=1000000", "--set=clipping=none", "--set=activation=relu", "--epochs=50")
    printed = train(*wild, "--name=one")
    assert printed.code == 1 and printed.err.count("\n") == 1
    assert "a lower learning rate or a tighter clip usually helps; the weights are those of epoch" in printed.err
    assert "python -m core resume one" in printed.out
    printed = train(*wild, "--name=two", "--json")
    assert printed.code == 1 and printed.json()[-1]["state"] == State.DIVERGED
    assert run("runs", "--saves", saves, "--json").json()[0]["state"] == State.DIVERGED


def test_the_advice_after_a_divergence_leads_to_a_training_that_ends(
    run: Callable[..., Printed], train: Callable[..., Printed], saves: Path
) -> None:
    """The last line names a command; what it says is done until the run is finished."""
    wild = ("--set=learning_rate=1000000", "--set=clipping=none", "--set=activation=relu", "--epochs=20")
    printed, rates = train(*wild, "--name=one"), [1e6]
    while printed.code and len(rates) < 12:
        line = printed.out.splitlines()[-1]
        assert line.endswith(" continues it at a tenth of the rate"), line
        words = shlex.split(line.removesuffix(" continues it at a tenth of the rate"))[3:]
        assert words[:-1] == ["resume", "one", "--saves", str(saves), "--set"], line
        rates.append(float(words[-1].removeprefix("learning_rate=")))
        assert rates[-1] == pytest.approx(rates[-2] / 10), "of the rate that was just tried"
        printed = run(*words)
        assert f"learning_rate is {shown(rates[-1])} from now on" in printed.out
    assert printed.code == 0 and 1 < len(rates) < 12, rates
    assert Run(saves / "one").metadata().config.learning_rate == rates[-1]
    assert "epoch    20/20" in printed.out and run_summary(Run(saves / "one")).state == State.FINISHED
    for words, sentence in (
        (
            "--set=num_hiddens=5",
            "num_hiddens cannot change after a run is created, only num_epochs and learning_rate can",
        ),
        ("--set=learning_rate=0", "learning_rate must be above 0"),
        ("--set=rate=1", "there is no setting 'rate'"),
        ("--set=learning_rate", "--set takes KEY=VALUE, for example --set learning_rate=0.5"),
    ):
        refused(run("resume", "one", "--saves", saves, words), sentence)
    printed = run("resume", "one", "--saves", saves, "--set=num_epochs=21")
    assert printed.code == 0 and "epoch    21/21" in printed.out


def test_creation_times_are_of_this_machines_zone(
    run: Callable[..., Printed], trained: Run, saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = trained.metadata_path.read_text()
    trained.metadata_path.write_text(text.replace(trained.metadata().created, "2026-03-29T23:00:00.000001+09:00"))
    try:
        for zone, shown_date in (("UTC", "2026-03-29 14:00"), ("EST5", "2026-03-29 09:00")):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert shown_date in run("runs", "--saves", saves).out, zone
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_loss_beyond_all_perplexities_is_told(
    run: Callable[..., Printed], train: Callable[..., Printed], saves: Path
) -> None:
    wild = ("--set=learning_rate=1000000", "--set=clipping=none", "--epochs=30", "--set=validation_fraction=0.1")
    printed = train(*wild, "--name=one")
    assert printed.code == 1 and "the loss exploded in epochs 1 to 3" in printed.err
    assert re.search(
        r"training perplexity >1e308 \(loss [\d,.e+]+ nats, [\d,.e+]+ bits/token\) · held out >1e308 \(loss ",
        printed.out,
    )
    assert "inf" not in printed.out and " nan" not in printed.out
    listed = run("runs", "--saves", saves).out
    assert "diverged, initial weights" in listed and ">1e308 (held out >1e308)" in listed
    (listed_json,) = run("runs", "--saves", saves, "--json").json()
    assert listed_json["perplexity"] is None and listed_json["loss"] > 710 and listed_json["validation_loss"] > 710
    printed = run("generate", "one", "--saves", saves, "--prefix=a", "--length=3")
    assert printed.err.startswith("one diverged: it writes with its initial weights\n")
    printed = train(*wild, "--name=two", "--json")
    points = [line for line in printed.json() if line["event"] == "epoch"]
    assert len(points) == 3 and all(point["perplexity"] is None and point["loss"] > 710 for point in points)


def test_presets(run: Callable[..., Printed]) -> None:
    printed = run("presets")
    assert printed.code == 0 and "published training perplexity" in printed.out
    listed = run("presets", "--json").json()
    assert [preset["name"] for preset in listed] == list(PRESETS)
    assert all(RunConfig.from_dict(preset["config"]) for preset in listed)


def test_an_empty_list(run: Callable[..., Printed], saves: Path) -> None:
    assert run("runs", "--saves", saves).out == f"no runs in {saves} yet: python -m core train makes one\n"
    assert run("runs", "--saves", saves, "--json") == Printed(0, "", "")


def test_before_the_first_batch_it_says_what_the_training_takes(train: Callable[..., Printed]) -> None:
    printed = train("--epochs=2", "--name=one")
    assert printed.code == 0 and "memory about " in printed.out and "as measured in" not in printed.out, (
        "nothing is measured yet"
    )
    assert printed.out.index("memory about") < printed.out.index("training perplexity") and not printed.err
    again = train("--epochs=2", "--name=two")
    assert "s an epoch, as measured in one" in again.out
    small = train("--epochs=1", "--set=validation_fraction=0.02", "--set=sample_every=1", "--set=sample_prefix=家")
    assert small.err.splitlines() == [
        "warning: only 16 tokens are held out: too few for a reliable perplexity",
        "warning: sample prefix: not in the vocabulary, samples continue the beginning of the text: 家",
    ]


def test_a_model_that_no_memory_holds_is_refused_before_it_is_made(
    train: Callable[..., Printed], saves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.devices.main_memory", lambda: (0, 1_000_000))
    assert train("--device=cpu", "--epochs=1").code == 0
    printed = train("--device=cpu", "--set", "num_hiddens=16384", "--set", "num_layers=8", "--name=larger")
    refused(printed, "num_hiddens 16,384 makes a model of", "GB in training, and cpu has 1.0 MB: make num_hiddens")
    assert not (saves / "larger").exists()


def test_own_presets(run: Callable[..., Printed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    flags = ("--preset=lyrics-nn-gru", "--set=num_hiddens=16", "--description=a small one")
    assert "saved mine" in run("presets", "save", "mine", *flags).out
    assert "mine: a small one (your own)" in run("presets").out
    listed = {line["name"]: line for line in run("presets", "--json").json()}
    assert listed["mine"]["own"] and listed["mine"]["config"]["num_hiddens"] == 16
    assert listed["mine"]["config"]["cell"] == "gru" and not listed["lyrics-nn-gru"]["own"]
    refused = run("presets", "save", "mine", "--set=num_hiddens=8")
    assert refused.code == 2 and "--force" in refused.err
    assert run("presets", "save", "mine", "--set=num_hiddens=8", "--force").code == 0
    text = tmp_path / "text.txt"
    text.write_text("abcdefgh " * 300)
    trained = run(
        "train", "--preset=mine", f"--corpus={text}", f"--saves={tmp_path}/saves", "--epochs=1", "--name=one", "--json"
    )
    assert trained.code == 0, trained.err
    assert Run(tmp_path / "saves/one").metadata().config.num_hiddens == 8
    assert run("presets", "delete", "mine").code == 0 and "mine" not in run("presets").out
    assert run("presets", "delete", "lyrics-512").code == 2
