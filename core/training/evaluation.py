"""The perplexity of a model on a text that it was not trained on."""

from __future__ import annotations

import numpy as np
import torch

from core.models.language_model import LanguageModel

# Steps that a stream reads before its first counted token: enough for the state to be what a carried one would be.
WARM_UP = 256
# Logits that are held at once, in numbers: a measure of memory, not of the result.
LOGITS_AT_ONCE = 1 << 23


@torch.no_grad()
def mean_cross_entropy(model: LanguageModel, ids: np.ndarray, begin: int, num_streams: int = 64) -> float:
    """The mean cross-entropy, in nats, of the tokens ``ids[begin:]``, each predicted once from what stands before it.

    The state is carried over the whole text. To use the machine, the text is read as ``num_streams`` streams side by
    side; each begins ``WARM_UP`` tokens before its own part, so that no token is predicted from a cold state (only
    the very beginning of the text has nothing before it).
    """
    count = len(ids) - max(begin, 1)
    begin = max(begin, 1)
    num_streams = max(1, min(num_streams, count // WARM_UP))
    length = -(-count // num_streams)
    device = next(model.parameters()).device
    firsts = begin + length * np.arange(num_streams)
    piece = max(1, min(WARM_UP, LOGITS_AT_ONCE // (num_streams * model.vocabulary_size)))
    total = torch.zeros((), dtype=torch.float64, device=device)
    state = model.begin_state(num_streams)
    training, _ = model.training, model.eval()
    try:
        for offset in (*range(-WARM_UP, 0, piece), *range(0, length, piece)):
            steps = np.arange(offset, min(offset + piece, 0 if offset < 0 else length))
            positions = firsts[:, None] + steps[None, :]  # (streams, steps) of the targets
            counted = (steps[None, :] >= 0) & (positions < len(ids))
            targets = np.clip(positions, 1, len(ids) - 1)
            inputs = torch.from_numpy(ids[targets - 1].astype(np.int64)).to(device)
            if not counted.any():
                _, state = model(inputs, state)
                continue
            mask = torch.from_numpy(counted).to(device)
            wanted = torch.from_numpy(ids[targets].astype(np.int64)).to(device)
            mean, state = model.loss(inputs, wanted, state, mask=mask)
            total += mean.double() * int(counted.sum())
    finally:
        model.train(training)
    return float(total) / count
