"""What a publisher's model costs in a batch: US dollars for a million tokens of requests and of answers.

Facts only. Of text, images and video in requests of up to 200,000 tokens: other rates hold beyond that,
for sound and for pictures that the model draws, so whoever asks must leave such requests out. A model that
is not listed has no price, never zero. Called by `catalog` alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from remediator.domain.late_pattern import late_pattern

MOST_PROMPT_TOKENS = 200_000
"""In one request, beyond which some models cost more, documented on the page of `TOKEN_PRICES`."""


class TokenPrice(Struct, frozen=True):
    """US dollars for a million tokens in a batch: of requests, and of answers with their thoughts."""

    prompt: float
    answer: float

    def usd(self, prompt: int, answer: int) -> float:
        return (prompt * self.prompt + answer * self.answer) / 1e6


TOKEN_PRICES: Mapping[str, TokenPrice] = {
    "gemini-2.5-pro": TokenPrice(0.625, 5.0),
    "gemini-2.5-flash": TokenPrice(0.15, 1.25),
    "gemini-2.5-flash-lite": TokenPrice(0.05, 0.20),
    "gemini-2.0-flash": TokenPrice(0.075, 0.30),
    "gemini-2.0-flash-lite": TokenPrice(0.0375, 0.15),
}
"""Half of the online price, which is what a batch costs; documented: Vertex AI's page of prices
(cloud.google.com/vertex-ai/generative-ai/pricing), here by tables that others copied from it between
2025-10 and 2026-03 and that agree with one another; not read on the page itself."""

_VERSION = late_pattern(r"(@.*|-\d{3})$")


def bare_model(name: str) -> str:
    """`publishers/google/models/gemini-2.5-flash-001` as `gemini-2.5-flash`."""
    return _VERSION.sub("", name.rpartition("/")[2])
