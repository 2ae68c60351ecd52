"""A document in the terminal: rendered where a person reads it, as Markdown where a program does, or its data as JSON."""

import errno

import msgspec
from rich.console import Console
from rich.markdown import Markdown

FORMATS = ("text", "markdown", "json")
"""How a document can be printed."""


class Output(Console):
    """Standard output, text as it is."""

    def __init__(self) -> None:
        """Leave out all that rich makes of a text."""
        super().__init__(soft_wrap=True, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> None:
        """Leave it to the command line what a reader that has gone means: rich would end with 1, which is news."""
        raise BrokenPipeError(errno.EPIPE, "the reader has gone")


def print_document(markdown: str, data: object, form: str) -> None:
    """Print a document.

    Args:
        markdown: its text, and ``data`` what it was written from.
        data: what `msgspec.json.encode` takes.
        form: one of `FORMATS`; text is Markdown, rendered in a terminal and as it is in a pipe.

    Raises:
        OSError: standard output cannot be written.
    """
    if form == "json":
        print(msgspec.json.format(msgspec.json.encode(data)).decode(), flush=True)
    elif form == "text" and Output().is_terminal:
        Console().print(Markdown(markdown))
    else:
        print(markdown, end="", flush=True)
