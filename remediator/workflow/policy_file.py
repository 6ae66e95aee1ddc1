"""A policy file outside the deployment: read when it changes, the last good one kept, changes alerted.

Owns what is in force while the file is bad or out of reach: what this process last took, or what the
ledger remembers of the last file that any instance took. Must not know where the file lies nor how a
file is read: both are handed in. Called by `app`; `reconcile`'s round asks it for news to tell.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator

from msgspec import Struct

from remediator import log
from remediator.alerts import AlertFacts, AlertKind
from remediator.alerts.outbox import Outbox
from remediator.domain import InvalidInput, Json, RemediatorError, TransientError
from remediator.ledger import Ledger
from remediator.log import LogEvent
from remediator.planning import alert_routing
from remediator.policy import Policies
from remediator.workflow.services import Clock, Configuration

NOTE = "policies"
_LOOKS_SECONDS = 60.0  # how often the file is looked at
# Bytes as JSON, escapes and all; the body of a document of the ledger may have 1 MiB less 89 bytes.
_LONGEST_REMEMBERED = 900_000
_LINES_SHOWN = 30
_MISTAKES_SHOWN = 5


def digest_of(text: bytes) -> str:
    """16 hex digits of the SHA-256 of a policy file, by which two instances know that theirs is one."""
    return hashlib.sha256(text).hexdigest()[:16]


class Edition(Struct, frozen=True):
    """The file as it once stood. `generation` is the object's, or the secret's version; both grow."""

    name: str
    generation: str
    digest: str
    text: str

    @classmethod
    def of(cls, name: str, generation: str, text: str) -> Edition:
        """An edition as it was read."""
        return cls(name, generation, digest_of(text.encode()), text)

    @classmethod
    def parse(cls, note: Json) -> Edition:
        """What `to_json` wrote; the text of a long one is empty."""
        return cls(*(str(note.get(key) or "") for key in ("name", "generation", "digest", "text")))

    @property
    def order(self) -> int:
        return int(self.generation) if self.generation.isdigit() else 0

    def __str__(self) -> str:
        return f"{self.name}, generation {self.generation}, sha256 {self.digest}"

    def to_json(self) -> dict[str, str]:
        return {
            "name": self.name,
            "generation": self.generation,
            "digest": self.digest,
            "text": self.text if len(json.dumps(self.text)) <= _LONGEST_REMEMBERED else "",
        }


class _Rejected(Struct, frozen=True):
    edition: Edition
    why: str


class PolicyFile:
    """The policies of one file. `fetch` gives its text and generation, `load` checks a text.

    `load` raises InvalidInput for a bad text and binds a good one by the deployment's ceilings.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[], tuple[str, str]],
        load: Callable[[str], Policies],
        ledger: Callable[[], Ledger],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._load = load
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._held: tuple[Edition, Policies] | None = None
        self._rejected: _Rejected | None = None
        self._looked = 0.0

    def policies(self) -> Policies:
        """The policies in force, looked at once a minute; TransientError where there never were any."""
        with self._lock:
            if self._held is None or self._clock() - self._looked >= _LOOKS_SECONDS:
                self._refresh()
                self._looked = self._clock()
            if self._held is None:
                msg = f"the policy file {self._name} cannot be read, and no earlier one is known"
                raise TransientError(msg)
            return self._held[1]

    @property
    def digest(self) -> str:
        """Of the edition in force; empty while there is none."""
        with self._lock:
            return self._held[0].digest if self._held is not None else ""

    def _refresh(self) -> None:
        try:
            text, generation = self._fetch()
        except RemediatorError as err:
            log.say(
                "ERROR",
                LogEvent.POLICY_FILE_UNREADABLE,
                f"the policy file {self._name} cannot be read: {err}",
            )
            self._recall()
            return
        edition = Edition.of(self._name, generation, text)
        if self._held is not None and self._held[0] == edition:
            self._rejected = None
            return
        if self._rejected is not None and self._rejected.edition == edition:
            return
        try:
            self._held = (edition, self._load(text))
        except InvalidInput as err:
            log.say(
                "ERROR",
                LogEvent.POLICY_FILE_REJECTED,
                f"the policy file is rejected ({edition}): {err}",
            )
            self._rejected = _Rejected(edition, str(err))
            self._recall()
        else:
            log.say("INFO", LogEvent.POLICY_FILE_LOADED, f"policy file: {edition}")
            self._rejected = None

    def _recall(self) -> None:
        """Where this process has taken no file yet: the last good one that the ledger remembers.

        It is checked and bound like any other, since ceilings and rules may be newer than it is.
        """
        if self._held is not None:
            return
        try:
            known = self._remembered()
            if known is not None and known.text:
                self._held = (known, self._load(known.text))
                log.say(
                    "WARNING",
                    LogEvent.POLICY_FILE_FALLBACK,
                    f"the last good policy file is in force: {known}",
                )
        except RemediatorError as err:
            log.say(
                "ERROR",
                LogEvent.POLICY_FILE_NO_FALLBACK,
                f"no earlier policy file can be used: {err}",
            )

    def _remembered(self) -> Edition | None:
        note = self._ledger().note(NOTE)
        known = Edition.parse(note) if note else None
        return known if known is not None and known.name == self._name else None

    def news(self) -> tuple[AlertFacts, ...]:
        """What people should hear of the file; enqueued once, however many instances say it.

        The first file ever is no change. Call `settle` when what is told here stands in the outbox.
        """
        with self._lock:
            held, rejected = self._held, self._rejected
        known = self._remembered()
        found = []
        if held is not None and known is not None and _is_newer(held[0], known):
            found.append(_facts("changed", held[0], _changed(known, held[0])))
        if held is not None and rejected is not None:
            mistakes = rejected.why.split("; ")
            lines = [f"not taken: {rejected.edition}", *_cut(mistakes, _MISTAKES_SHOWN)]
            lines.append(f"still in force: {held[0]}")
            found.append(_facts("rejected", rejected.edition, lines, mistakes=len(mistakes)))
        return tuple(found)

    def settle(self) -> None:
        """Remember what is in force, for news and for instances that start on a bad file."""
        with self._lock:
            held = self._held
        if held is None:
            return
        known = self._remembered()
        if known is None or held[0].order > known.order:
            self._ledger().write_note(NOTE, held[0].to_json())


def _is_newer(edition: Edition, known: Edition) -> bool:
    """Not merely the same text put there again, and not an instance that has yet to look again."""
    return edition.digest != known.digest and edition.order > known.order


def _facts(what: str, edition: Edition, lines: list[str], *, mistakes: int = 0) -> AlertFacts:
    return AlertFacts(
        kind=AlertKind.POLICY_CHANGED,
        count=mistakes,
        root=f"policies/{what}/{edition.generation}/{edition.digest}",
        extra=tuple(lines),
    )


def _changed(before: Edition, after: Edition) -> list[str]:
    head = [f"now: {after}", f"before: {before}"]
    if not before.text:
        return [*head, "the earlier file was too long to be kept: no difference can be shown"]
    return head + _cut(list(_differences(before.text, after.text)), _LINES_SHOWN)


def _differences(before: str, after: str) -> Iterator[str]:
    """Lines that went and came, each with its number in the file that it stands in."""
    old, new = before.splitlines(), after.splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if kind != "equal":
            yield from (f"-{n + 1}: {old[n].strip()}" for n in range(old_start, old_end))
            yield from (f"+{n + 1}: {new[n].strip()}" for n in range(new_start, new_end))


def _cut(lines: list[str], most: int) -> list[str]:
    left = len(lines) - most
    return lines[:most] + ([f"and {left} more"] if left > 0 else [])


def alert_changes(file: PolicyFile, config: Configuration, outbox: Outbox, clock: Clock) -> None:
    """Enqueue what people should hear of the file for every channel in use; a fault waits a round."""
    try:
        channels = alert_routing.all_channels(config.policies())
        for facts in file.news():
            outbox.enqueue(facts, channels, clock())
        file.settle()
    except RemediatorError as err:  # the round goes on: it meets the same fault, or none
        log.say(
            "WARNING",
            LogEvent.POLICY_FILE_NEWS_POSTPONED,
            f"a change of the policy file is alerted in a later round: {err}",
        )
