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


def binary_focal(p, t, alpha, gamma, value_form, gradient_form):
    """Q = 1 - p_t, or t (1 - p) + (1 - t) p in the form "sum"; derivatives by the product rule."""
    entropy, slope, opposed = binary(p, t, "log" if value_form == "log" else "log1p", gradient_form)
    base = t * (1 - p) + (1 - t) * p if value_form == "sum" else 1 - (t * p + (1 - t) * (1 - p))
    return _focal(entropy, slope, opposed, base, (1 - t) - t, (1 - p) - p, t, alpha, gamma)


def sigmoid_focal(x, t, alpha, gamma, value_form, gradient_form):
    """Q = 1 - p_t of p = sigmoid(x); in the form "log_space" Q^g and its derivatives by the logarithms of p and 1 - p."""
    small = np.exp(-abs(x))
    l1, near, far = np.log1p(small), small / (1 + small), 1 / (1 + small)
    p = np.where(x > 0, far, near)
    if value_form != "log_space":
        entropy, slope, opposed = sigmoid(x, t, value_form, gradient_form)
        base = 1 - (t * p + (1 - t) * (1 - p))
        return _focal(entropy, slope, opposed, base, ((1 - t) - t) * (p * (1 - p)), (1 - p) - p, t, alpha, gamma)
    entropy, slope, opposed = sigmoid(x, t, "pair", "lse")
    log_p, log_q = -(np.maximum(-x, 0) + l1), -(np.maximum(x, 0) + l1)
    largest = np.where(t == 0, log_p, np.where(t == 1, log_q, np.maximum(log_p, log_q)))
    of_p, of_q = (np.where(weight == 0, 0, weight * np.exp(log - largest)) for weight, log in ((1 - t, log_p), (t, log_q)))
    log_base = np.log(of_p + of_q) + largest
    power = np.exp(gamma * log_base)
    first, second = of_p / (of_p + of_q), of_q / (of_p + of_q)
    turn = first * np.exp(log_q) - second * np.exp(log_p)
    value, gradient = power * entropy, power * slope + gamma * power * entropy * turn
    weight, turned = _alpha(t, alpha)
    tilt = [np.exp((gamma - 1) * log_base + log) * gamma * entropy if gamma else 0 for log in (log_q, log_p)]
    return weight * value, weight * gradient, turned * value + weight * (power * opposed + (tilt[0] - tilt[1]))


def _alpha(t, alpha):
    kind = t.dtype.type
    if alpha is None:
        return kind(1), kind(0)
    return kind(alpha) * t + (1 - kind(alpha)) * (1 - t), kind(alpha) - (1 - kind(alpha))


def _focal(entropy, slope, opposed, base, turn, tilt, t, alpha, gamma):
    kind = t.dtype.type
    power, steep = base ** kind(gamma), kind(gamma) * base ** kind(gamma - 1) if gamma else kind(0)
    weight, turned = _alpha(t, alpha)
    through = steep * entropy
    gradient = weight * (power * slope + through * turn)
    return weight * (power * entropy), gradient, turned * (power * entropy) + weight * (power * opposed + through * tilt)


def categorical_focal(p, t, alpha, gamma, renormalised=False):
    """alpha (1 - q)^g t log q, with q = p / sum p where they are renormalised."""
    kind, total = p.dtype.type, p.sum(-1, keepdims=True) if renormalised else np.ones_like(p[:, :1])
    q, scale = p / total, kind(1 if alpha is None else alpha)
    power, steep = (1 - q) ** kind(gamma), kind(gamma) * (1 - q) ** kind(gamma - 1) if gamma else kind(0)
    losses = scale * power * -np.log(q)
    slope = -t * scale * (power / q + steep * -np.log(q))
    gradient = (slope - (slope * q).sum(-1, keepdims=True)) / total if renormalised else slope
    return (t * losses).sum(-1), gradient, losses


def softmax_focal(x, t, alpha, gamma, value_form, gradient_form):
    """The same of log p and p = exp(log p), or of the log of softmax; 1 - p by expm1 in the form "log1p"."""
    kind = x.dtype.type
    losses = softmax(x, t, value_form, "quotient")[2]
    exponential = np.exp(x - x.max(-1, keepdims=True))
    p = np.exp(-losses) if gradient_form == "log_softmax" else exponential / exponential.sum(-1, keepdims=True)
    rest, scale = -np.expm1(-losses) if value_form == "log1p" else 1 - p, kind(1 if alpha is None else alpha)
    power, steep = rest ** kind(gamma), kind(gamma) * rest ** kind(gamma - 1) if gamma else kind(0)
    terms = scale * power * losses
    slope = np.where(t == 0, 0, -t * scale * (power + steep * p * losses))
    return np.where(t == 0, 0, t * terms).sum(-1), slope - p * slope.sum(-1, keepdims=True), terms


def generalized(p, t, q, value_form):
    """(1 - p^q) / q as it stands, or by expm1."""
    kind = p.dtype.type
    losses = (1 - p ** kind(q)) / kind(q) if value_form == "power" else -np.expm1(kind(q) * np.log(p)) / kind(q)
    return (t * losses).sum(-1), np.where(t == 0, 0, -t * p ** (kind(q) - 1))


def poly(x, t, epsilon, value_form, gradient_form):
    """Softmax cross-entropy, and epsilon sum t (1 - p)."""
    kind = x.dtype.type
    value, gradient, losses = softmax(x, t, value_form, gradient_form)
    exponential = np.exp(x - x.max(-1, keepdims=True))
    p = exponential / exponential.sum(-1, keepdims=True)
    rest = -np.expm1(-losses) if value_form == "log1p" else 1 - p
    change = p * ((t * p).sum(-1, keepdims=True) - t)
    return value + kind(epsilon) * (t * rest).sum(-1), gradient + kind(epsilon) * change, losses + kind(epsilon) * rest


def capped_softmax(x, t, soft_cap, z_loss, value_form, gradient_form):
    """Softmax cross-entropy of c tanh(x / c), and z log(sum exp)^2."""
    kind = x.dtype.type
    bent = np.tanh(x / kind(soft_cap)) if soft_cap else x
    y = kind(soft_cap) * bent if soft_cap else x
    value, gradient, _ = softmax(y, t, value_form, gradient_form)
    largest = y.max(-1, keepdims=True)
    total = np.exp(y - largest).sum(-1, keepdims=True)
    if z_loss:
        log_sum = largest + np.log(total)
        p = np.exp(y - largest) / total if gradient_form == "quotient" else np.exp(y - log_sum)
        value, gradient = value + kind(z_loss) * log_sum[:, 0] ** 2, gradient + kind(2 * z_loss) * log_sum * p
    return value, gradient * (1 - bent**2) if soft_cap else gradient
