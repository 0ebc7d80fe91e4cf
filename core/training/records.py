"""What each batch of the epoch in progress came to, kept on the device until it is read: no waiting per batch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Records:
    """The results of each batch of an epoch, in memory that never moves.

    Attributes:
        losses, norms: the loss and the norm of the gradient of each batch, each (batches,).
        targets: by how much each batch counts, (batches,): batches of poems differ in their number of targets.
    """

    def __init__(self, batches: int, device: torch.device) -> None:
        self.losses = torch.zeros(batches, device=device)
        self.norms = torch.zeros(batches, device=device)
        self.targets = torch.ones(batches, device=device)

    def write(self, batch: int, loss: Tensor, norm: Tensor, count: Tensor | None) -> None:
        """Keep the results of a batch; ``count``: its number of targets, where batches differ in it."""
        self.losses[batch] = loss
        if count is not None:
            self.targets[batch] = count
        self.norms[batch] = norm

    def mean_loss(self, batches: int) -> float:
        """The mean cross-entropy over all targets of the first ``batches``."""
        weights = self.targets[:batches].double()
        return float((self.losses[:batches].double() * weights).sum() / weights.sum())

    def first_infinite(self, batches: int) -> int | None:
        """The first batch whose loss or gradient is not finite, among the first ``batches``; None if all are."""
        bad = ~(torch.isfinite(self.losses) & torch.isfinite(self.norms))[:batches]
        return int(bad.nonzero()[0]) if bool(bad.any()) else None

    def tensors(self) -> dict[str, Tensor]:
        return {"losses": self.losses, "norms": self.norms, "targets": self.targets}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])


@torch.no_grad()
def are_finite(weights: list[torch.nn.Parameter]) -> bool:
    # A sum of squares would overflow before the numbers do, and infinity norms take ten times as long on a processor.
    ends = [end for weight in weights for end in torch.aminmax(weight)]  # NaN if there is one
    return bool(torch.isfinite(torch.stack(ends)).all())  # one wait for all
