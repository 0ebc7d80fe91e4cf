"""The sequence laboratory: small models that predict a noisy sine wave."""
