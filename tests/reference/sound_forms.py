"""Sound losses in NumPy, in every form that `reference.bounds` bounds, computed in the dtype of their arguments.

Each function returns a value and a gradient; softmax at index targets takes them one-hot.
"""

import numpy as np


def softmax(x, t, value_form, gradient_form, scaled=True):
    largest = x.max(-1, keepdims=True)
    pivot = np.arange(x.shape[-1]) == x.argmax(-1)[:, None]
    distance = largest - x
    exponential = np.exp(-distance)
    total = exponential.sum(-1, keepdims=True)
    log_total = np.log1p(np.where(pivot, 0, exponential).sum(-1, keepdims=True)) if value_form == "log1p" else np.log(total)
    losses = (largest + log_total) - x if value_form == "lse" else distance + log_total
    if value_form == "log_quotient":
        losses = -np.log(exponential / total)
    value = np.where(t == 0, 0, t * losses).sum(-1)
    if gradient_form == "log_quotient":
        return value, _through_log_and_quotient(exponential / total, t), losses
    p = {
        "log_softmax": lambda: np.exp(-(distance + np.log(total))),
        "quotient": lambda: exponential / total,
        "lse": lambda: np.exp(x - (largest + np.log(total))),
    }[gradient_form]()
    return value, (p * t.sum(-1, keepdims=True) if scaled else p) - t, losses


def _through_log_and_quotient(p, t):
    """The chain rule as automatic differentiation applies it: -t / p, then that of the softmax."""
    slope = np.where(t == 0, 0, -t / p)
    return p * (slope - (slope * p).sum(-1, keepdims=True))


def sigmoid(x, t, value_form, gradient_form):
    small = np.exp(-abs(x))
    l1 = np.log1p(small)
    rise, fall = np.maximum(x, 0) + l1, np.maximum(-x, 0) + l1
    near, far = small / (1 + small), 1 / (1 + small)
    up, down = np.where(x > 0, far, near), np.where(x > 0, near, far)
    value = {
        "split": lambda: (1 - t) * x + fall,
        "fold": lambda: np.maximum(x, 0) - x * t + l1,
        "pair": lambda: t * fall + (1 - t) * rise,
    }[value_form]()
    gradient = {
        "auto": lambda: (1 - t) - down,
        "direct": lambda: up - t,
        "pair": lambda: (1 - t) * up - t * down,
        "lse": lambda: (1 - t) * np.exp(x - rise) - t * np.exp(-x - fall),
    }[gradient_form]()
    return value, gradient, fall - rise if value_form == "pair" else -x


def binary(p, t, value_form, gradient_form):
    log_p, log_q = np.log(p), np.log1p(-p) if value_form == "log1p" else np.log(1 - p)
    value = -(t * log_p + (1 - t) * log_q)
    gradient = (p - t) / (p * (1 - p)) if gradient_form == "joint" else -t / p + (1 - t) / (1 - p)
    return value, gradient, log_q - log_p


def categorical(p, t, renormalised=False):
    total = p.sum(-1, keepdims=True) if renormalised else np.ones_like(p[:, :1])
    q = p / total
    value = -(t * np.log(q)).sum(-1)
    slope = -t * (1 / q)
    gradient = (slope - (slope * q).sum(-1, keepdims=True)) / total if renormalised else slope
    return value, gradient, -np.log(q)


def softmax_of_logs(p, t):
    """Clip, then the softmax of the logarithms: what guards first and renormalises afterwards."""
    low, high = p.dtype.type(1e-7), 1 - p.dtype.type(1e-7)
    clipped = np.clip(p, low, high)
    value, slope, target_slope = softmax(np.log(clipped), t, "plain", "quotient")
    return value, np.where((p < low) | (p > high), 0, slope / clipped), target_slope


def clipped_binary(p, t):
    low, high = p.dtype.type(1e-7), 1 - p.dtype.type(1e-7)
    value, gradient, target_gradient = binary(np.clip(p, low, high), t, "log", "separate")
    return value, np.where((p < low) | (p > high), 0, gradient), target_gradient


def added_binary(p, t):
    epsilon = p.dtype.type(1e-7)
    here, there = p + epsilon, 1 - p + epsilon
    value = -t * np.log(here) - (1 - t) * np.log(there)
    return value, -t / here + (1 - t) / there, np.log(there) - np.log(here)


def clipped_and_added_binary(p, t):
    low, high = p.dtype.type(1e-7), 1 - p.dtype.type(1e-7)
    value, gradient, target_gradient = added_binary(np.clip(p, low, high), t)
    return value, np.where((p < low) | (p > high), 0, gradient), target_gradient


def floored_binary(p, t):
    log_p, log_q = np.maximum(np.log(p), -100), np.maximum(np.log1p(-p), -100)
    falling, rising = np.where(log_p > -100, -t / p, 0), np.where(log_q > -100, (1 - t) / (1 - p), 0)
    return -(t * log_p + (1 - t) * log_q), falling + rising, log_q - log_p


def floored_together(p, t):
    value, _, target_gradient = floored_binary(p, t)
    return value, (p - t) / np.maximum(p * (1 - p), p.dtype.type(np.float32(1e-12))), target_gradient
