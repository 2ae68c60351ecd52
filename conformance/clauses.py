"""The clauses: the numbered sentences of the specification, each with its property and the batches it is asked on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from adapters.binding import Binding
from conformance import tables
from conformance.cases import Batch, Case, draw_cases, fill, neutral_pair_cases, option_cases, ordinary_case, smooth_case
from conformance.judging import Judgement
from conformance.profiles import LONG, SMALL, SPATIAL, SQUARE, TEN, WIDE, Profile
from conformance.properties import accuracy, dtypes, forms, interface, linear, one_hot, options, relations, special_values
from conformance.properties.accounts import fullest_form, fullest_form_over_axis
from conformance.properties.relations import ONE_HOT_PAIRS
from conformance.regimes import MASKED, regimes_for
from conformance.settings import SETTINGS, settings_of
from conformance.trial import Trial
from reference.losses import DTYPES, FOUNDING_TABLE, LOSSES, Loss
from reference.options import OPTIONS

Property = Callable[[Trial, Batch], list[Judgement]]
Inputs = Callable[[Loss, str, Profile], list[Batch]]
"""(loss, dtype, profile) -> the batches that the property is asked on, small ones first."""


@dataclass(frozen=True)
class Clause:
    """One sentence of the specification; its id is the prefix of a loss and ``number``: "SPARSE-4".

    ``applies`` tells for which losses it means something; ``needs`` says why a binding that declares less does not support
    it, and is empty where it does. ``reduce`` returns what judges the smaller batches of a finding, where the property
    itself needs its whole table, or asks for more than the finding is about. ``asks_shape`` marks the clause that holds the
    shape of the loss against the mathematics too, ``is_ladder`` one that finds where a loss saturates. ``records`` are batches
    whose answers are kept for other backends to be compared with. ``asked`` tells to which bindings it is put: those that
    have the option it is about. ``founding`` marks those about the six losses of the founding table alone. ``meaning`` is
    its sentence where several clauses share a property. ``of_reduced`` marks those that are put to what gives a mean alone
    too, ``in_one_dtype`` those about what a call does around the numbers of the prediction: they are asked in its first
    dtype alone. ``of_parameters`` marks those about losses that have parameters beside the prediction; the others are about
    losses that have none. ``of_whole`` marks those that speak of a batch as a whole: no smaller one shows what they find.
    ``sample`` are the batches that a clause is asked on in the other modes of a framework, None where it is not: a compiler
    may simplify what makes a NaN. ``of_target_dtypes`` marks those about the dtypes and shapes of targets: each is a
    program, and a framework that compiles is asked for its public calls, not for compositions of several. ``of_stand_ins``
    marks those that are put to stand-ins even where each call is dear: what they are there for, and labels out of range.
    ``beside`` finds the other binding that one is held against: where there is none, the clause is not asked.
    """

    number: int
    title: str
    ask: Property
    inputs: Inputs
    applies: Callable[[Loss], bool] = lambda loss: True
    needs: Callable[[Binding], str] = lambda binding: ""
    reduce: Callable[[Judgement], Property] | None = None
    asks_shape: bool = False
    is_ladder: bool = False
    records: Inputs | None = None
    asked: Callable[[Binding], bool] = lambda binding: True
    founding: bool = False
    meaning: str = ""
    of_reduced: bool = False
    in_one_dtype: bool = False
    of_parameters: bool = False
    of_whole: bool = False
    sample: Inputs | None = None
    of_target_dtypes: bool = False
    of_stand_ins: bool = False
    beside: Callable[[Binding, Sequence[Binding]], Binding | None] | None = None

    @property
    def sentence(self) -> str:
        """The clause in words: its meaning, or the docstring of its property."""
        return self.meaning or (self.ask.__doc__ or "").strip()

    def concerns(self, loss: Loss) -> bool:
        """Tell whether the clause means something for a loss."""
        if bool(loss.parameters) != self.of_parameters:
            return False
        return self.applies(loss) and (loss.name in FOUNDING_TABLE or not self.founding)

    def asks(self, binding: Binding, others: Sequence[Binding] = ()) -> bool:
        """Tell whether the clause is put to a binding, one of an adapter, which may give no losses without reduction."""
        alone = ("none" in binding.reductions or self.of_reduced) and self.asked(binding)
        return alone and (self.beside is None or self.beside(binding, others) is not None)

    def records_of(self, binding: Binding) -> Inputs | None:
        """Return the batches on which the answers of a binding are kept; None where there is nothing to compare them with."""
        return self.records if _is_keras(binding) else None

    def id(self, loss: str) -> str:
        """The clause of one loss: "SPARSE-4"."""
        return f"{LOSSES[loss].prefix}-{self.number}"

    def sampled(self) -> "Clause":
        """Return the clause as it is asked in the other modes."""
        assert self.sample is not None
        return replace(self, inputs=self.sample)


def _cases(loss: Loss, dtype: str, profile: Profile) -> list[Case]:
    return [case for case in draw_cases(loss.name, profile) if profile.asks(dtype, (case.rows, case.classes))]


def _drawn(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    return [fill(case, dtype) for case in _cases(loss, dtype, profile)]


def _few(*shapes: tuple[int, int]) -> Inputs:
    """Return the drawn cases of the given shapes."""

    def inputs(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
        return [fill(case, dtype) for case in _cases(loss, dtype, profile) if (case.rows, case.classes) in shapes]

    return inputs


def _one_row_and_more(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    return [*tables.one_row(loss, dtype), *_few(SMALL, TEN)(loss, dtype, profile)]


def _masked(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    """Return the tables of masked classes, and on logits a drawn batch of them."""
    drawn = [fill(Case(loss.name, *TEN, "rowwise", (MASKED.name,), "0" * 16), dtype)] if loss.prediction == "logit" else []
    return [*tables.masked_classes(loss, dtype), *drawn]


def _first_masked(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    return tables.masked_classes(loss, dtype)[:1]


def _smooth(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    regimes = regimes_for(loss.prediction, loss.has_classes).values()
    return [fill(smooth_case(loss.name, regime.name), dtype) for regime in regimes if regime.smooth]


def _ordinary(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    return [fill(ordinary_case(loss.name), dtype)]


def _repeated(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    """Return drawn batches, and one row in the dtypes in which no larger batch than these is compiled."""
    alone = tables.one_row(loss, dtype) if dtype in profile.sparing else []
    return [*alone, *_few(TEN)(loss, dtype, profile)]


def _spatial(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    return [fill(ordinary_case(loss.name, shape=SPATIAL), dtype)]


def _spatial_under_options(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    cases = [case for case in option_cases(loss.name) if _has_first_numbers(case) and not _is_neutral(case)]
    return [fill(replace(case, rows=SPATIAL[0], classes=SPATIAL[1]), dtype) for case in cases]


def _table(make: Callable[[Loss, str], list[Batch]]) -> Inputs:
    return lambda loss, dtype, profile: make(loss, dtype)


def _ladder(make: Callable[[Loss, str], Batch]) -> Inputs:
    return lambda loss, dtype, profile: [make(loss, dtype)]


def _labels(too_large: bool) -> Inputs:
    return lambda loss, dtype, profile: tables.labels_outside(loss, dtype, 3 if too_large else -1)


def _logits(loss: Loss) -> bool:
    return loss.prediction == "logit"


def _classes(loss: Loss) -> bool:
    return loss.has_classes


def _softmax(loss: Loss) -> bool:
    return loss.has_classes and loss.prediction == "logit"


def _index(loss: Loss) -> bool:
    return loss.target == "index"


def _dense(loss: Loss) -> bool:
    return loss.target != "index"


def _has_reduction(binding: Binding) -> str:
    return "" if {"sum", "mean"} <= set(binding.reductions) else "the API has no reduction to a sum and a mean"


def _alone(option: str) -> Inputs:
    """Return the cases in which one option is given, and no other.

    An option that is a number has all its values in float32, and the first one in float64: each value is a program of its
    own to a compiler.
    """

    def inputs(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
        cases = [case for case in option_cases(loss.name) if dtype == DTYPES[0] or _has_first_numbers(case)]
        batches = (fill(case, dtype) for case in cases)
        return [batch for batch in batches if set(batch.options.given) == {option}]

    return inputs


def _first_of(*names: str) -> Inputs:
    """Return the case of each of the given options alone, in its first setting; in the dtype that all backends are asked in."""

    def inputs(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
        wanted = [(settings_of(name)[0].id,) for name in names] if dtype == DTYPES[0] else []
        return [fill(case, dtype) for case in option_cases(loss.name) if case.settings in wanted]

    return inputs


def _plain_and_first_of_each(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    return [*_ordinary(loss, dtype, profile), *_first_of(*loss.options)(loss, dtype, profile)]


def _under(*chosen: Callable[[Case], bool]) -> Inputs:
    """Return the option cases of which all the given conditions hold."""

    def inputs(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
        return [fill(case, dtype) for case in option_cases(loss.name) if all(holds(case) for holds in chosen)]

    return inputs


def _neutral(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    """Return the cases of neutral options: alone, and in the first dtype beside another option too."""
    pairs = neutral_pair_cases(loss.name) if dtype == DTYPES[0] else ()
    return [*_under(_is_neutral)(loss, dtype, profile), *(fill(case, dtype) for case in pairs)]


def _each_alone(*more: str) -> Inputs:
    """Return the cases in which one option is given: in its first setting, or in one of those that are named."""
    wanted = {settings_of(option)[0].id for option in GIVEN} | set(more)
    return _under(lambda case: not _is_pair(case) and set(case.settings) <= wanted)


def _labels_under_options(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    """Return the cases of each option, with labels to ignore that an unsigned dtype has too, and one to lay on an axis."""
    cases = _each_alone("ignore_index=0", "ignore_index=255")(loss, dtype, profile)
    wrap = tables.labels_that_wrap(loss, dtype)
    asked = [batch for batch in wrap if profile.asks(dtype, batch.prediction.shape)]
    return [*cases, *asked, *_to_lay_on_axis(loss, dtype, profile)]


def _targets_under_options(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    return [*_each_alone()(loss, dtype, profile), *_to_lay_on_axis(loss, dtype, profile)]


def _to_lay_on_axis(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    return _spatial(loss, dtype, profile) if loss.has_classes else []


def _weighted(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    return [batch for batch in _each_alone()(loss, dtype, profile) if set(batch.options.given) & set(dtypes.WEIGHTS)]


def _plain_and_each_alone(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    """Return an ordinary batch, and those under one option if the loss has labels, which may come in a column.

    Where each is a model to compile the ordinary one alone: what Keras makes of options shows on its other backends.
    """
    beside = _each_alone()(loss, dtype, profile) if _index(loss) and dtype not in profile.sparing else []
    return [*_ordinary(loss, dtype, profile), *beside]


def _is_pair(case: Case) -> bool:
    return len(case.settings) > 1


def _is_neutral(case: Case) -> bool:
    return all(SETTINGS[name].neutral(LOSSES[case.loss]) for name in case.settings)


def _has_first_numbers(case: Case) -> bool:
    """Tell whether the options that are numbers have the first of their values."""
    chosen = [SETTINGS[name] for name in case.settings if SETTINGS[name].option in NUMBERS and name not in OTHER_TARGETS]
    return all(setting is settings_of(setting.option)[0] for setting in chosen)


def _has_first_settings(case: Case) -> bool:
    return all(SETTINGS[name] is settings_of(SETTINGS[name].option)[0] for name in case.settings)


def _drops_rows(case: Case) -> bool:
    return any(SETTINGS[name].option in DROPPING for name in case.settings)


def _has_any(*names: str) -> Callable[[Binding], bool]:
    return lambda binding: bool(set(names) & set(binding.options))


def _is_keras(binding: Binding) -> bool:
    return binding.api.startswith("keras.")


def _is_reduced(binding: Binding) -> bool:
    return "none" not in binding.reductions


def _in_one_shape(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    """Return the drawn cases and those under options in one shape: a compiled model is a program for each.

    Of the options that a model hands on to its loss one value is asked: what they mean is asked of the loss.
    """
    return [*_few(SMALL)(loss, dtype, profile), *_under(_has_first_numbers)(loss, dtype, profile)]


def _plain_and_first(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    """Return an ordinary batch, and one under each option and pair in the first settings: other clauses ask of the others."""
    return [*_ordinary(loss, dtype, profile), *_under(_has_first_settings)(loss, dtype, profile)]


def _spatial_plain_and_first(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    cases = [ordinary_case(loss.name), *(case for case in option_cases(loss.name) if _has_first_settings(case))]
    return [fill(replace(case, rows=SPATIAL[0], classes=SPATIAL[1]), dtype) for case in cases]


def _plain_and_optional(loss: Loss, dtype: str, profile: Profile) -> list[Batch]:
    return [*_ordinary(loss, dtype, profile), *_under(_has_first_numbers)(loss, dtype, profile)]


def _alike(ask: Callable[..., list[Judgement]]) -> Callable[[Judgement], Property]:
    """Return what asks a property for the reduction, and the class axis, of a judgement alone: each other is a program."""

    def narrowed(judgement: Judgement) -> Property:
        numbers = judgement.call.numbers
        axes = {"axes": (numbers["class_axis"],)} if "class_axis" in numbers else {}
        return partial(ask, reductions=(judgement.call.reduction,), **axes)

    return narrowed


def _as_called(ask: Callable[..., list[Judgement]]) -> Callable[[Judgement], Property]:
    """Return what asks a property for the reduction of a judgement alone, and for the dtype of its target."""

    def narrowed(judgement: Judgement) -> Property:
        call = judgement.call
        return partial(ask, reductions=(call.reduction,), dtypes=(call.target.dtype.name,))

    return narrowed


def _of_parameters(number: int, title: str, ask: Property, inputs: Inputs, **more: Any) -> Clause:
    """Return a clause about losses that have parameters."""
    return Clause(number, title, ask, inputs, of_parameters=True, **more)


def _option(number: int, option: str) -> Clause:
    """Return the clause about one option."""
    return Clause(
        number,
        option,
        options.under_options,
        _alone(option),
        applies=lambda loss: option in loss.options,
        asked=_has_any(option),
        reduce=_alike(options.under_options),
        of_stand_ins=True,
        records=_first_of(option),
        meaning=f"Under {option} value and gradients are those of its meaning, and so under each reduction, and what is given "
        f"is left as it is: {OPTIONS[option]}.",
    )


GIVEN = tuple(name for name in OPTIONS if name != "reduction")
"""The options that cases give a value."""

NUMBERS = ("ignore_index", "label_smoothing", "alpha", "gamma", "epsilon", "q", "soft_cap", "z_loss")
"""The options that are one number."""

OTHER_TARGETS = ("ignore_index=all", "ignore_index=absent")
"""The settings that differ from the first of their option in the targets, not in the number."""

DROPPING = ("mask", "ignore_index")
"""The options that take rows away."""

CLAUSES: tuple[Clause, ...] = (
    Clause(1, "value", accuracy.value, _drawn),
    Clause(2, "gradient", accuracy.gradient, _drawn),
    Clause(3, "target gradient", accuracy.target_gradient, _few(SMALL, TEN, SQUARE), applies=_dense),
    Clause(4, "bias", accuracy.unbiased, _smooth, of_whole=True),
    Clause(
        5,
        "small losses",
        accuracy.small_losses,
        _ladder(tables.small_ladder),
        applies=lambda loss: loss.prediction in ("probability", "logit"),
        reduce=lambda judgement: accuracy.small_value,
        is_ladder=True,
    ),
    Clause(
        6,
        "large losses",
        accuracy.large_losses,
        _ladder(tables.large_ladder),
        applies=lambda loss: loss.name in FOUNDING_TABLE or loss.name in tables.GUARDED,
        reduce=lambda judgement: accuracy.value,
        is_ladder=True,
    ),
    Clause(7, "stability", accuracy.finite, _drawn),
    Clause(8, "masked class", special_values.masked_classes, _masked, applies=_classes, founding=True, sample=_first_masked),
    Clause(9, "masked label", special_values.masked_labels, _table(tables.masked_labels), applies=_classes, founding=True),
    Clause(10, "NaN", special_values.not_numbers, _table(tables.not_numbers)),
    Clause(11, "infinite logit", special_values.infinite_logits, _table(tables.infinities), applies=_logits, founding=True),
    Clause(
        12, "logit of +inf", special_values.positive_infinity, _table(tables.positive_infinity), applies=_softmax, founding=True
    ),
    Clause(
        13, "certainty", special_values.certainty, _table(tables.certain), applies=lambda loss: not _logits(loss), founding=True
    ),
    Clause(14, "zeros and ties", special_values.zeros_and_ties, _table(tables.zeros_and_ties), applies=_logits, founding=True),
    Clause(
        15,
        "single class",
        special_values.single_class,
        _table(tables.single_class),
        applies=_classes,
        founding=True,
        in_one_dtype=True,
    ),
    Clause(16, "empty batch", special_values.empty_batch, _table(tables.empty), in_one_dtype=True),
    Clause(17, "label -1", special_values.labels_outside, _labels(too_large=False), applies=_index, of_stand_ins=True),
    Clause(18, "label C", special_values.labels_outside, _labels(too_large=True), applies=_index, of_stand_ins=True),
    Clause(
        19,
        "targets that do not sum to one",
        special_values.unnormalised_targets,
        _table(tables.unnormalised),
        applies=lambda loss: loss.target == "soft",
        founding=True,
    ),
    Clause(
        20,
        "probabilities that do not sum to one",
        special_values.improper_probabilities,
        _table(tables.improper),
        applies=lambda loss: _classes(loss) and not _logits(loss),
        founding=True,
    ),
    Clause(21, "one-hot", relations.hard_is_one_hot, _few(SMALL, TEN), applies=_classes, founding=True),
    Clause(22, "softmax and sigmoid", relations.softmax_is_sigmoid, _table(tables.pairs), applies=_logits, founding=True),
    Clause(23, "shift", relations.shift, _table(tables.grid), applies=_softmax, founding=True),
    Clause(24, "permuted classes", relations.permute_classes, _few(TEN, SQUARE)),
    Clause(25, "independent rows", relations.independent_rows, _few(TEN, LONG)),
    Clause(26, "mirror", relations.mirror, _few(TEN), applies=lambda loss: not _classes(loss), founding=True),
    Clause(27, "gradient sum", relations.gradient_sums_to_zero, _few(TEN, SQUARE, WIDE), applies=_softmax, founding=True),
    Clause(28, "reductions", interface.reductions, _few(TEN, LONG, WIDE), needs=_has_reduction),
    Clause(29, "upstream gradient", interface.upstream_gradient, _few(TEN, WIDE)),
    Clause(30, "shape and dtype", interface.shape_and_dtype, _one_row_and_more, asks_shape=True),
    Clause(31, "inputs", interface.inputs_intact, _few(SMALL, TEN)),
    Clause(32, "repeatability", interface.repeatable, _repeated),
    Clause(33, "worked examples", accuracy.worked_examples, _table(tables.worked), applies=_logits, founding=True),
    _option(34, "class_weight"),
    _option(35, "pos_weight"),
    _option(36, "sample_weight"),
    _option(37, "mask"),
    _option(38, "where"),
    _option(39, "ignore_index"),
    _option(40, "label_smoothing"),
    _option(41, "alpha"),
    _option(42, "gamma"),
    _option(43, "epsilon"),
    _option(44, "q"),
    _option(45, "soft_cap"),
    Clause(
        46,
        "pairs of options",
        options.under_options,
        _under(_is_pair),
        asked=lambda binding: len(set(binding.options) & set(GIVEN)) > 1,
        in_one_dtype=True,
        reduce=_alike(options.under_options),
        of_stand_ins=True,
        meaning="Under two options together value and gradients are those of their meanings, and so under each reduction.",
    ),
    Clause(
        47,
        "dropped rows",
        options.whatever_they_hold,
        _under(_drops_rows),
        asked=_has_any(*DROPPING),
        reduce=_alike(options.whatever_they_hold),
        of_stand_ins=True,
    ),
    Clause(
        48,
        "neutral options",
        options.neutral,
        _neutral,
        asked=_has_any(*GIVEN),
        reduce=_alike(options.neutral),
        of_reduced=True,
    ),
    Clause(
        49,
        "one-hot under options",
        relations.hard_is_one_hot,
        _under(),
        applies=lambda loss: loss.name in ONE_HOT_PAIRS,
        asked=lambda binding: bool(set(binding.options) & set(LOSSES[ONE_HOT_PAIRS[binding.loss]].options)),
        meaning="Under every option that both take, a hard target and its one-hot vector give the same loss and gradient.",
    ),
    Clause(
        50,
        "class axis",
        options.class_axis,
        _spatial,
        applies=_classes,
        asked=_has_any("class_axis"),
        reduce=_alike(options.class_axis),
    ),
    Clause(51, "label dtype", dtypes.label_dtypes, _ordinary, applies=_index, in_one_dtype=True, of_target_dtypes=True),
    Clause(52, "label shape", dtypes.label_column, _ordinary, applies=_index, in_one_dtype=True, of_target_dtypes=True),
    Clause(53, "target dtype", dtypes.target_dtypes, _ordinary, applies=_dense, in_one_dtype=True, of_target_dtypes=True),
    Clause(
        54,
        "weights of the wrong length",
        options.wrong_length,
        _ordinary,
        asked=_has_any("class_weight", "pos_weight", "sample_weight", "mask"),
        in_one_dtype=True,
        of_reduced=True,
        reduce=lambda judgement: partial(options.wrong_length, names=tuple(judgement.call.arrays)),
    ),
    Clause(
        55,
        "backends",
        relations.backends_agree,
        _table(tables.backends),
        applies=lambda loss: loss.prediction != "log-probability",
        asked=_is_keras,
        records=_table(tables.backends),
    ),
    _option(56, "z_loss"),
    Clause(
        57,
        "means alone",
        forms.reduced_alone,
        _in_one_shape,
        asked=_is_reduced,
        of_reduced=True,
        records=_plain_and_first_of_each,
    ),
    Clause(58, "forms agree", forms.forms_agree, _plain_and_optional, beside=fullest_form, of_reduced=True, in_one_dtype=True),
    Clause(
        59,
        "dropped rows in means",
        forms.dropped_alone,
        _under(_drops_rows, _has_first_numbers),
        asked=lambda binding: _is_reduced(binding) and bool(set(binding.options) & set(DROPPING)),
        of_reduced=True,
        in_one_dtype=True,
    ),
    _of_parameters(60, "linear value", linear.losses, _drawn),
    _of_parameters(61, "linear gradients", linear.gradients, _drawn),
    _of_parameters(62, "linear reductions", linear.reductions, _few(TEN), needs=_has_reduction),
    _of_parameters(63, "linear options", linear.under_options, _under(), asked=_has_any(*GIVEN), of_stand_ins=True),
    _of_parameters(64, "linear dropped rows", linear.whatever_they_hold, _under(_drops_rows), asked=_has_any(*DROPPING)),
    _of_parameters(65, "linear neutral options", linear.neutral, _neutral, asked=_has_any(*GIVEN)),
    _of_parameters(66, "linear edges", linear.edges, _table(tables.linear_edges)),
    _of_parameters(
        67,
        "linear labels out of range",
        linear.labels_beyond,
        _table(tables.linear_labels),
        applies=_index,
        of_stand_ins=True,
    ),
    _of_parameters(68, "linear empty batch", linear.empty_batch, _table(tables.linear_empty)),
    _of_parameters(69, "linear interface", linear.interface, _few(SMALL)),
    Clause(
        70,
        "class axis of means",
        options.class_axis,
        _spatial,
        applies=_classes,
        reduce=_alike(options.class_axis),
        asked=lambda binding: _is_reduced(binding) and "class_axis" in binding.options,
        of_reduced=True,
        meaning="With the classes on another axis a mean that is given alone is that of the rows.",
    ),
    Clause(
        71,
        "soft targets beside an ignored label",
        options.soft_beside_ignored,
        _ordinary,
        applies=lambda loss: _index(loss) and loss.name in ONE_HOT_PAIRS,
        asked=_has_any("ignore_index"),
        in_one_dtype=True,
    ),
    Clause(
        72,
        "class axis under options",
        options.class_axis,
        _spatial_under_options,
        applies=_classes,
        reduce=_alike(options.class_axis),
        asked=lambda binding: "class_axis" in binding.options and bool(set(binding.options) & set(GIVEN)),
        of_reduced=True,
        in_one_dtype=True,
        meaning="Under options too, alone and in pairs, losses, reduced or not, and gradients with the classes on another axis "
        "are those of the rows; weights and masks of rows have the shape of the losses.",
    ),
    _of_parameters(
        73,
        "linear weights of the wrong length",
        options.wrong_length,
        _few(SMALL),
        asked=_has_any("class_weight"),
        in_one_dtype=True,
    ),
    Clause(
        74,
        "output of an activation",
        forms.of_activation,
        _table(tables.saturated),
        applies=lambda loss: loss.name in forms.OF_PROBABILITIES,
        asked=lambda binding: binding.textbook and bool(binding.outer),
        of_reduced=True,
        sample=_table(tables.saturated),
    ),
    Clause(
        76,
        "one-hot in means",
        one_hot.same_reduced,
        _plain_and_first,
        applies=lambda loss: _index(loss) and loss.name in ONE_HOT_PAIRS,
        asked=lambda binding: set(binding.reductions) != {"none"},
        beside=one_hot.soft_form,
        of_reduced=True,
        in_one_dtype=True,
        reduce=_alike(one_hot.same_reduced),
    ),
    Clause(
        77,
        "one-hot over an axis",
        one_hot.same_over_axis,
        _spatial_plain_and_first,
        applies=lambda loss: _index(loss) and loss.name in ONE_HOT_PAIRS,
        asked=_has_any("class_axis"),
        beside=one_hot.soft_form,
        of_reduced=True,
        in_one_dtype=True,
        reduce=_alike(one_hot.same_over_axis),
    ),
    _of_parameters(78, "linear forms agree", linear.forms_agree, _plain_and_first, beside=fullest_form, in_one_dtype=True),
    Clause(
        79,
        "forms agree over an axis",
        forms.forms_agree_over_axis,
        _spatial_plain_and_first,
        applies=_classes,
        asked=_has_any("class_axis"),
        beside=fullest_form_over_axis,
        of_reduced=True,
        in_one_dtype=True,
    ),
    _of_parameters(
        80, "linear targets that do not sum to one", linear.unnormalised, _table(tables.linear_unnormalised), applies=_dense
    ),
    _of_parameters(81, "linear one-hot", linear.hard_is_one_hot, _in_one_shape, in_one_dtype=True),
    _of_parameters(
        82,
        "linear label dtype and shape",
        linear.label_kinds,
        _few(SMALL),
        applies=_index,
        in_one_dtype=True,
        of_target_dtypes=True,
    ),
    _of_parameters(
        83, "linear target dtype", linear.target_dtypes, _few(SMALL), applies=_dense, in_one_dtype=True, of_target_dtypes=True
    ),
    _of_parameters(
        84,
        "linear soft targets beside an ignored label",
        linear.beside_ignored,
        _few(SMALL),
        applies=_index,
        asked=_has_any("ignore_index"),
        in_one_dtype=True,
    ),
    Clause(
        85,
        "label dtype under options",
        dtypes.labels_under_options,
        _labels_under_options,
        applies=_index,
        asked=_has_any(*GIVEN, "class_axis"),
        in_one_dtype=True,
        of_target_dtypes=True,
        reduce=_as_called(dtypes.labels_under_options),
    ),
    Clause(
        86,
        "label shape under options",
        dtypes.column_under_options,
        _each_alone(),
        applies=_index,
        asked=_has_any(*GIVEN),
        in_one_dtype=True,
        of_target_dtypes=True,
        reduce=_alike(dtypes.column_under_options),
    ),
    Clause(
        87,
        "target dtype under options",
        dtypes.targets_under_options,
        _targets_under_options,
        applies=_dense,
        asked=_has_any(*GIVEN, "class_axis"),
        in_one_dtype=True,
        of_target_dtypes=True,
        reduce=_as_called(dtypes.targets_under_options),
    ),
    Clause(
        88,
        "weight dtype",
        dtypes.weight_dtypes,
        _weighted,
        asked=_has_any(*dtypes.WEIGHTS),
        in_one_dtype=True,
        of_target_dtypes=True,
        reduce=_alike(dtypes.weight_dtypes),
    ),
    Clause(
        89,
        "targets of means",
        dtypes.targets_of_means,
        _plain_and_each_alone,
        asked=lambda binding: _is_reduced(binding) and not binding.textbook,
        of_reduced=True,
        in_one_dtype=True,
    ),
)
"""The specification, in the order in which a run asks."""


def clauses_of(binding: Binding, others: Sequence[Binding] = ()) -> list[Clause]:
    """Return the clauses that mean something for the loss of a binding, which may be one of several."""
    return [clause for clause in CLAUSES if clause.concerns(LOSSES[binding.loss]) and clause.asks(binding, others)]
