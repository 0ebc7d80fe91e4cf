"""Looking inside a model: one step, gradients through time, units, saliency, tokens, parity."""
