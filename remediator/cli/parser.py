"""An argument parser that says which command or option was probably meant. Used by `main`."""

from __future__ import annotations

import argparse
import difflib
from typing import NoReturn


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


def _known(parser: argparse.ArgumentParser) -> list[str]:
    """Every command and option below this parser: argparse has no public way to list them."""
    found: list[str] = []
    for action in parser._actions:  # noqa: SLF001
        found += action.option_strings
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, sub in action.choices.items():
                found += [name, *_known(sub)]
    return list(dict.fromkeys(found))
