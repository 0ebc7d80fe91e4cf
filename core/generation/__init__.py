"""Generation: writing with a trained model."""
