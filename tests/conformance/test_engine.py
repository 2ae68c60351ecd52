"""A question goes in, a record comes out: every verdict has its reason and nothing else has that verdict."""

import dataclasses

import numpy as np
import pytest

from adapters.binding import Binding, implements
from adapters.loading import Adapter
from conformance import trial
from conformance.cases import draw_cases
from conformance.engine import questions
from conformance.expectations import Observed
from conformance.profiles import PROFILES, SMALL, TEN
from reference.bounds import Bounds, error_bounds
from reference.losses import LOSSES
from reference.semantics import Semantics
from tests.conformance import asking
from tests.conformance.asking import LOSS, answers, ask, expectation
from tests.conformance.tiny import Tiny, framework, log_loss


def test_sound_loss_conforms_or_is_not_asked() -> None:
    records = ask(asking.sound)
    assert {record.verdict for record in records} == {"conforms", "unsupported"}
    assert all(record.finding is None and not record.regimes and not record.kinds for record in records)
    (value,) = ask(asking.sound, 1)
    assert value.rows == sum(rows * count(shape) for shape in PROFILES["quick"].shapes for rows in shape[:1])
    assert isinstance(value.worst, float)
    assert 0 < value.worst <= 1


def count(shape: tuple[int, int]) -> int:
    return len([case for case in draw_cases(LOSS, PROFILES["quick"]) if (case.rows, case.classes) == shape])


class InTwoModes(Tiny):
    """NumPy, run in two ways and in two dtypes."""

    modes = ("eager", "other")
    dtypes = ("float32", "float64")


def asked_in(binding: Binding) -> set[tuple[str, str, bool, bool]]:
    """Return the modes and dtypes of the questions, with what their clauses say of both."""
    asked = questions(Adapter("modes", "modes", InTwoModes(), (binding,)))
    return {(q.mode, q.dtype, q.clause.sample is not None, q.clause.in_one_dtype) for q in asked}


def test_other_modes_and_dtypes_are_asked_what_means_something_there() -> None:
    assert asked_in(asking.sound) == {
        *(("eager", "float32", *marks) for marks in ((True, False), (False, True), (False, False))),
        *(("eager", "float64", *marks) for marks in ((True, False), (False, False))),
        ("other", "float32", True, False),
    }


def test_a_sample_is_of_fewer_batches() -> None:
    asked = questions(Adapter("modes", "modes", InTwoModes(), (asking.sound,)))
    batches = {q.mode: q.clause.inputs(LOSSES[LOSS], q.dtype, PROFILES["quick"]) for q in asked if q.clause.sample}
    assert [batch.rows for batch in batches["other"]] == [SMALL[0]] == [batch.rows for batch in batches["eager"]][:1]


def test_a_binding_is_asked_in_the_dtypes_that_it_names() -> None:
    asked = asked_in(dataclasses.replace(asking.sound, dtypes=("float64",)))
    assert {dtype for _, dtype, _, _ in asked} == {"float64"} and ("eager", "float64", False, True) in asked


@implements(LOSS, api="library.loss")
def public_call(p, labels):
    return log_loss(p, labels)


@implements(LOSS, api="log, take")
def composition(p, labels):
    return log_loss(p, labels)


class Sparing(Tiny):
    """NumPy as if it compiled for each shape, under the name that an adapter has here: one of the suite."""

    name = "asked"
    sparing = ("float32",)


class Brought(Sparing):
    """The same under another name: the adapter is a file that somebody brings."""

    name = "tiny"


@pytest.mark.parametrize("runner", [Tiny(), Sparing(), Brought()], ids=["as ever", "sparing", "brought"])
@pytest.mark.parametrize("binding", [public_call, composition], ids=lambda binding: binding.api)
def test_dtypes_of_labels_are_asked_of_compositions_but_where_programs_are_compiled(binding: Binding, runner: Tiny) -> None:
    asked = {question.clause.number for question in questions(Adapter("asked", "asked", runner, (binding,)))}
    assert ({51, 52} <= asked) == (binding is public_call or type(runner) is not Sparing) and {1, 17, 18} <= asked


def test_what_the_profile_leaves_out_is_not_run_and_says_so() -> None:
    sparing = dataclasses.replace(asking.SHOWING_ALL, sparing=("float32",))
    value, bias, repeated = ask(asking.sound, 1, 4, 32, profile=sparing)
    assert value.verdict == bias.verdict == repeated.verdict == "conforms"
    assert value.rows < ask(asking.sound, 1)[0].rows and repeated.rows == 1 + count(TEN) * TEN[0]
    (nothing,) = ask(asking.sound, 1, profile=dataclasses.replace(sparing, compiled=()))
    assert (nothing.verdict, nothing.reason) == ("not run", "the profile has no cases of it in this dtype")


def test_compositions_are_asked_in_fewer_shapes_where_programs_are_compiled() -> None:
    everywhere, few = (ask(binding, 1, using=Sparing())[0].rows for binding in (public_call, composition))
    assert few < everywhere == ask(composition, 1, using=Tiny())[0].rows == ask(composition, 1, using=Brought())[0].rows


def test_what_a_binding_does_not_declare_is_unsupported() -> None:
    (record,) = ask(asking.sound, 28)
    assert (record.verdict, record.reason, record.rows) == ("unsupported", "the API has no reduction to a sum and a mean", 0)


def test_unlisted_deviation_is_a_defect() -> None:
    (record,) = ask(asking.inaccurate, 1)
    assert (record.verdict, record.kinds, record.reason) == ("defect", ["inaccurate"], "")
    assert isinstance(record.worst, float)
    assert record.worst > 1
    assert sum(record.regimes.values()) <= record.rows and set(record.regimes) <= {"flat", "peaked", "improbable", "probable"}
    assert record.finding is not None and record.finding.quantity == "value"
    assert min(float(record.finding.error_over_bound), float(record.finding.error_ulp)) > 1


def test_documented_choice_is_a_divergence_with_its_reason() -> None:
    (record,) = ask(asking.documented, 17)
    assert record.verdict == "documented divergence"
    assert (record.reason, record.upstream) == ("documented: negative_index = wrap", "https://example.org/wrap")
    assert record.choices == {"negative_index": "wrap"}


@pytest.mark.parametrize("binding", [asking.wrapping, asking.documented_otherwise], ids=lambda binding: binding.api)
def test_choice_that_is_not_documented_is_a_defect(binding) -> None:
    (record,) = ask(binding, 17)
    assert record.verdict == "defect" and record.finding is not None


def test_only_the_documented_choices_that_show_are_given_as_the_reason() -> None:
    binding = dataclasses.replace(asking.documented, semantics=Semantics(negative_index="wrap", mean_of_nothing="zero"))
    (found,) = answers(binding, 17)
    assert found.record.reason == "documented: negative_index = wrap"
    assert found.shown == ("negative_index",)


def test_documented_choice_that_a_listed_defect_needs_is_shown() -> None:
    """The gradient is wrong beside a wrapped label: neither the entry nor the documentation explains it alone."""
    seen = Observed(got=("inaccurate",), regimes=("label -1", "neighbour"))
    binding = dataclasses.replace(asking.wrapping_badly, semantics=Semantics(negative_index="wrap"))
    (found,) = answers(binding, 17, entries=(expectation(binding.api, 17, observed=seen),))
    assert (found.record.verdict, found.shown) == ("known defect", ("negative_index",))
    assert found.record.choices == {"negative_index": "wrap"}


def test_an_observed_choice_that_explains_a_verdict_is_recorded() -> None:
    wraps = expectation("wrapping", 17, observed=Observed(choice={"negative_index": "wrap"}), undocumented=True)
    recorded = {(record.verdict, *record.choices.items()) for record in ask(asking.wrapping, 1, 17, entries=(wraps,))}
    assert recorded == {("conforms",), ("undocumented divergence", ("negative_index", "wrap"))}


def test_no_choice_is_recorded_where_it_does_not_explain_what_happens() -> None:
    clamps = expectation("wrapping", 17, observed=Observed(choice={"negative_index": "clamp"}), undocumented=True)
    (record,) = ask(asking.wrapping, 17, entries=(clamps,))
    assert (record.verdict, record.choices) == ("changed", {})


def test_documented_choice_that_does_not_show_conforms() -> None:
    assert {record.verdict for record in ask(asking.documented, 1, 2, 18)} == {"conforms"}


@pytest.mark.parametrize("number", [1, 2, 7, 10])
def test_exception_is_a_crash_unless_listed(number: int) -> None:
    (record,) = ask(asking.raising, number)
    assert (record.verdict, record.kinds) == ("crash", ["error"])
    assert record.finding is not None and record.finding.got == "raises NotImplementedError: no kernel for this"
    seen = Observed(got=("error",), regimes=tuple(record.regimes))
    (record,) = ask(asking.raising, number, entries=(expectation("raising", number, observed=seen),))
    assert (record.verdict, record.reason) == ("known defect", "raising is known")


def test_exception_where_one_is_due_conforms() -> None:
    assert [record.verdict for record in ask(asking.raising, 17, 18)] == ["conforms"] * 2


@pytest.mark.parametrize("bad", [np.inf, np.nan, -1.0])
def test_bound_that_is_not_finite_is_never_a_pass(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    real = error_bounds

    def spoiled(*words, **more) -> Bounds:
        bounds = real(*words, **more)
        return Bounds(np.full_like(bounds.value, bad), np.full_like(bounds.gradient, bad), bounds.target_gradient)

    with monkeypatch.context() as patch:
        trial._expect.cache_clear()
        patch.setattr(trial, "error_bounds", spoiled)
        records = ask(asking.sound, 1, 2, 24, 29, entries=(expectation("sound", 1),))
        trial._expect.cache_clear()
    assert len(records) == 4
    assert [record.verdict for record in records] == ["crash"] * len(records)
    assert all(record.reason.startswith("the suite could not judge: an error bound is") for record in records)
    assert [record.verdict for record in ask(asking.sound, 1)] == ["conforms"]


def test_questions_come_in_one_order_with_names_of_their_own() -> None:
    adapter = Adapter("a", "a", framework, (asking.sound, asking.nan, asking.unshifted))
    names = [question.id for question in questions(adapter)]
    assert len(set(names)) == len(names) and names == [question.id for question in questions(adapter)]
    assert names[0] == "SPARSE-CATEGORICAL-1/sound/eager/float32"
    assert [q.id for q in questions(adapter, question=names[5])] == [names[5]]
    assert {q.binding.api for q in questions(adapter, loss=LOSS)} == {"sound", "nan"}
    assert questions(adapter, loss="hinge") == questions(adapter, question="x") == []


def test_finding_asks_again_with_the_settings_of_the_run() -> None:
    (record,) = ask(asking.inaccurate, 1, device="cuda:1")
    assert record.finding is not None
    assert record.finding.command == (
        "python crossproof.py run --adapter asked --profile quick "
        "--question SPARSE-CATEGORICAL-1/inaccurate/eager/float32 --device cuda:1"
    )
