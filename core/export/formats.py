"""The formats of ``python -m core export``. Names only: the parser and the screen read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        meaning: what it is for, in a few words.
        ending: of the name of its file, or of its folder.
        is_chart: whether it is a picture of curves, which other programs' files can be in.
        is_printed: whether it can go to the standard output.
        is_of_one_run: whether it has the weights of one run.
        is_folder: whether it is a folder of files.
    """

    meaning: str
    ending: str
    is_chart: bool = False
    is_printed: bool = False
    is_of_one_run: bool = False
    is_folder: bool = False


FORMATS = {
    "png": Format("a picture of the curves, for pages and slides", ".png", is_chart=True, is_printed=True),
    "svg": Format("a picture of the curves that stays sharp at any size", ".svg", is_chart=True, is_printed=True),
    "csv": Format("a table for pandas, R and spreadsheets: a row an epoch, every figure", ".csv", is_printed=True),
    "tensorboard": Format("a folder of event files, which TensorBoard reads", "-logs", is_folder=True),
    "text": Format("the samples that were written while training", ".txt", is_printed=True),
    "torch": Format("the weights for plain torch.nn, and a script that loads them", ".safetensors", is_of_one_run=True),
    "onnx": Format("the model for onnxruntime, and a script that writes with it", ".onnx", is_of_one_run=True),
}
ENDINGS = {item.ending: name for name, item in FORMATS.items() if not item.is_folder}
"""The format that the name of a file asks for."""
