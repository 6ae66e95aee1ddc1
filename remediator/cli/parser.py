"""The argument parser: it says what was probably meant, and lists its commands under headings.

Used by `commands`, which says what there is to parse.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
from collections.abc import Callable, Sequence
from typing import NoReturn

from remediator.cli.options import add_json

Run = Callable[[argparse.Namespace], int]
"""Carries a command out, and answers the exit code."""


def lazy(module: str, function: str) -> Run:
    """The function of a command's module, imported when it is called."""

    def run(args: argparse.Namespace) -> int:
        found = importlib.import_module(f"remediator.cli.{module}")
        code: int = getattr(found, function)(args)
        return code

    return run


class Parser(argparse.ArgumentParser):
    """An argument parser that says which command or option was probably meant."""

    def error(self, message: str) -> NoReturn:
        quoted = message.split("'")[1::2][:1]
        typed = quoted or message.partition(": ")[2].split()[:1]
        for word in typed:
            near = difflib.get_close_matches(word.partition("=")[0], _known(self), n=1, cutoff=0.6)
            if near and near[0] != word:
                message = f"{message.partition(' (choose from')[0]}; did you mean {near[0]!r}?"
        super().error(message)


class Unparsed(Exception):
    """What was written is not understood by a parser that knows some of the commands."""


class PartialParser(Parser):
    """A parser that may lack commands, so what is wrong is for another to tell."""

    def error(self, message: str) -> NoReturn:
        raise Unparsed(message)


def _known(parser: argparse.ArgumentParser) -> list[str]:
    """Every command and option below this parser: argparse has no public way to list them."""
    found: list[str] = []
    for action in parser._actions:  # noqa: SLF001
        found += action.option_strings
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, sub in action.choices.items():
                found += [name, *_known(sub)]
    return list(dict.fromkeys(found))


class Commands:
    """The commands of a parser as they are added, and what `--help` says of each under its heading."""

    def __init__(self, parser: Parser) -> None:
        self._commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        self._lines: list[str] = []
        self.names: set[str] = set()

    def begin(self, heading: str) -> None:
        """The commands that follow stand under this heading."""
        self._lines += ["", f"{heading}:"]

    def command(
        self, name: str, run: Run, summary: str, *, as_json: bool = False
    ) -> argparse.ArgumentParser:
        """A command that `run` carries out; `as_json`: it can print its result as JSON."""
        sub = self._add(name, summary)
        sub.set_defaults(run=run)
        if as_json:
            add_json(sub)
        return sub

    def family(self, name: str, summary: str) -> argparse._SubParsersAction[Parser]:
        """A command that has commands of its own."""
        sub = self._add(name, summary)
        return sub.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")

    def listed(self) -> str:
        """Headings and commands, for the end of the page of help."""
        return "\n".join(self._lines[1:])

    def _add(self, name: str, summary: str) -> Parser:
        self.names.add(name)
        self._lines.append(f"  {name:<14}{summary}")
        return self._commands.add_parser(name, description=_sentence(summary))


Add = Callable[[Commands], None]
"""Adds a command, or a family of commands, with its options."""


def add_member(
    family: argparse._SubParsersAction[Parser], name: str, run: Run, summary: str
) -> Parser:
    """A command of a family of commands."""
    sub = family.add_parser(name, help=summary, description=_sentence(summary))
    sub.set_defaults(run=run)
    return sub


def with_show(words: Sequence[str]) -> Sequence[str]:
    """`catalog TYPE` is `catalog show TYPE`: the family has no other command."""
    is_type = len(words) == 2 or (len(words) > 2 and words[2].startswith("-"))  # noqa: PLR2004
    if list(words[:1]) == ["catalog"] and is_type and words[1] != "show" and words[1][:1] != "-":
        return ["catalog", "show", *words[1:]]
    return words


def _sentence(summary: str) -> str:
    return f"{summary[:1].upper()}{summary[1:]}."
