"""The losses of the specification as data: what each one is called, what it takes and which sound forms it has."""

from dataclasses import dataclass
from typing import Literal

DTYPES = ("float32", "float64")
"""The dtypes that the suite judges, by NumPy's names."""


@dataclass(frozen=True)
class Grade:
    """The sound forms that an implementation computes its value and its gradient by: the error bounds it keeps."""

    value: str
    gradient: str


@dataclass(frozen=True)
class Loss:
    """One mathematical definition.

    ``prefix`` numbers its clauses (``SPARSE-4``). ``has_classes``: the last axis is a distribution over classes and gives
    one loss a row; otherwise every element is an outcome of its own, unless ``row_mean``: then one loss is their mean over the
    last axis. ``value_forms`` and ``gradient_forms`` name the sound algorithms whose error bounds `reference.bounds` has; the
    first of each is the default grade. ``relative_form`` is the value form that keeps the digits of a loss far below one.
    ``options`` names what it may take, of `reference.options.OPTIONS`, and ``parameters`` what it takes beside the prediction
    and has gradients of, of `reference.options.PARAMETERS`.
    """

    name: str
    prefix: str
    formula: str
    prediction: Literal["probability", "logit", "log-probability", "hidden"]
    target: Literal["any", "soft", "index", "log-probability", "sign"]
    relative_form: str
    value_forms: tuple[str, ...]
    gradient_forms: tuple[str, ...]
    options: tuple[str, ...] = ()
    row_mean: bool = False
    parameters: tuple[str, ...] = ()

    @property
    def has_classes(self) -> bool:
        """Whether the last axis holds the classes of one distribution."""
        return self.target not in ("any", "sign")

    @property
    def per_row(self) -> bool:
        """Whether there is one loss for each row: of a distribution over classes, or the mean of independent outcomes."""
        return self.has_classes or self.row_mean

    @property
    def default_grade(self) -> Grade:
        """The grade of a binding that declares none."""
        return Grade(self.value_forms[0], self.gradient_forms[0])


_SOFTMAX_FORMS = ("plain", "log1p", "lse", "log_quotient"), ("log_softmax", "quotient", "lse", "log_quotient")
"""The last of each is sound as far as no probability underflows."""

_DIVERGENCE_FORMS = ("quotient", "difference", "terms"), ("separate",)
"""t log(t / p), t (log t - log p), and t log t - t log p."""

FOUNDING_TABLE = (
    "binary_cross_entropy",
    "categorical_cross_entropy",
    "sparse_categorical_cross_entropy",
    "sigmoid_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits",
    "sparse_softmax_cross_entropy_with_logits",
)
"""The six losses that the others are variations of."""

LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss(
            "binary_cross_entropy",
            "BINARY",
            "-t log p - (1 - t) log(1 - p)",
            "probability",
            "any",
            "log1p",
            ("log", "log1p"),
            ("separate", "joint"),
            options=("sample_weight", "mask", "label_smoothing"),
        ),
        Loss(
            "categorical_cross_entropy",
            "CATEGORICAL",
            "-sum_k t_k log p_k",
            "probability",
            "soft",
            "log",
            ("log",),
            ("separate",),
            options=("class_weight", "sample_weight", "mask", "label_smoothing"),
        ),
        Loss(
            "sparse_categorical_cross_entropy",
            "SPARSE-CATEGORICAL",
            "-log p_j",
            "probability",
            "index",
            "log",
            ("log",),
            ("separate",),
            options=("class_weight", "sample_weight", "mask", "ignore_index"),
        ),
        Loss(
            "sigmoid_cross_entropy_with_logits",
            "SIGMOID",
            "-t log sigmoid(x) - (1 - t) log sigmoid(-x)",
            "logit",
            "any",
            "pair",
            ("split", "fold", "pair"),
            ("auto", "pair", "direct", "lse"),
            options=("pos_weight", "sample_weight", "mask", "label_smoothing"),
        ),
        Loss(
            "softmax_cross_entropy_with_logits",
            "SOFTMAX",
            "-sum_k t_k log softmax(x)_k",
            "logit",
            "soft",
            "log1p",
            *_SOFTMAX_FORMS,
            options=("class_weight", "sample_weight", "mask", "where", "label_smoothing"),
        ),
        Loss(
            "sparse_softmax_cross_entropy_with_logits",
            "SPARSE",
            "-log softmax(x)_j",
            "logit",
            "index",
            "log1p",
            *_SOFTMAX_FORMS,
            options=("class_weight", "sample_weight", "mask", "where", "ignore_index", "label_smoothing", "soft_cap", "z_loss"),
        ),
        Loss(
            "negative_log_likelihood",
            "NLL",
            "-x_j, x = log p",
            "log-probability",
            "index",
            "negated",
            ("negated",),
            ("negated",),
            options=("class_weight", "ignore_index"),
        ),
        Loss(
            "kl_divergence",
            "KL",
            "sum_k t_k log(t_k / p_k)",
            "probability",
            "soft",
            "quotient",
            *_DIVERGENCE_FORMS,
            options=("sample_weight", "mask"),
        ),
        Loss(
            "kl_divergence_of_log_probabilities",
            "KL-LOG",
            "sum_k t_k (log t_k - x_k), x = log p",
            "log-probability",
            "soft",
            "difference",
            _DIVERGENCE_FORMS[0][1:],
            ("separate",),
            options=("where",),
        ),
        Loss(
            "kl_divergence_with_log_targets",
            "KL-LOG-TARGETS",
            "sum_k exp(y_k) (y_k - x_k), x = log p, y = log t",
            "log-probability",
            "log-probability",
            "difference",
            ("difference",),
            ("separate",),
            options=("where",),
        ),
        Loss(
            "soft_margin",
            "SOFT-MARGIN",
            "log(1 + exp(-y x))",
            "logit",
            "sign",
            "log1p",
            ("log1p",),
            ("quotient", "lse"),
        ),
        Loss(
            "multilabel_soft_margin",
            "MULTILABEL",
            "1/n sum_k -t_k log sigmoid(x_k) - (1 - t_k) log sigmoid(-x_k)",
            "logit",
            "any",
            "pair",
            ("pair", "split", "fold"),
            ("pair", "auto", "direct", "lse"),
            options=("class_weight",),
            row_mean=True,
        ),
        Loss(
            "binary_focal_cross_entropy",
            "BINARY-FOCAL",
            "(1 - p_t)^gamma (-t log p - (1 - t) log(1 - p)), p_t = t p + (1 - t) (1 - p)",
            "probability",
            "any",
            "sum",
            ("log", "log1p", "sum"),
            ("separate", "joint"),
            options=("sample_weight", "mask", "label_smoothing", "alpha", "gamma"),
        ),
        Loss(
            "binary_focal_cross_entropy_with_logits",
            "SIGMOID-FOCAL",
            "binary_focal_cross_entropy of p = sigmoid(x)",
            "logit",
            "any",
            "log_space",
            ("split", "fold", "pair", "log_space"),
            ("auto", "direct", "pair", "lse", "log_space"),
            options=("sample_weight", "mask", "label_smoothing", "alpha", "gamma"),
        ),
        Loss(
            "categorical_focal_cross_entropy",
            "CATEGORICAL-FOCAL",
            "-sum_k t_k (1 - p_k)^gamma log p_k",
            "probability",
            "soft",
            "log",
            ("log",),
            ("separate",),
            options=("class_weight", "sample_weight", "mask", "label_smoothing", "alpha", "gamma"),
        ),
        Loss(
            "categorical_focal_cross_entropy_with_logits",
            "SOFTMAX-FOCAL",
            "categorical_focal_cross_entropy of p = softmax(x)",
            "logit",
            "soft",
            "log1p",
            ("plain", "log1p", "log_quotient"),
            ("log_softmax", "quotient", "log_quotient"),
            options=("class_weight", "sample_weight", "mask", "label_smoothing", "alpha", "gamma"),
        ),
        Loss(
            "poly_loss_cross_entropy",
            "POLY",
            "sum_k t_k (-log softmax(x)_k + epsilon (1 - softmax(x)_k))",
            "logit",
            "soft",
            "log1p",
            *_SOFTMAX_FORMS,
            options=("class_weight", "sample_weight", "mask", "where", "label_smoothing", "epsilon"),
        ),
        Loss(
            "generalized_cross_entropy",
            "GENERALIZED",
            "(1 - p_j^q) / q",
            "probability",
            "index",
            "expm1",
            ("power", "expm1"),
            ("power",),
            options=("class_weight", "sample_weight", "mask", "ignore_index", "q"),
        ),
        Loss(
            "linear_cross_entropy",
            "LINEAR",
            "-log softmax(h W^T + b)_j",
            "hidden",
            "index",
            "log1p",
            _SOFTMAX_FORMS[0],
            (*_SOFTMAX_FORMS[1], "apart"),
            options=("class_weight", "ignore_index", "label_smoothing"),
            parameters=("linear_weight", "linear_bias"),
        ),
        Loss(
            "linear_cross_entropy_with_soft_targets",
            "LINEAR-SOFT",
            "-sum_k t_k log softmax(h W^T + b)_k",
            "hidden",
            "soft",
            "log1p",
            _SOFTMAX_FORMS[0],
            (*_SOFTMAX_FORMS[1], "apart"),
            options=("class_weight", "label_smoothing"),
            parameters=("linear_weight", "linear_bias"),
        ),
    )
}
"""The losses of the founding table and those that stand beside them, by name."""
