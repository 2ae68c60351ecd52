"""The end of a run in the terminal."""

from rich.console import Console

from reports.summary import SHOWN, terminal_summary
from tests.reports.synthetic import make_file, make_finding, make_record


def show(*records, **footer) -> str:
    console = Console(width=400, color_system=None)
    with console.capture() as capture:
        console.print(terminal_summary([make_file(*records, **footer)]))
    return capture.get()


def test_a_failure_has_one_grammar():
    assert show(make_record("defect"), make_record("defect", mode="compile"), make_record()).splitlines() == [
        "✗ 2 defect   ✓ 1 conforms",
        "",
        "defect SPARSE-1 float32 eager, compile torch.nn.functional.cross_entropy: "
        "got value 0.0, expected 4.1399376e-08, 1.17e7 ulp, 1.73e7 x bound",
        "  clause: a small loss keeps its digits",
        "  case sparse/plain/2x2/C/confident-right/7f3a: prediction [17.0, 0.0], target 0",
        "  ask again: python crossproof.py run --adapter pytorch -k 'SPARSE-1 and float32'",
    ]


def test_the_worst_comes_first():
    text = show(
        make_record("fixed"), make_record("defect", worst=2.0, api="mild"), make_record("defect", worst="nan", api="worst")
    )
    assert text.index("worst:") < text.index("mild:") < text.index("fixed SPARSE-1")


def test_known_defects_are_counted_by_reason():
    text = show(
        make_record("known defect", reason="a"),
        make_record("known defect", reason="b"),
        make_record("known defect", reason="b"),
    )
    assert text.splitlines()[1:] == ["known defect, 2 x: b", "known defect, 1 x: a"]


def test_undocumented_divergences_are_counted_apart():
    text = show(make_record("undocumented divergence", reason="silent"), make_record("known defect", reason="a"))
    assert text.splitlines() == [
        "! 1 known defect   ≢ 1 undocumented divergence",
        "known defect, 1 x: a",
        "undocumented divergence, 1 x: silent",
    ]


def test_what_is_left_out_is_counted():
    text = show(*(make_record("defect", api=f"api_{number}") for number in range(SHOWN + 7)))
    assert text.count("ask again") == SHOWN and "7 more questions fail" in text


def test_stale_expectations_are_named():
    assert "stale: the expectation entry 3 matches no question" in show(make_record(), stale=["entry 3"])


def test_idle_documented_choices_are_named():
    assert "idle: nll: mean_of_nothing = zero, but no answer shows it" in show(
        make_record(), idle=["nll: mean_of_nothing = zero"]
    )


def test_markup_in_a_record_is_text():
    assert "[red]x[/nonsense]" in show(make_record("crash", finding=make_finding(statement="[red]x[/nonsense]")))


def test_a_crash_without_a_finding_is_told():
    assert "crash SPARSE-1 float32 eager torch.nn.functional.cross_entropy: no finding" in show(
        make_record("crash", finding=None)
    )


def test_nothing_is_said_as_such():
    assert show() == "no question was answered\n"
