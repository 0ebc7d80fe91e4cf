"""Writing: a model continues a prefix, token by token, and hands each one over as soon as it is there."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from core.corpus.vocabulary import Vocabulary
from core.errors import UserError
from core.generation.strategies import Sampling
from core.models.language_model import LanguageModel

LONGEST = 1_000_000


def check_request(model: LanguageModel, length: int) -> None:
    """Raise UserError where this cannot be written."""
    if not 1 <= length <= LONGEST:
        raise UserError(f"length must be between 1 and {LONGEST:,} tokens, got {length:,}")
    if model.config.bidirectional:
        raise UserError(
            "a bidirectional model cannot write: it would have to know the next token before it predicts it"
        )


def write(model: LanguageModel, vocabulary: Vocabulary, prefix: str, length: int, sampling: Sampling) -> Iterator[str]:
    """Yield the continuation of ``prefix``, ``length`` tokens, one piece of text a token.

    The model is used as it is at each moment: it may be trained on between two tokens. An empty prefix lets it begin
    as after a line end, or as after its most frequent token where it knows no line end. Raises UserError.
    """
    check_request(model, length)
    choose = sampling.chooser()
    # Drawn on the CPU: one stream of random numbers whatever the device, and none of training's.
    generator = torch.Generator()
    if sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(sampling.seed)
    ids = vocabulary.encode(prefix).tolist() or [_beginning(vocabulary)]
    has_words = bool(prefix.strip())
    state = model.begin_state(1)
    device = next(model.parameters()).device
    feed = torch.empty(1, dtype=torch.long, device=device)
    logits = None
    for token in ids:
        logits, state = _step(model, feed.fill_(token), state)
    for index in range(length):
        assert logits is not None
        token = choose(logits[0].float().cpu(), generator)
        piece = vocabulary.id_to_token(token)
        yield piece if vocabulary.kind == "char" or not (index or has_words) else " " + piece
        if index + 1 < length:
            logits, state = _step(model, feed.fill_(token), state)


@torch.no_grad()
def _step(
    model: LanguageModel, ids: torch.Tensor, state: tuple[torch.Tensor, ...]
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    was_training = model.training
    if was_training:
        model.eval()  # dropout is for learning
    try:
        return model.step(ids, state)
    finally:
        if was_training:
            model.train()


def _beginning(vocabulary: Vocabulary) -> int:
    for token in ("\n", " "):
        if token in vocabulary:
            return vocabulary.token_to_id(token)
    return min(1, len(vocabulary) - 1)
