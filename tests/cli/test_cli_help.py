"""What --help says, for every command."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

import fastpre
from command_line import call
from fastpre.cli import main
from fastpre.cli.command import Command


def commands() -> dict[str, click.Command]:
    """Every command by the words that call it, the group itself under none."""
    found: dict[str, click.Command] = {}

    def walk(words: tuple[str, ...], command: click.Command) -> None:
        found[" ".join(words)] = command
        if isinstance(command, click.Group):
            ctx = click.Context(command)
            for name in command.list_commands(ctx):
                below = command.get_command(ctx, name)
                assert below is not None
                walk((*words, name), below)

    walk((), main)
    return found


@pytest.mark.parametrize("words", commands())
@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_help_shows_examples_as_they_are_typed(words: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    result = call(*words.split(), "--help")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "\\b" not in result.stdout
    assert "\b" not in result.stdout
    command = commands()[words]
    assert isinstance(command, Command)
    assert any(f"fastpre {words}".strip() in example for example in command.examples)
    first = lines.index("Examples:") + 1
    assert lines[first : first + len(command.examples)] == [f"  {example}" for example in command.examples]


@pytest.mark.parametrize("words", [words for words in commands() if words])
def test_the_short_help_is_a_whole_sentence(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Click cuts longer ones off in the list of commands."""
    monkeypatch.setenv("COLUMNS", "60")
    (line,) = (line for line in call("--help").stdout.splitlines() if line.startswith(f"  {words} "))
    assert line.endswith(".")
    assert not line.endswith("...")


def test_help_documents_the_exit_codes() -> None:
    text = call("--help").stdout
    assert all(f"\n    {code}  " in text for code in (0, 1, 2))
    assert isinstance(main, click.Group)


def test_python_dash_m() -> None:
    done = subprocess.run([sys.executable, "-m", "fastpre", "--version"], capture_output=True, text=True, check=True)
    assert fastpre.__version__ in done.stdout
