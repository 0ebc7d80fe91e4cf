"""Export: a run's figures, samples and weights in the formats of other tools. Only weights need torch."""
