"""Errors become one message and the right exit code."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner, Result

from mmrank.cli.command import Command, ResumableCommand
from mmrank.cli.options import Debug
from mmrank.errors import IndexStoreError, MediaError, MissingDependencyError, UsageError


def outcome(error: BaseException, *arguments: str, cls: type[Command] = Command) -> Result:
    """Run a command that ends with `error`."""
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command(cls=cls)
    def fail(debug: Debug = False) -> None:
        raise error

    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("The filter 'x' cannot be used."), 2, "The filter 'x' cannot be used."),
        (IndexStoreError("There is no index at /x."), 1, "There is no index at /x."),
        (MediaError("a.jpg is empty (0 bytes)."), 1, "a.jpg is empty (0 bytes)."),
        (MissingDependencyError("decord2", "decord", "it"), 1, str(MissingDependencyError("decord2", "decord", "it"))),
        (PermissionError(13, "Permission denied", "/etc/x"), 1, "/etc/x: Permission denied"),
        (OSError("no room"), 1, "no room"),
        (IndexStoreError(), 1, "IndexStoreError"),
    ],
)
def test_a_refusal_is_one_message_without_a_traceback(error: Exception, code: int, said: str) -> None:
    result = outcome(error)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr == f"Error: {said}\n"


def test_debug_shows_the_traceback() -> None:
    result = outcome(IndexStoreError("gone"), "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "IndexStoreError: gone" in result.stderr
    assert result.stderr.endswith("Error: gone\n")


def test_a_bug_is_not_dressed_up_as_a_refusal() -> None:
    result = outcome(KeyError("x"))
    assert isinstance(result.exception, KeyError)


def test_a_stop_is_130_and_a_resumable_command_says_that_it_goes_on() -> None:
    assert outcome(KeyboardInterrupt()).exit_code == 130
    result = outcome(KeyboardInterrupt(), cls=ResumableCommand)
    assert result.exit_code == 130
    assert "run the same command again" in result.stderr
    assert "Traceback" not in result.stderr


def test_messages_cannot_repaint_the_terminal() -> None:
    assert "\x1b[2J" not in outcome(MediaError("\x1b[2J.jpg is empty")).stderr
