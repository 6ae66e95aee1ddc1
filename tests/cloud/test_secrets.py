"""Secrets are named, never written: what is no name is refused unasked, and not repeated."""

from __future__ import annotations

import pytest

from remediator.cloud.secrets import resolve
from remediator.domain import PermanentError


@pytest.mark.parametrize(
    "reference",
    [
        "https://hooks.slack.com/services/T0/B0/hunter2",
        "hunter2",
        "",
        "env:",
        "env:A B",
        "env:A=hunter2",
        "secret:",
        "secret:../../hunter2",
        "secret:hunter2/versions/1",
        "secret:projects/lab/secrets/hunter2",
        "secret:projects/lab/secrets/a/versions/../hunter2",
        "projects/lab/secrets/a/versions/latest?hunter2",
        "file:/etc/hunter2",
    ],
)
def test_what_names_no_secret_is_refused_and_not_repeated(reference: str) -> None:
    with pytest.raises(PermanentError) as refused:
        resolve(reference, project="lab", environ={})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("value", ["secret:", "secret:a b", "secret:hunter2/x", "secret:secret:a"])
def test_a_variable_that_refers_to_no_secret_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(PermanentError) as refused:
        resolve("env:HOOK", project="lab", environ={"HOOK": value})
    assert "hunter2" not in str(refused.value)


def test_a_variable_is_read_without_its_line_end_and_a_missing_one_is_named() -> None:
    assert resolve("env:HOOK", project="lab", environ={"HOOK": "https://h/x\n"}) == "https://h/x"
    with pytest.raises(PermanentError, match="HOOK is not set"):
        resolve("env:HOOK", project="lab", environ={"HOOK": ""})
