"""Keras: the sound forms by which each backend computes the losses, all others in a form of their own."""

import keras

from reference.losses import Grade

BACKEND = keras.backend.backend()
BINARY = {
    "tensorflow": Grade("log", "separate"),
    "jax": Grade("log", "separate"),
    "torch": Grade("log1p", "joint"),
}[BACKEND]
SIGMOID = {"tensorflow": Grade("fold", "auto"), "jax": Grade("pair", "lse"), "torch": Grade("split", "direct")}[BACKEND]
SOFTMAX = {
    "tensorflow": Grade("plain", "quotient"),
    "jax": Grade("plain", "quotient"),
    "torch": Grade("plain", "log_softmax"),
}[BACKEND]
"""Each backend computes the losses of logits in a form of its own."""
OF_SIGMOID = SIGMOID if BACKEND == "tensorflow" else Grade("pair", "pair")
OF_SOFTMAX = SOFTMAX if BACKEND == "tensorflow" else Grade("log_quotient", "log_quotient")
"""On TensorFlow an activation remembers its logits, and a loss of what it returns takes those."""
FOCAL_OF_SIGMOID = Grade("fold", "auto") if BACKEND == "tensorflow" else Grade("pair", "pair")
FOCAL_OF_SOFTMAX = Grade("log_quotient", "log_quotient")
