"""The policy file of one process, by its own clock: looked at once a minute, the last good one kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from remediator import policy
from remediator.domain import InvalidInput, PermissionDenied, TransientError
from remediator.ledger import Ledger
from remediator.ledger.sqlite import SqliteStore
from remediator.policy import Policies
from remediator.workflow.policy_file import Edition, PolicyFile

GOOD = "version: 1\nmode: observe\npolicies: [{name: all, when: {}, do: [], alert: []}]\n"
OTHER = GOOD.replace("name: all", "name: every")


def load(text: str) -> Policies:
    loaded = policy.load(text)
    if loaded.policies is None:
        msg = "it does not load"
        raise InvalidInput(msg)
    return loaded.policies


@dataclass
class Shelf:
    """Where the file lies, and the time that passes."""

    ledger: Ledger
    text: str = GOOD
    generation: int = 1
    reachable: bool = True
    seconds: float = 0.0
    looks: int = 0

    def put(self, text: str) -> None:
        self.text, self.generation = text, self.generation + 1

    def fetch(self) -> tuple[str, str]:
        self.looks += 1
        if not self.reachable:
            msg = "no permission"
            raise PermissionDenied(msg)
        return self.text, str(self.generation)

    def instance(self, read: Callable[[str], Policies] = load) -> PolicyFile:
        return PolicyFile(
            "gs://b/p.yaml", self.fetch, read, lambda: self.ledger, clock=lambda: self.seconds
        )


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(Ledger(SqliteStore(tmp_path / "ledger.sqlite3")))


def names(file: PolicyFile) -> list[str]:
    return [one.name for one in file.policies().policies]


def test_a_change_is_seen_after_a_minute_and_not_before(shelf: Shelf) -> None:
    file = shelf.instance()
    assert names(file) == ["all"]
    shelf.put(OTHER)
    shelf.seconds = 59.0
    assert names(file) == ["all"]
    shelf.seconds = 61.0
    assert names(file) == ["every"]
    assert shelf.looks == 2


@pytest.mark.parametrize("bad", ["", "version: 2", "version: 1\nmode: enforc", "\x00", "!!x [id]"])
def test_a_bad_file_is_not_taken_and_a_mended_one_is(shelf: Shelf, bad: str) -> None:
    file = shelf.instance()
    good = file.policies()
    shelf.put(bad)
    shelf.seconds = 61.0
    assert file.policies() is good
    (told,) = file.news()
    assert told.root.startswith("policies/rejected/2/")
    shelf.put(OTHER)
    shelf.seconds = 122.0
    assert names(file) == ["every"]
    assert [one.root for one in file.news() if "rejected" in one.root] == []


def test_a_file_out_of_reach_leaves_the_one_in_force(shelf: Shelf) -> None:
    file = shelf.instance()
    good, digest = file.policies(), file.digest
    shelf.reachable = False
    shelf.seconds = 61.0
    assert file.policies() is good
    assert file.digest == digest


def test_a_new_instance_has_the_last_good_file_of_another(shelf: Shelf) -> None:
    first = shelf.instance()
    first.policies()
    first.settle()
    shelf.reachable = False
    assert names(shelf.instance()) == ["all"]
    shelf.reachable = True
    shelf.put("version: 2")
    second = shelf.instance()
    assert names(second) == ["all"]
    assert second.digest == first.digest


def test_what_is_remembered_is_checked_again_by_the_rules_of_today(shelf: Shelf) -> None:
    first = shelf.instance()
    first.policies()
    first.settle()
    shelf.reachable = False

    def stricter(text: str) -> Policies:
        msg = f"today this is a mistake: {text[:10]}"
        raise InvalidInput(msg)

    with pytest.raises(TransientError, match="no earlier one is known"):
        shelf.instance(stricter).policies()


def test_none_ever_is_to_come_again(shelf: Shelf) -> None:
    shelf.reachable = False
    with pytest.raises(TransientError, match="cannot be read"):
        shelf.instance().policies()


def test_an_older_instance_does_not_take_what_is_remembered_back(shelf: Shelf) -> None:
    old = shelf.instance()
    old.policies()
    old.settle()
    shelf.put(OTHER)
    new = shelf.instance()
    new.policies()
    (told,) = new.news()
    assert told.root.startswith("policies/changed/2/")
    new.settle()
    assert new.news() == ()
    assert old.news() == ()  # it has yet to look again
    old.settle()
    assert shelf.instance().news() == ()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("a" * 800_000, True, id="plain"),
        pytest.param("\u00e9" * 140_000, True, id="accents-that-fit"),
        pytest.param("\u00e9" * 300_000, False, id="accents"),
        pytest.param("\U0001f600" * 100_000, False, id="faces"),
        pytest.param('"' * 500_000, False, id="quotation-marks"),
    ],
)
def test_what_is_remembered_fits_into_a_document_once_escaped(text: str, kept: bool) -> None:
    note = Edition.of("gs://ops/policies.yaml", "1", text).to_json()
    assert bool(note["text"]) is kept
    assert len(json.dumps(note).encode()) < 1_048_487  # Firestore's limit of an unindexed text
