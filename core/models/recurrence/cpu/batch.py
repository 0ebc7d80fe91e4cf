"""A batch of the textbook's model without autograd: one recurrent layer on one-hot inputs and its output layer.

Autograd would make the same C calls in the same order, so the numbers are the same. Here their memory stays from batch
to batch and their arguments are prepared once: small models spend more time between the calls than in them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.models.products import factor_format
from core.models.recurrence.cpu import bindings
from core.models.recurrence.cpu.compiled import BackwardScan, Scan
from core.models.scratch import HiddenState
from core.settings.cells import CELLS


class CompiledBatch:
    """The forward and the backward pass over batches of one shape.

    Args:
        cell, relu, bf16: see ``RecurrentLayer``.
        layer: ``W_x, W_h, b`` and the GRU's ``b_hn``; W_x is (vocabulary, gates * hidden).
        W, b: the output layer's, (hidden, vocabulary) and (vocabulary,).
        num_steps, batch: the shape of the batches.

    All weights are contiguous; they keep their memory, and the process its number of threads.
    """

    def __init__(
        self,
        cell: str,
        relu: bool,
        bf16: bool,
        layer: Sequence[Tensor],
        W: Tensor,
        b: Tensor,
        num_steps: int,
        batch: int,
    ) -> None:
        layer, W, b = [weight.detach() for weight in layer], W.detach(), b.detach()
        W_x, W_h, b_h, *extra = layer
        self._text = W.new_zeros(2, num_steps, batch, dtype=torch.int64)  # ids and targets
        self._ids, self._targets = ids, targets = self._text.unbind()
        self._vocabulary_size = len(b)
        state = [W.new_zeros(batch, len(W_h)) for _ in CELLS[cell].states]
        self._scan = Scan(cell, relu, bf16, ids, W_x, b_h, W_h, extra[0] if extra else None, state)
        self._scale = 1.0 / max(1, ids.numel())
        is_narrow = bf16 and factor_format(W.device) is torch.bfloat16
        is_rounded = bf16 and not is_narrow  # the factors are rounded, and multiplied in single precision
        H, self._W, self._factor = self._scan.H, W, torch.empty_like(W) if is_rounded else W
        if is_rounded:
            assert self._scan.twin is not None
            H = self._scan.twin
        given = (H[1:].flatten(0, 1), self._factor, b, targets.flatten(), None, self._scale)
        self._loss, self._surprises, gradients = bindings.output_loss(*given, differentiate=True, bf16=is_narrow)
        assert gradients is not None
        dH, dW, db_q = gradients
        dH_last, *dC_last = (torch.zeros_like(part) for part in state)  # the loss does not depend on the last state
        of_scan = (cell, relu, self._scan.kind, self._scan.kept, dH.view_as(H[1:]), dH_last)
        self._back = BackwardScan(*of_scan, dC_last[0] if dC_last else None, self._scan.panels)
        self._d_table, self._db = torch.empty_like(W_x), torch.empty_like(b_h)
        rows = self._back.dA.flatten(0, 1)
        self._look_up = bindings.prepared_add_rows(self._d_table, ids.flatten(), rows, self._db)
        self._d_output = (dW, db_q)

    def __call__(
        self, ids: Tensor, targets: Tensor, state: HiddenState
    ) -> tuple[Tensor, HiddenState, tuple[Tensor, ...]]:
        """The mean cross-entropy in nats, the state after the last step, and the gradients in the order of the weights.

        They are valid until the next call.

        Args:
            ids, targets: (batch, num_steps) integers.
            state: each tensor (1, batch, hidden).
        """
        self._ids.copy_(ids.t())
        self._targets.copy_(targets.t())
        bindings.require_ids(self._text, self._vocabulary_size, "ids and targets")
        scan, back = self._scan, self._back
        scan.begin(state)
        scan.compute()
        if self._factor is not self._W:
            self._factor.copy_(self._W.bfloat16())
        self._loss()
        if back.dC_0 is not None:
            back.dC_0.zero_()
        back.compute()
        dW_h, db_hn = back.gradients()
        self._d_table.zero_()
        self._db.zero_()
        self._look_up()
        found = (self._d_table, dW_h.to(self._db.dtype), self._db, db_hn, *self._d_output)
        loss = self._surprises.sum().mul_(self._scale)
        return loss, tuple([part.unsqueeze(0) for part in scan.last()]), tuple([d for d in found if d is not None])

    def __deepcopy__(self, memo: object) -> None:
        """The copy of a model prepares its own: its weights are elsewhere."""
