"""What an API does with data that is not its own: measured, never judged."""

import pytest

from adapters.binding import Binding
from conformance.plugin import Session


def test_misuse(misused: Binding, request: pytest.FixtureRequest) -> None:
    """Measure; whatever comes out is an answer."""
    session = request.config.pluginmanager.get_plugin("crossproof-session")
    assert isinstance(session, Session)
    session.misuse(misused, request.node)
