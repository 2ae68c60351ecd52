"""Result files made up for the tests, as three frameworks would give them: no framework was asked."""

import random
from pathlib import Path

from msgspec.structs import replace

from reports.record import (
    SPECIFICATION_VERSION,
    BindingInfo,
    CertificateLine,
    ChoicePointInfo,
    ClauseInfo,
    DataKindInfo,
    Finding,
    Footer,
    Header,
    Line,
    Misuse,
    MisuseOutcome,
    Record,
    Signature,
    Verdict,
)
from reports.results import ResultFile, encode

LOSSES = {
    "binary_cross_entropy": ("BINARY", "-t log p - (1 - t) log(1 - p)"),
    "categorical_cross_entropy": ("CATEGORICAL", "-sum_k t_k log p_k"),
    "sparse_categorical_cross_entropy": ("SPARSE-CATEGORICAL", "-log p_j"),
    "sigmoid_cross_entropy_with_logits": ("SIGMOID", "-t log sigmoid(x) - (1 - t) log sigmoid(-x)"),
    "softmax_cross_entropy_with_logits": ("SOFTMAX", "-sum_k t_k log softmax(x)_k"),
    "sparse_softmax_cross_entropy_with_logits": ("SPARSE", "-log softmax(x)_j"),
}
"""Each loss with the prefix of its clauses and its formula."""

APIS = {
    "pytorch": {
        "binary_cross_entropy": ("torch.nn.functional.binary_cross_entropy", "torch.nn.BCELoss"),
        "categorical_cross_entropy": ("torch.nn.functional.cross_entropy over log",),
        "sparse_categorical_cross_entropy": ("torch.nn.functional.nll_loss over log",),
        "sigmoid_cross_entropy_with_logits": (
            "torch.nn.functional.binary_cross_entropy_with_logits",
            "torch.nn.BCEWithLogitsLoss",
            "torch.nn.functional.binary_cross_entropy over sigmoid",
        ),
        "softmax_cross_entropy_with_logits": ("torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss"),
        "sparse_softmax_cross_entropy_with_logits": (
            "torch.nn.functional.cross_entropy",
            "torch.nn.CrossEntropyLoss",
            "torch.nn.functional.nll_loss over log_softmax",
            "torch.log over torch.softmax",
        ),
    },
    "tensorflow": {
        "binary_cross_entropy": ("tf.keras.losses.BinaryCrossentropy", "tf.compat.v1.losses.log_loss"),
        "categorical_cross_entropy": ("tf.keras.losses.CategoricalCrossentropy",),
        "sparse_categorical_cross_entropy": ("tf.keras.losses.SparseCategoricalCrossentropy",),
        "sigmoid_cross_entropy_with_logits": (
            "tf.nn.sigmoid_cross_entropy_with_logits",
            "tf.compat.v1.losses.sigmoid_cross_entropy",
            "tf.keras.losses.BinaryCrossentropy(from_logits=True)",
        ),
        "softmax_cross_entropy_with_logits": (
            "tf.nn.softmax_cross_entropy_with_logits",
            "tf.compat.v1.losses.softmax_cross_entropy",
            "tf.keras.losses.CategoricalCrossentropy(from_logits=True)",
        ),
        "sparse_softmax_cross_entropy_with_logits": (
            "tf.nn.sparse_softmax_cross_entropy_with_logits",
            "tf.compat.v1.losses.sparse_softmax_cross_entropy",
            "tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
        ),
    },
    "jax": {
        "binary_cross_entropy": ("jax.numpy.log composition",),
        "categorical_cross_entropy": ("jax.numpy.log composition",),
        "sparse_categorical_cross_entropy": ("jax.numpy.log composition",),
        "sigmoid_cross_entropy_with_logits": ("optax.losses.sigmoid_binary_cross_entropy", "jax.nn.log_sigmoid"),
        "softmax_cross_entropy_with_logits": (
            "optax.losses.softmax_cross_entropy",
            "optax.losses.safe_softmax_cross_entropy",
            "jax.nn.log_softmax",
        ),
        "sparse_softmax_cross_entropy_with_logits": (
            "optax.losses.softmax_cross_entropy_with_integer_labels",
            "jax.nn.log_softmax",
        ),
    },
}
"""The APIs of each adapter, by loss."""

TITLES = (
    "Value", "Gradient", "Unbiased", "Stable", "Masked class", "Infinite logit", "NaN row", "Certain probability",
    "Signed zero", "Ties", "Single class", "Empty batch", "One-hot", "Two classes", "Shift", "Permutation", "Neighbours",
    "Upstream gradient", "Reductions", "Labels out of range",
)  # fmt: skip

REASONS = (
    (
        "log(1 + s) loses a loss below the roundoff (choice point small_loss: absolute)",
        "https://github.com/example/losses/issues/11752",
    ),
    ("0 * -inf makes NaN in a masked class (choice point masked_class: nan)", "https://github.com/example/losses/issues/52"),
    ("Probabilities are clipped to [1e-7, 1 - 1e-7] (choice point log_of_zero: clip_1e-7)", ""),
)

STATEMENTS = (
    "a small loss keeps its digits",
    "a masked class adds nothing",
    "the gradient is that of the mathematics",
)

REPRODUCER = """import numpy as np
import torch
import torch.nn.functional as F


def value_and_gradient(loss, prediction, target, cotangent=None):
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are
    # a line of about the length that such a line has, of which there are as many as there are

logits = torch.tensor(np.array([[17.0, 0.0]], dtype=np.float32), requires_grad=True)
labels = torch.tensor(np.array([0]))
loss = F.cross_entropy(logits, labels, reduction="none")
loss.sum().backward()
print("got     ", loss.detach().numpy(), logits.grad.numpy())
print("expected", np.array([4.1399376e-08]))
"""


def make_header(adapter: str = "pytorch", **changes: object) -> Header:
    """Return the header of a run of one adapter."""
    apis = APIS.get(adapter, {})
    header = Header(
        suite_version="0.1.0",
        specification_version=SPECIFICATION_VERSION,
        commit="59441285",
        adapter=adapter,
        framework={"pytorch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX"}.get(adapter, adapter),
        versions={adapter: "2.13.0", "numpy": "2.3.1"},
        python="3.11.9",
        platform="Linux-6.8-x86_64",
        processor="AMD EPYC 9V74",
        device="cpu",
        profile="default",
        seed=20240607,
        selection="all",
        questions=20,
        started="2026-01-01T00:00:00Z",
        losses={loss: formula for loss, (_, formula) in LOSSES.items()},
        signatures={
            loss: Signature(prefix, "logit", "index" if "sparse" in loss else "soft", ["class_weight", "label_smoothing"])
            for loss, (prefix, _) in LOSSES.items()
        },
        options={"class_weight": "w_k, of class k", "label_smoothing": "targets become (1 - e) t + e / n"},
        reductions={"none": "every loss", "mean": "their mean"},
        clauses=_make_clauses(),
        bindings=[_make_binding(loss, api) for loss, names in apis.items() for api in names],
        choice_points=_make_choice_points(),
        certificate=[
            CertificateLine(loss, regime, quantity, 4000, 0.4 + len(regime) / 50, "[[0.3, -1.25], 0]")
            for loss in LOSSES
            for quantity in ("value", "gradient")
            for regime in ("normal", "offset", "confident-right", "masked-inf")
        ],
        data_kinds=[],
    )
    return replace(header, **changes)


def _make_clauses() -> list[ClauseInfo]:
    """Return twenty clauses for each loss."""
    return [
        ClauseInfo(
            f"{prefix}-{number}", title, f"{title}: every row of every regime keeps what the mathematics says within its bound."
        )
        for prefix, _ in LOSSES.values()
        for number, title in enumerate(TITLES, 1)
    ]


def _make_choice_points() -> list[ChoicePointInfo]:
    """Return two choice points."""
    return [
        ChoicePointInfo(
            "small_loss", "Does a loss far below one keep its digits?", {"relative": "log1p(s)", "absolute": "log(1 + s)"}
        ),
        ChoicePointInfo("masked_class", "What does a masked class add?", {"zero": "0 log 0 = 0", "nan": "0 * -inf = NaN"}),
    ]


def _make_binding(loss: str, api: str) -> BindingInfo:
    """Return a binding as an adapter declares it."""
    textbook = " over " in api and "softmax" in api
    semantics = {"small_loss": "absolute"} if "softmax" in loss else {"masked_class": "nan"} if "keras" in api else {}
    source = (
        f"def loss(prediction, target, *, reduction):\n    return {api.split(' ')[0]}(prediction, target, reduction=reduction)"
    )
    return BindingInfo(
        loss, api, source, ["reduction"], semantics, "plain", "log_softmax", "https://example.org/docs", textbook,
        composition=textbook, reductions=["none", "mean"], imports=["import torch"],
    )  # fmt: skip


def make_finding(**changes: object) -> Finding:
    """Return the finding of a small loss that is lost."""
    finding = Finding(
        case="sparse/plain/2x2/C/confident-right/7f3a",
        regime="confident-right",
        statement="a small loss keeps its digits",
        quantity="value",
        prediction="[17.0, 0.0]",
        target="0",
        options="",
        got="0.0",
        expected="4.1399376e-08",
        error_ulp=11650844.0,
        error_over_bound=17300000.0,
        command="python crossproof.py run --adapter pytorch -k 'SPARSE-1 and float32'",
        reproducer=REPRODUCER,
    )
    return replace(finding, **changes)


def make_record(verdict: Verdict = "conforms", **changes: object) -> Record:
    """Return the answer to one question."""
    record = Record(
        loss="sparse_softmax_cross_entropy_with_logits",
        api="torch.nn.functional.cross_entropy",
        mode="eager",
        dtype="float32",
        clause="SPARSE-1",
        verdict=verdict,
        rows=4096,
        worst=0.75,
        finding=None if verdict in ("conforms", "unsupported", "not run") else make_finding(),
    )
    return replace(record, **changes)


def make_data_kind(**changes: object) -> DataKindInfo:
    """Return one kind of data."""
    kind = DataKindInfo(
        name="class logits, labels",
        loss="sparse_softmax_cross_entropy_with_logits",
        right="sparse_softmax_cross_entropy_with_logits",
        case="prediction [[17.0, 0.0]], target [0]",
        lesson="Give the labels the shape (N,).",
    )
    return replace(kind, **changes)


def make_misuse(outcome: MisuseOutcome = "silently wrong", **changes: object) -> Misuse:
    """Return what an API does with data that is not its own."""
    misuse = Misuse(
        data="class logits, labels",
        loss="sparse_categorical_cross_entropy",
        api="torch.nn.functional.nll_loss over log",
        outcome=outcome,
        got="[-2.8332133]",
        expected="[4.1399376e-08]",
        factor=-6.84e7,
    )
    return replace(misuse, **changes)


def make_footer(records: int, **changes: object) -> Footer:
    """Return the footer of a run that ended."""
    footer = Footer(records, True, [], [], 4096 * records, 3.2, 31.2, 4.1, 20.5, 58.0)
    return replace(footer, **changes)


def make_file(*records: Record, name: str = "pytorch.jsonl", header: Header | None = None, **footer: object) -> ResultFile:
    """Return a result file of some records, as it is read."""
    return ResultFile(Path(name), header or make_header(), list(records), make_footer(len(records), **footer))


def write_lines(path: Path, *lines: Line) -> Path:
    """Write a result file."""
    path.write_bytes(b"".join(encode(line) + b"\n" for line in lines))
    return path


def make_run(adapter: str, modes: int = 3, news: bool = True) -> ResultFile:
    """Return the result file of a whole run: every API, two dtypes, some modes, twenty clauses, about 60 findings."""
    chance = random.Random(adapter)
    records = []
    for loss, apis in APIS[adapter].items():
        for api in apis:
            for clause in range(1, len(TITLES) + 1):
                records += _answer(chance, loss, api, f"{LOSSES[loss][0]}-{clause}", ("eager", "compile", "vmap")[:modes], news)
    return make_file(*records, name=f"{adapter}.jsonl", header=make_header(adapter, questions=len(records)))


def _answer(chance: random.Random, loss: str, api: str, clause: str, modes: tuple[str, ...], news: bool) -> list[Record]:
    """Return the records of one clause of one API: alike in its modes, and most often in its dtypes."""
    roll = chance.random()
    verdict: Verdict = "known defect" if roll < 0.08 else "documented divergence" if roll < 0.2 else "conforms"
    if news and roll > 0.985:
        verdict = chance.choice(("crash", "defect", "defect", "changed", "fixed"))
    reason, upstream = chance.choice(REASONS) if verdict in ("known defect", "documented divergence") else ("", "")
    statement, worst = chance.choice(STATEMENTS), 10 ** chance.uniform(0.5, 9)
    records = []
    for dtype, got in (("float32", "0.0"), ("float64", "0.0")):
        expected = f"{chance.uniform(1, 9):.8g}e-{'08' if dtype == 'float32' else '17'}"
        finding = make_finding(
            statement=statement, got=got, expected=expected, error_over_bound=worst,
            command=f"python crossproof.py run --adapter pytorch -k '{clause} and {dtype}'",
        )  # fmt: skip
        conforms = verdict == "conforms"
        changes = {
            "worst": chance.random() if conforms else worst,
            "finding": None if conforms else finding,
            "regimes": {} if conforms else {"confident-right": 120, "offset": 33},
            "saturates": "returns 0 from a margin of 16.64" if clause.endswith("-4") and verdict != "conforms" else "",
        }
        for mode in modes:
            records.append(
                make_record(
                    verdict,
                    loss=loss,
                    api=api,
                    clause=clause,
                    dtype=dtype,
                    mode=mode,
                    reason=reason,
                    upstream=upstream,
                    **changes,
                )
            )
    return records
