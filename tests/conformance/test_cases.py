"""Cases are the same always, are rebuilt from their ids, and hold what their ids say."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from conformance.cases import FEWEST, LAYOUTS, Batch, Case, draw_cases, fill, lay_out, parse_case, regime_names, smooth_case
from conformance.hidden import HIDDEN, features_of
from conformance.profiles import LONG, MOST_CLASSES, PAIRS, PROFILES, SMALL, TEN, Profile
from conformance.regimes import MASKED
from crossproof import ROOT
from reference.losses import FOUNDING_TABLE, LOSSES
from tests.command import run_command
from tests.losses import ALONE

QUICK, DEFAULT = PROFILES["quick"], PROFILES["default"]
SPARSE = "sparse_softmax_cross_entropy_with_logits"
DTYPES = ("float32", "float64")


def case_of(regime: str, loss: str, *, rows: int = 24, layout: str = "rowwise") -> Case:
    return Case(loss, rows, 5, layout, (regime,), "00000000000000ff")


def digest() -> str:
    """Return a fingerprint of all cases of the default profile, and of the numbers of the quick one."""
    found = hashlib.sha256()
    for loss in LOSSES:
        found.update("\n".join(case.id for case in draw_cases(loss, DEFAULT)).encode())
        for case in draw_cases(loss, QUICK):
            batch = fill(case, "float32")
            for array in (batch.prediction, batch.target, batch.labels):
                found.update(array.tobytes())
    return found.hexdigest()


def test_cases_are_the_same_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.conformance.test_cases import digest; print(digest())"
    monkeypatch.setenv("PYTHONHASHSEED", "12345")
    process = run_command(code=code)
    draw_cases.cache_clear()
    fill.cache_clear()
    assert process.stdout.strip() == digest(), process.stderr


def all_cases() -> Iterator[Case]:
    for loss in LOSSES:
        yield from draw_cases(loss, DEFAULT)
        yield from (smooth_case(loss, name) for name in regime_names(LOSSES[loss]))


def test_id_is_read_back() -> None:
    cases = list(all_cases())
    assert len(cases) > 100
    assert [parse_case(case.id) for case in cases] == cases


@pytest.mark.parametrize("dtype", DTYPES)
def test_id_alone_gives_the_same_bytes(dtype: str) -> None:
    for loss in LOSSES:
        for case in draw_cases(loss, QUICK):
            fill.cache_clear()
            first, second = fill(case, dtype), fill(parse_case(case.id), dtype)
            fill.cache_clear()
            third = fill(parse_case(case.id), dtype)
            assert third is not first
            for other in (second, third):
                assert other.prediction.tobytes() == first.prediction.tobytes()
                assert other.target.tobytes() == first.target.tobytes() and (other.labels == first.labels).all()


def test_cases_of_one_loss_differ() -> None:
    cases = draw_cases(SPARSE, DEFAULT)
    predictions = [fill(case, "float32").prediction.tobytes() for case in cases]
    assert len(set(predictions)) == len(cases) == len({case.id for case in cases})


def test_another_key_gives_other_numbers() -> None:
    first, second = (fill(Case(SPARSE, 9, 5, "rowwise", ("normal",), key), "float32").prediction for key in ("00", "01"))
    assert (first != second).all()


ID = f"{SPARSE}/7x3/rowwise/normal+ties/00ff"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        ID.replace(SPARSE, "hinge"),
        ID.replace("7x3", "7"),
        ID.replace("7x3", "7x3x2"),
        ID.replace("7x3", "0x3"),
        ID.replace("7x3", "7x-3"),
        ID.replace("7x3", "7_0x3"),
        ID.replace("rowwise", "diagonal"),
        ID.replace("ties", "knots"),
        ID.replace("normal+ties", ""),
        ID.replace("00ff", ""),
        ID.replace("00ff", "zz"),
        ID.replace("00ff", "00FF"),
        ID.replace("normal", "uniform"),
        ID + "/more",
        ID + "\n",
    ],
)
def test_malformed_id_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(
        ValueError, match="is not a case id: it must look like sparse_softmax_cross_entropy_with_logits/64x10/"
    ) as caught:
        parse_case(text)
    assert str(caught.value).startswith(repr(text)) and "\n" not in str(caught.value)
    parse_case(ID)


def test_every_loss_meets_every_regime_in_each_shape() -> None:
    for loss, spec in ALONE.items():
        names = set(regime_names(spec))
        for profile in (QUICK, DEFAULT):
            for shape in profile.shapes if loss in FOUNDING_TABLE else profile.shapes_beyond:
                met = [c.regimes for c in draw_cases(loss, profile) if (c.rows, c.classes) == shape]
                rows = [name for regimes in met for name in regimes]
                assert set(rows) == names if shape[0] >= FEWEST else len(met) >= 1
    for loss in LOSSES.keys() - ALONE.keys():
        hidden = draw_cases(loss, QUICK)
        assert {case.regimes for case in hidden if (case.rows, case.classes) == TEN} == {(name,) for name in HIDDEN}


def test_every_case_has_room_for_its_regimes() -> None:
    assert all(len(case.regimes) <= case.rows or case.rows < FEWEST for case in all_cases())


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_sparing_dtypes_are_asked_in_few_shapes_unless_thorough(profile: Profile) -> None:
    sparing, narrow = replace(profile, sparing=("float64",)), [shape for shape in profile.shapes if shape[1] <= MOST_CLASSES]
    assert all(sparing.asks("float32", shape) for shape in profile.shapes)
    assert [shape for shape in profile.shapes if profile.asks("float64", shape)] == narrow
    asked = [shape for shape in narrow if sparing.asks("float64", shape)]
    assert asked == narrow if profile.name == "thorough" else asked == [SMALL, PAIRS, TEN]


def test_few_shapes_are_the_compiled_ones_and_that_of_the_bias() -> None:
    few, night = DEFAULT.in_few_shapes(), PROFILES["thorough"]
    assert few.shapes == (SMALL, PAIRS, TEN, LONG) and few.shapes_beyond == (SMALL, TEN, LONG)
    assert night.in_few_shapes() == night


def test_small_shapes_come_first() -> None:
    sizes = [case.rows * case.classes for case in draw_cases(SPARSE, DEFAULT)]
    assert sizes[0] == min(sizes) and sizes.index(max(sizes)) > sizes.index(2048 * 10)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_is_what_its_case_says(loss: str, dtype: str) -> None:
    spec = LOSSES[loss]
    for case in draw_cases(loss, QUICK):
        batch = fill(case, dtype)
        assert (batch.id, batch.loss, batch.dtype, batch.rows) == (case.id, loss, dtype, case.rows)
        width = features_of(case.classes) if spec.parameters else case.classes
        assert batch.prediction.shape == (case.rows, width) and batch.prediction.dtype == dtype
        assert batch.regimes == tuple(case.regimes[row % len(case.regimes)] for row in range(case.rows))
        assert ((batch.labels >= 0) & (batch.labels < case.classes)).all()
        if spec.target == "index":
            assert batch.target.dtype == np.int64 and (batch.target == batch.labels).all()
        else:
            assert batch.target.dtype == dtype and batch.target.shape == (case.rows, case.classes)


@pytest.mark.parametrize("loss", [loss for loss, spec in LOSSES.items() if spec.target in ("any", "soft")])
@pytest.mark.parametrize("dtype", DTYPES)
def test_targets_are_hard_soft_and_gapped(loss: str, dtype: str) -> None:
    spec = LOSSES[loss]
    smallest = np.finfo(dtype).smallest_normal
    for case in draw_cases(loss, DEFAULT):
        target = fill(case, dtype).target
        assert ((target == 0) | ((target >= smallest) & (target <= 1))).all()
        if spec.has_classes:
            error = np.abs(target.astype(np.float64).sum(-1) - 1)
            assert (error <= case.classes * np.finfo(dtype).eps).all()
    regime = "normal" if spec.prediction in ("logit", "hidden") else "flat" if spec.has_classes else "uniform"
    target = fill(case_of(regime, loss), dtype).target
    hard, soft, gaps, close = (target[np.arange(24) // 3 % 4 == style] for style in range(4))
    assert np.isin(hard, (0, 1)).all()
    assert ((soft > 0) & (soft < 1)).all() and ((close > 0) & (close < 1)).all()
    assert (gaps == 0).any() and ((gaps > 0) & (gaps < 1)).any()


@pytest.mark.parametrize("loss", LOSSES)
def test_layout_changes_the_memory_alone(loss: str) -> None:
    contiguous: dict[str, Batch] = {}
    for layout in LAYOUTS:
        regime = regime_names(LOSSES[loss])[0]
        contiguous[layout] = fill(case_of(regime, loss, layout=layout), "float32")
    flags = {layout: batch.prediction.flags for layout, batch in contiguous.items()}
    assert flags["rowwise"].c_contiguous and not flags["rowwise"].f_contiguous
    assert flags["columnwise"].f_contiguous and not flags["columnwise"].c_contiguous
    assert not flags["strided"].c_contiguous and not flags["strided"].f_contiguous
    assert contiguous["strided"].prediction.strides[-1] == 2 * 4
    assert not any(batch.prediction.flags.writeable or batch.target.flags.writeable for batch in contiguous.values())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_lay_out_keeps_the_numbers(layout: str) -> None:
    array = np.array([[1.0, np.nan, -0.0], [np.inf, 5e-324, -np.inf]])
    assert lay_out(array, layout).tobytes() == array.tobytes() and array.flags.writeable


@pytest.mark.parametrize("loss", [loss for loss, spec in LOSSES.items() if spec.prediction == "logit" and spec.has_classes])
@pytest.mark.parametrize("dtype", DTYPES)
def test_masked_classes_have_no_target(loss: str, dtype: str) -> None:
    batch = fill(case_of(MASKED.name, loss, rows=200), dtype)
    away = np.isneginf(batch.prediction)
    assert away.any() and not away[np.arange(200), batch.labels].any() and not np.isnan(batch.prediction).any()
    if batch.target.ndim == 2:
        assert (batch.target[away] == 0).all()
        assert (np.abs(batch.target.astype(np.float64).sum(-1) - 1) <= 5 * np.finfo(dtype).eps).all()
