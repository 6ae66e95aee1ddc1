"""What became of a policy file: the policies, where nothing is an error, and every mistake with its place.

Made by `language` from a text, and by `compiled` from what it had been read as. Needs neither YAML nor
pydantic.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from remediator.domain import RemediatorError
from remediator.policy.model import Policies


class Mistake(msgspec.Struct, frozen=True, order=True):
    """What is wrong, and where: line and column count from 1."""

    line: int
    column: int
    severity: Literal["error", "warning"]
    message: str

    def render(self, filename: str) -> str:
        """`FILE:LINE:COLUMN: error: MESSAGE`."""
        return f"{filename}:{self.line}:{self.column}: {self.severity}: {self.message}"


class Unloadable(RemediatorError):
    """A policy file with errors in it; the message names each with its place."""


class Loaded(msgspec.Struct, frozen=True):
    """What became of a file: the policies where nothing is an error, and every mistake, in order."""

    policies: Policies | None
    mistakes: tuple[Mistake, ...]
    filename: str = "policies.yaml"

    @property
    def errors(self) -> tuple[Mistake, ...]:
        return tuple(m for m in self.mistakes if m.severity == "error")

    def render(self) -> str:
        """A line for each mistake, as `validate` prints them; empty where there is none."""
        return "\n".join(mistake.render(self.filename) for mistake in self.mistakes)

    @property
    def count_words(self) -> str:
        """`2 errors and 1 warning: it does not load`; `1 warning: it loads`."""
        errors, every = len(self.errors), len(self.mistakes)
        counts = {"error": errors, "warning": every - errors}
        words = [f"{n} {what}{'s' * (n != 1)}" for what, n in counts.items() if n]
        return f"{' and '.join(words)}: it {'does not load' if errors else 'loads'}"

    def require(self) -> Policies:
        """The policies; raises Unloadable naming every error."""
        if self.policies is None:
            raise Unloadable("\n".join(m.render(self.filename) for m in self.errors))
        return self.policies
