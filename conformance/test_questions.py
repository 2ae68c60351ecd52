"""The one test: a question is asked, and fails if its verdict is news."""

import pytest

from conformance.engine import Question
from conformance.plugin import Session
from reports.record import FAILING, Record


def test_question(question: Question, request: pytest.FixtureRequest) -> None:
    """Ask; a defect, a crash and an expectation that no longer holds fail."""
    session = request.config.pluginmanager.get_plugin("crossproof-session")
    assert isinstance(session, Session)
    record = session.ask(question, request.node)
    if record.verdict in FAILING:
        pytest.fail(message(record), pytrace=False)


def message(record: Record) -> str:
    """Return a failure in words: the clause, the case, got, expected, how far off, and how to ask again."""
    finding = record.finding
    head = f"{record.verdict}: {record.clause} {record.api} {record.mode} {record.dtype}"
    if finding is None:
        return f"{head}\n  {record.reason}"
    return (
        f"{head}\n"
        f"  clause    {finding.statement}\n"
        f"  case      prediction {finding.prediction}, target {finding.target} ({finding.regime})\n"
        f"  options   {finding.options or 'none'}\n"
        f"  got       {finding.quantity} {finding.got}\n"
        f"  expected  {finding.expected}\n"
        f"  error     {finding.error_ulp} ulp, {finding.error_over_bound} x bound\n"
        f"  note      {record.reason}\n"
        f"  ask again {finding.command}"
    )
