"""What all commands share: an error is a short message, and the exit code says what happened.

===  =====================================================================
0    done
1    could not do it
2    wrong usage: an option, a query or a filter that cannot be meant
130  stopped with Ctrl-C
===  =====================================================================
"""

from __future__ import annotations

import traceback
from typing import Any

import typer
from typer.core import TyperCommand

from mmrank.cli.output import complain
from mmrank.errors import MmrankError, UsageError

COULD_NOT, WRONG_USAGE, STOPPED = 1, 2, 130


class Command(TyperCommand):
    """A command that turns what mmrank refuses into one message on stderr; ``--debug`` adds the traceback.

    Anything that is neither an `MmrankError` nor the operating system's refusal is a bug and keeps its traceback.
    """

    stopped = "Stopped."
    """What Ctrl-C is answered with."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            complain(self.stopped, label="")
            raise typer.Exit(STOPPED) from None
        except (MmrankError, OSError) as error:
            if ctx.params.get("debug"):
                complain(traceback.format_exc(), label="")
            complain(_message(error))
            raise typer.Exit(WRONG_USAGE if isinstance(error, UsageError) else COULD_NOT) from error


def _message(error: MmrankError | OSError) -> str:
    """What the error says; of a refusal of the operating system which file and why, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


class ResumableCommand(Command):
    """A command whose work is kept when it is stopped."""

    stopped = "Stopped. What is done is kept: run the same command again and it goes on from here."
