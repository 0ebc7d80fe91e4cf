"""Generation: how a trained model writes."""
