"""The truth: cross-entropy losses in float64 NumPy, their closed-form gradients and the error bounds of sound forms."""
