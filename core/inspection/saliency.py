"""Why the next token is what it is: gradient times input.

For the score Y of a target token before softmax and the input x_t of each step, the contribution of step t is

    x_t . dY/dx_t,

the first term of the Taylor series of Y around x = 0 (Simonyan, Vedaldi & Zisserman 2014, "Deep inside convolutional
networks"; for text: Li, Chen, Hovy & Jurafsky 2016, "Visualizing and understanding neural models in NLP"). For one-hot
inputs it is the gradient with respect to the one; for an embedding the sum over its elements.
"""

from __future__ import annotations

from collections.abc import Generator

import torch

from core.errors import UserError
from core.inspection.answers import SaliencyView
from core.inspection.figures import floats, likely, token_id
from core.inspection.options import InspectionOptions
from core.inspection.passes import backward
from core.inspection.places import around, read
from core.inspection.text import Text
from core.inspection.weights import weights_of
from core.models.language_model import LanguageModel


def saliency(model: LanguageModel, text: Text, options: InspectionOptions) -> Generator[None, None, SaliencyView]:
    """What each token before a position contributes to the token there, or to ``options.token`` in its place."""
    place = text.position(options.at, before_another=False)
    if place == text.span(place)[0]:
        hint = "choose a later one" if len(text) > 1 else "give a longer text"
        raise UserError(f"no token is before this position: {hint}")
    wanted = int(text.ids[place]) if options.token is None else token_id(text.vocabulary, options.token)
    weights = weights_of(model, text.ids, torch.float64)
    trace, index = yield from read(weights, text, [around(weights.directions, text, place - 1)])
    H = trace.outputs
    with torch.no_grad():
        Y = (H[index] @ weights.W_hq + weights.b_q).flatten()  # (vocabulary,)
        probabilities = torch.softmax(Y, dim=-1)
    dY = torch.zeros_like(H)
    dY[index] = weights.W_hq[:, wanted]  # Y is linear in H
    found = yield from backward(trace, dY)
    products = found[0][0].inputs.flatten()
    for other in found[0][1:]:
        products = products + other.inputs.flatten().flip(0)
    total = products.abs().sum()
    shares = products / total if float(total) > 0 else torch.zeros_like(products)
    first = place - 1 - index
    return SaliencyView(
        text=text.text,
        at=place,
        begin=first,
        tokens=text.tokens(first, first + len(products)),
        shares=floats(shares),
        absolute=floats(shares.abs()),
        target=text.vocabulary.id_to_token(wanted),
        target_id=wanted,
        actual=text.tokens(place, place + 1)[0],
        score=float(Y[wanted]),
        probability=float(probabilities[wanted]),
        next=likely(text, probabilities),
    )
