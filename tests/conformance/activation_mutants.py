"""Losses of probabilities over a sigmoid or softmax, in PyTorch: of the numbers that it returns, and of what lies behind them.

Each is named after the plain loss that it applies, which is its sibling; what is no twin is wrong at saturated logits alone.
"""

from functools import partial

import torch
import torch.nn.functional as F

from adapters.binding import Binding, implements
from reference.losses import Grade
from reference.semantics import Semantics
from tests.conformance.twins import BINARY, CATEGORICAL, SIGMOID, SOFTMAX, SPARSE, SPARSE_CATEGORICAL

FLOORED = Semantics(log_of_zero="floor_100")
OF_SOFTMAX = Grade("log_quotient", "log_quotient")


@implements(BINARY, api="plain.binary", semantics=FLOORED, grade=Grade("log1p", "joint"))
def binary(p, t):
    return F.binary_cross_entropy(p, t, reduction="none")


@implements(BINARY, api="plain.binary_mean", reductions=("mean",), semantics=FLOORED, grade=Grade("log1p", "joint"))
def binary_mean(p, t):
    return F.binary_cross_entropy(p, t)


def clipped(p):
    """Return a probability as Keras clips it."""
    return p.clamp(1e-7, 1 - 1e-7)


@implements(CATEGORICAL, api="plain.categorical")
def categorical(p, t):
    return -(t * clipped(p).log()).sum(-1)


@implements(SPARSE_CATEGORICAL, api="plain.sparse")
def sparse(p, labels):
    return F.nll_loss(clipped(p).log(), labels, reduction="none")


PLAIN: tuple[Binding, ...] = (binary, binary_mean, categorical, sparse)
"""The losses that the others apply."""

over_sigmoid = partial(implements, SIGMOID, grade=Grade("pair", "pair"), semantics=FLOORED, textbook=True)
over_softmax = partial(implements, SOFTMAX, grade=OF_SOFTMAX, textbook=True)
sparse_over_softmax = partial(implements, SPARSE, grade=OF_SOFTMAX, textbook=True)


# Sound: the loss of the numbers


@over_sigmoid(api="plain.binary over sigmoid")
def binary_of_sigmoid(x, t):
    return F.binary_cross_entropy(torch.sigmoid(x), t, reduction="none")


@over_sigmoid(api="plain.binary_mean over sigmoid", reductions=("mean",))
def binary_mean_of_sigmoid(x, t):
    return F.binary_cross_entropy(torch.sigmoid(x), t)


@over_softmax(api="plain.categorical over softmax")
def categorical_of_softmax(x, t):
    return -(t * clipped(torch.softmax(x, -1)).log()).sum(-1)


@sparse_over_softmax(api="plain.sparse over softmax")
def sparse_of_softmax(x, labels):
    return F.nll_loss(clipped(torch.softmax(x, -1)).log(), labels, reduction="none")


ACTIVATION_TWINS: tuple[Binding, ...] = (
    binary_of_sigmoid,
    binary_mean_of_sigmoid,
    categorical_of_softmax,
    sparse_of_softmax,
)


# The loss of the logits: an alternative of the choice point


@over_sigmoid(api="plain.binary over a sigmoid that is remembered", semantics=Semantics())
def binary_of_logits(x, t):
    return F.binary_cross_entropy_with_logits(x, t, reduction="none")


@over_sigmoid(api="plain.binary_mean over a sigmoid that is remembered", semantics=Semantics(), reductions=("mean",))
def binary_mean_of_logits(x, t):
    return F.binary_cross_entropy_with_logits(x, t)


@over_softmax(api="plain.categorical over a softmax that is remembered")
def categorical_of_logits(x, t):
    return F.cross_entropy(x, t, reduction="none")


@sparse_over_softmax(api="plain.sparse over a softmax that is remembered")
def sparse_of_logits(x, labels):
    return F.cross_entropy(x, labels, reduction="none")


RECOVERING: tuple[Binding, ...] = (binary_of_logits, binary_mean_of_logits, categorical_of_logits, sparse_of_logits)


# Neither


@over_sigmoid(api="plain.binary over a sigmoid that is remembered where it is 1")
def ones_remembered(x, t):
    """Logits are taken where 1 - p has lost all digits, and p where it is small."""
    p, remembered = torch.sigmoid(x), F.binary_cross_entropy_with_logits(x, t, reduction="none")
    return torch.where(p == 1, remembered, F.binary_cross_entropy(p, t, reduction="none"))


@over_sigmoid(api="plain.binary over a sigmoid with the gradient of the logits")
def gradient_of_logits(x, t):
    """The value is that of the numbers, the gradient that of the logits."""
    value = F.binary_cross_entropy(torch.sigmoid(x), t, reduction="none").detach()
    remembered = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    return value + (remembered - remembered.detach())


@over_softmax(api="plain.categorical over a softmax with the value of the logits")
def value_of_logits(x, t):
    """The value is that of the logits, the gradient that of the numbers."""
    numbers = -(t * clipped(torch.softmax(x, -1)).log()).sum(-1)
    return F.cross_entropy(x, t, reduction="none").detach() + (numbers - numbers.detach())


@over_softmax(api="plain.categorical over a softmax, the logits of another temperature")
def other_temperature(x, t):
    """The logits that are remembered are those before a temperature of 2 is applied."""
    return F.cross_entropy(2 * x, t, reduction="none")


@over_softmax(api="plain.categorical over a softmax, taken for a sigmoid")
def other_activation(x, t):
    """The logits of a softmax are taken for those of a sigmoid, as Keras does on TensorFlow in a binary loss."""
    return F.binary_cross_entropy_with_logits(x, t, reduction="none").sum(-1)


@sparse_over_softmax(api="plain.sparse over a softmax, the logits of the batch before")
def logits_of_another_row(x, labels):
    """The logits that are remembered are those of the row before."""
    return F.cross_entropy(x.roll(1, 0), labels, reduction="none")


@over_softmax(api="plain.categorical over a softmax that is clipped elsewhere")
def clipped_elsewhere(x, t):
    """Over an activation the clip is ten times as wide."""
    return -(t * torch.softmax(x, -1).clamp(1e-6, 1 - 1e-6).log()).sum(-1)


@over_sigmoid(api="plain.binary_mean over a sigmoid that is remembered in one row", reductions=("mean",))
def one_row_remembered(x, t):
    """The last row of a batch is a loss of logits."""
    losses = F.binary_cross_entropy(torch.sigmoid(x), t, reduction="none")
    remembered = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    return torch.cat([losses[:-1], remembered[-1:]]).mean()


ACTIVATION_MUTANTS: tuple[Binding, ...] = (
    ones_remembered,
    gradient_of_logits,
    value_of_logits,
    other_temperature,
    other_activation,
    logits_of_another_row,
    clipped_elsewhere,
    one_row_remembered,
)
