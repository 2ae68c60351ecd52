"""Bring your own loss: `framework` from an adapter that exists, and your function under `@implements`."""

import torch
from torch import Tensor

from adapters.binding import implements
from adapters.pytorch import framework  # noqa: F401, the suite looks for it here
from reference.losses import Grade


@implements(
    "sparse_softmax_cross_entropy_with_logits",
    api="my_project.cross_entropy",
    grade=Grade(value="log1p", gradient="quotient"),
)
def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Keep the digits of a small loss: the largest term of the sum is exactly 1, so log1p takes the others."""
    shifted = logits - logits.detach().amax(-1, keepdim=True)
    top = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, logits.argmax(-1, keepdim=True), True)
    others = torch.where(top, shifted.expm1(), shifted.exp()).sum(-1)
    return torch.log1p(others) - shifted.gather(-1, labels[:, None].long())[:, 0]
