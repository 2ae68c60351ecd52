"""How pytest is run on the questions: in this process, with its arguments refused in one sentence."""

from collections.abc import Generator, Sequence

import pytest

from conformance.run import ROOT


class ArgumentError(Exception):
    """Arguments that pytest does not take; the message is one sentence that says which and what to do."""


class _Watch:
    """A plugin that notes whether the run opened its result file: what stands there otherwise is of an earlier one."""

    has_result = False

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_parse(self) -> Generator[None, pytest.Config | None, pytest.Config | None]:
        """Refuse wrong arguments in one sentence; pytest's own has four lines of usage around it."""
        try:
            return (yield)
        except (pytest.UsageError, ImportError) as error:  # the latter of -p
            reason = str(error).rpartition(": error: ")[2].splitlines()[0]
            raise ArgumentError(
                f"pytest does not take what follows -- ({reason}): `python -m pytest --help` lists its options"
            ) from error

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Ask the run when it is over."""
        session = config.pluginmanager.get_plugin("crossproof-session")
        self.has_result = session is not None and session.writer is not None


def run_pytest(options: Sequence[str], pytest_arguments: Sequence[str]) -> tuple[int, bool]:
    """Run pytest with the options of the suite and those of the user.

    Returns:
        Its exit code, and whether there is a new result file: there is, complete or not, once a question was put.

    Raises:
        ArgumentError: pytest does not take its arguments.
    """
    where = [f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}", "-p", "conformance.plugin"]
    own_watch = "-ofaulthandler_timeout=0"  # the plugin keeps watch
    # What these look after is not used here, and with the many loggers of a framework they cost a millisecond an item.
    unused = [f"-pno:{name}" for name in ("logging", "unraisableexception", "threadexception")]
    watch = _Watch()
    arguments = [*where, own_watch, *unused, *options, "-q", "--no-summary", *pytest_arguments]
    return pytest.main(arguments, plugins=[watch]), watch.has_result
