"""What a log says, one thing at a time: a plain line, or a traceback with its chain of exceptions.

Owns `LogItem` and `Raised`, and the traceback that is still being read: which exception caused which, and
whose frames they stand in. `writer_reader` feeds it the lines. Pure.
"""

from __future__ import annotations

import re

from msgspec import Struct, field
from msgspec.structs import replace

from remediator.case import LogLine
from remediator.diagnosis.stack_frames import (
    STARTS_A_DEVICE,
    WAITING_FRAME,
    function_words,
    is_compiled,
    is_own,
)
from remediator.domain import Frame
from remediator.domain.late_pattern import late_pattern

MESSAGE_CHARS = 4_000  # chosen
_FRAMES = 400  # of one traceback that are kept; chosen


class Raised(Struct, frozen=True):
    """One exception: the name as printed, its message, and the frame that a person would look at.

    `depth` is 0 for the exception that ended the traceback, 1 for what caused it, and so on;
    `handled` where it was only being handled when the next was raised.
    """

    name: str
    message: str
    depth: int = 0
    handled: bool = False
    below: str = ""
    """The functions below the last frame of the user's own, `folder/module.function` each, divided by blanks."""
    call: str = ""
    """The line of source of the user's own that called what raised it; of a library's assertion, the assertion."""
    line: LogLine | None = None
    """The entry in which it stands; None where only the traceback's is known."""

    @property
    def text(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name


class LogItem(Struct, frozen=True):
    """One thing that the log says: a plain line, or a traceback with its chain of exceptions.

    `line` is the entry in which it begins (a traceback: where its last exception stands). `raised`
    is empty for a plain line; the exception that ended a traceback comes first.
    """

    line: LogLine
    text: str
    raised: tuple[Raised, ...] = ()
    frame: Frame | None = None
    traced: bool = False
    """It came with frames: not a mere mention of an exception."""
    lead: str = ""
    """The line before it in the same entry: what the logger was told to say of it."""
    stood_in: str = ""
    """Of a program that was stopped from outside: `network` or `code`, by the frames it stood in."""
    cut_in: str | None = None
    """Of a traceback that was cut off before its exception: its innermost frame and call; None: it is whole."""


# What is raised in a program that is stopped from outside, wherever it stands.
_STOPPED = late_pattern(
    r"(?:^|\.)(?:SystemExit|KeyboardInterrupt|SoftTimeLimitExceeded|TimeLimitExceeded|WorkerTimeout|GreenletExit)$"
)
# A handler of SIGTERM, by its name or by what it raises: its frame stands upon the one that it interrupted.
_HANDLER = late_pattern(
    r"(?:^|[._])(?:on|handle|sig)_?term(?:inate)?$|sigterm|term(?:inate)?_handler$",
    re.IGNORECASE,
)
_ANY_HANDLER = late_pattern(r"signal|handle|interrupt|shutdown|stop|exit|quit", re.IGNORECASE)
_TELLS_SIGTERM = late_pattern(
    r"\bSIGTERM\b|\bsignal:? (?:15|TERM)\b|Signals\.SIGTERM", re.IGNORECASE
)
_CALLED = 12  # frames below the user's own call that are kept; chosen
_HANDLED = 2  # frames: the handler's, and the one that it interrupted
_INNERMOST = 15  # frames in which a program that is stopped shows whether it waits; chosen


class OpenTrace(Struct):
    """A traceback that is being read."""

    raised: list[Raised] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    """The line of source under each of the frames; empty where none was told."""
    own: Frame | None = None
    deepest: Frame | None = None
    called: str = ""
    """The line of source under the innermost frame."""
    stood_in: str = ""
    lead: str = ""
    last: LogLine | None = None
    after_frame: bool = False
    padded: bool = False
    newest: int = -1
    message_lines: int = -1  # -1: its exception has not come yet
    foreign: int = 0
    rich: bool = False
    ipython: bool = False
    nested: bool = False
    fatal: bool = False
    asked_to_end: bool = False
    """A handler of SIGTERM raised what ended it."""
    ignored: bool = False
    """The interpreter says that it ignored it, as it does with what a destructor raises."""
    message_goes_on: int = 0
    """How many lines of its message may follow that are not indented."""

    def frame(self, found: Frame) -> None:
        if len(self.frames) < _FRAMES:
            self.frames.append(found)
            self.sources.append("")
        self.called = ""

    def quotes(self, source: str) -> None:
        """The line of source under the frame that was read last; only the first such line counts."""
        if not self.called:
            self.called = source
            if self.sources:
                self.sources[-1] = source

    def ends_with(self, name: str, message: str) -> None:
        """An exception line: what was raised before it becomes its cause, or was being handled."""
        if self.nested:
            self.caused_by(name, message)
            self.nested = False
        else:
            self.raised.append(Raised(name, message, line=self.last))
            self.newest = len(self.raised) - 1
        self.places()
        self.frames, self.sources = [], []
        self.message_lines = 0

    def places(self) -> None:
        """Where the frames read so far stand: the user's own, and the innermost."""
        own = [one for one in self.frames if is_own(one.file) and not is_compiled(one)]
        if self._in_handler():
            self.asked_to_end = True
            self.frames.pop()
            self.sources.pop()
            own = [one for one in own if one is not own[-1]]
            self.called = self.sources[-1]
        # The exception that ended it speaks of its own frames; a chain's older ones are the fallback.
        if own:
            self.own = own[0] if self.fatal else own[-1]
        if self.frames:
            self.deepest = self.frames[0 if self.fatal else -1]
            innermost = self.frames[:_INNERMOST] if self.fatal else self.frames[-_INNERMOST:]
            waits = any(WAITING_FRAME.search(f"{one.file} {one.function}") for one in innermost)
            self.stood_in = "network" if waits else "code"
            last = max(
                (i for i, one in enumerate(self.frames) if own and one is own[-1]), default=-1
            )
            newest = self.raised[self.newest] if self.raised else None
            if newest is not None and not newest.below and not self.fatal:
                called = self.frames[last + 1 :][-_CALLED:]
                below = " ".join(map(function_words, called))
                call = self.sources[last] if last >= 0 else ""
                if self.called.startswith("assert "):
                    call = self.called
                self.raised[self.newest] = replace(newest, below=below, call=call)

    def _in_handler(self) -> bool:
        """Whether the innermost frame is the handler of a SIGTERM, and the one that it interrupted is known."""
        if self.fatal or len(self.frames) < _HANDLED or not self.raised:
            return False
        innermost, newest = self.frames[-1], self.raised[self.newest]
        if not is_own(innermost.file) or is_compiled(innermost):
            return False
        name = innermost.function or ""
        tells = _TELLS_SIGTERM.search(f"{newest.message} {self.sources[-1]}")
        return bool(_HANDLER.search(name) or (tells and _ANY_HANDLER.search(name)))

    def links(self, *, cause: bool) -> None:
        if self.raised:
            self.raised[-1] = replace(self.raised[-1], handled=not cause)
        self.message_lines = -1

    def goes_on(self, text: str) -> None:
        """A line more of the message of the exception that came last."""
        last = self.raised[self.newest]
        if len(last.message) + len(text) < MESSAGE_CHARS:
            joined = f"{last.message} {text}" if last.message else text
            self.raised[self.newest] = replace(last, message=joined)
        self.message_lines += 1

    def caused_by(self, name: str, message: str) -> None:
        """An exception deeper than all that were read of this chain."""
        self.raised.insert(0, Raised(name, message))
        self.newest, self.message_lines = 0, 0

    def said(self, line: LogLine) -> LogItem | None:
        if self.ignored:
            return None
        cut_in = None
        if not self.raised and (self.frames or STARTS_A_DEVICE.is_in(self.called)):
            # Cut off before its exception: that something was raised is all it says, and where.
            cut_in = self._innermost()
            self.ends_with("Traceback", "")
        if not self.raised:
            return None
        newest = [
            Raised(one.name, one.message, depth, one.handled, one.below, one.call, one.line)
            for depth, one in enumerate(reversed(self.raised))
        ]
        frame = self.own or self.deepest
        traced = frame is not None or self.padded or cut_in is not None
        traced = traced and not self.asked_to_end  # that a handler raises is no fault of the code
        stopped = self.asked_to_end or _STOPPED.search(newest[0].name)
        stood = self.stood_in if stopped else ""
        last = self.last or line
        return LogItem(last, newest[0].text, tuple(newest), frame, traced, self.lead, stood, cut_in)

    def _innermost(self) -> str:
        """The innermost frame in words, with the line of source that stands under it."""
        last = self.frames[-1] if self.frames else None
        frame = f"{last.file} {last.function or ''}".strip() if last else ""
        return ": ".join(filter(None, (frame, self.called)))
