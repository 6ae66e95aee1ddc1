"""The tokens that a Gemini batch's results say they were billed by, summed up while they are read.

Owns where they stand (`response.usageMetadata`, documented: GenerateContentResponse) and which rows the
plain rate does not hold for. Called by `account`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from remediator.catalog.tokens import MOST_PROMPT_TOKENS
from remediator.job.rows import Tokens

_OTHER_RATES = {"promptTokensDetails": "AUDIO", "candidatesTokensDetails": "IMAGE"}
"""Modalities with rates of their own, by the list in which they stand."""


class TokenCount(Struct):
    """A running sum over the rows with a result."""

    prompt: int = 0
    answer: int = 0
    unpriced: int = 0
    rows: int = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one row with a result; of a custom model, nothing."""
        response = record.get("response")
        if response is None:
            return
        self.rows += 1
        usage = response.get("usageMetadata") if isinstance(response, dict) else None
        prompt = usage.get("promptTokenCount") if isinstance(usage, dict) else None
        if not isinstance(usage, dict) or not isinstance(prompt, int) or _has_other_rate(usage):
            self.unpriced += 1
            return
        self.prompt += prompt
        for name in ("candidatesTokenCount", "thoughtsTokenCount"):
            count = usage.get(name)
            if isinstance(count, int):
                self.answer += count

    def total(self) -> Tokens | None:
        """The sum; None where no row is one of Gemini's that says its tokens."""
        if self.rows == self.unpriced:
            return None
        return Tokens(self.prompt, self.answer, self.unpriced)


def _has_other_rate(usage: Mapping[str, Any]) -> bool:
    prompt = usage["promptTokenCount"]
    if prompt > MOST_PROMPT_TOKENS or usage.get("cachedContentTokenCount"):
        return True
    for name, modality in _OTHER_RATES.items():
        details = usage.get(name)
        if isinstance(details, list) and any(
            isinstance(one, dict) and one.get("modality") == modality for one in details
        ):
            return True
    return False
