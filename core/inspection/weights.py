"""A copy of a model's weights for one inspection: training continues and does not change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.inspection.figures import require_finite
from core.models.language_model import LanguageModel
from core.models.scratch import HiddenState, Parameters, Step, begin_state, one_hot, step_of, textbook_names
from core.settings.cells import CELLS, Cell


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights that a text needs, by their textbook names, and the page's equations that compute with them.

    Of the vectors of all tokens only those of the text's are copied: one-hot inputs multiply just these rows of W_x.

    Attributes:
        cell: see ``core.settings.cells``; step: its equations, with the model's activation.
        activation: tanh or relu.
        layers: for each layer and direction the parameters; one-hot inputs of the first layer meet the rows ``known``.
        known: int64, ascending: the distinct ids of the text.
        embedding: (known, embedding_size); None for one-hot inputs.
        W_hq, b_q: the output layer's, (directions * hidden, vocabulary) and (vocabulary,).
        hidden: units of a layer in each direction; vocabulary_size: of the model.
    """

    cell: Cell
    step: Step
    activation: str
    layers: tuple[tuple[Mapping[str, Tensor], ...], ...]
    known: Tensor
    embedding: Tensor | None
    W_hq: Tensor
    b_q: Tensor
    hidden: int
    vocabulary_size: int

    @property
    def directions(self) -> int:
        return len(self.layers[0])

    def begin_state(self, batch: int = 1) -> HiddenState:
        """Zeros, each (batch, hidden): of one layer and direction."""
        return begin_state(self.cell.num_states, batch, self.hidden, like=self.b_q)

    def read(self, layer: int, direction: int, X: Tensor) -> tuple[Tensor, Parameters]:
        """What a layer reads of a stretch, and the parameters that meet it.

        ``X``: (steps, batch) ids for the first layer, which become (steps, batch, inputs). One-hot vectors are made
        over the distinct tokens among them alone, and the input weights cut to their rows, so that a product costs no
        more than the tokens that are read.
        """
        p = self.layers[layer][direction]
        if layer:
            return X, p
        places = torch.searchsorted(self.known, X)
        if self.embedding is not None:
            return self.embedding[places], p
        rows, place = torch.unique(places, return_inverse=True)
        cut = {name: weight[rows] if name.startswith("W_x") else weight for name, weight in p.items()}
        return one_hot(place, len(rows), self.b_q.dtype), cut


@torch.no_grad()
def weights_of(
    model: LanguageModel, ids: npt.NDArray[np.int64], dtype: torch.dtype | None = None, *, output: bool = True
) -> Weights:
    """The weights of a model for a text; ``dtype`` is the format to compute in, by default the parameters' own.

    Without ``output`` the output layer is left out. Raises UserError for weights that are not finite.
    """
    W_hq, b_q = model.output_layer()
    device = b_q.device
    if dtype is torch.float64 and device.type == "mps":
        device = torch.device("cpu")  # where there is double precision
    dtype = dtype or b_q.dtype

    def copy(tensor: Tensor, rows: Tensor | None = None) -> Tensor:
        found = tensor.detach()
        found = found if rows is None else found.index_select(0, rows.to(found.device))
        return found.to(device, dtype, copy=rows is None)

    cell, vectors = CELLS[model.config.cell], model.input_vectors()
    known = torch.from_numpy(np.unique(ids)).to(device)
    layers = []
    for layer in range(model.num_layers):
        found = []
        for direction in range(model.directions):
            W_x, W_h, b, *extra = model.stored_layer(layer * model.directions + direction)
            rows = known if layer == 0 and vectors is None else None
            copies = [copy(W_x, rows), *map(copy, (W_h, b, *extra))]
            found.append({name: part.contiguous() for name, part in textbook_names(cell, *copies).items()})
        layers.append(tuple(found))
    weights = Weights(
        cell=cell,
        step=step_of(cell.name, is_relu=model.is_relu),
        activation="relu" if model.is_relu else "tanh",
        layers=tuple(layers),
        known=known,
        embedding=None if vectors is None else copy(vectors, known),
        W_hq=copy(W_hq) if output else b_q.new_empty(0),
        b_q=copy(b_q),
        hidden=model.num_hiddens,
        vocabulary_size=model.vocabulary_size,
    )
    require_finite((weights.W_hq, weights.b_q, *(tensor for row in layers for p in row for tensor in p.values())))
    return weights
