"""One writer's lines as what it said: tracebacks as one thing each, and the lines between them.

Owns the grammar of what runtimes print when they fail: which lines are the exception, which are frames and
source code (`stack_frames`), and how a chain of exceptions hangs together. Source lines and frames are never
evidence ("raise RuntimeError(", "timeout=30"); the exceptions are, and the last frame in the user's own code
says where. One pass, linear in the text. Pure; called by `structure`, which tells the writers of a log apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from remediator.case import LogLine
from remediator.diagnosis.open_trace import MESSAGE_CHARS, LogItem, OpenTrace, Raised
from remediator.diagnosis.runtimes import Headed, headed, is_ruby_frame, item_of
from remediator.diagnosis.stack_frames import (
    DOTNET_FRAME,
    FRAME,
    IPYTHON_FRAME,
    JAVA_FRAME,
    MARKERS,
    NODE_FRAME,
    NODE_SOURCE,
    NOT_OWN_JAVA,
    NUMBERED,
    RICH_FRAME,
    STARTS_A_DEVICE,
    frame_of,
    is_frame,
    is_native,
)
from remediator.domain import Frame
from remediator.domain.late_pattern import late_pattern

# A frame in a dump of stacks, which is no traceback: the program went on. Documented: faulthandler in Python's library
# reference; a traceback writes a comma before "in".
_DUMPED = late_pattern(r"\s{1,8}File \"[^\"]{1,400}\", line \d{1,9} in \S")
# A traceback that is still open takes so many lines of other writers between its own.
_FOREIGN = 40  # chosen
# Lines and characters of an exception's message after its first line.
_MESSAGE_LINES = 400  # chosen
_MESSAGE_SECONDS = 0.5  # between lines that were written at one go; chosen
_HEAD = 300  # characters; chosen
_LINE = 8_000  # characters of a line that are read; chosen
_CALL = 200  # characters of a line of source that are kept; chosen
_DOTNET_MESSAGE = 3  # lines of a .NET message below its head, which are not indented; chosen
_TRACEBACK = late_pattern(r"Traceback \(most recent call last\)")
_EXCEPTION = late_pattern(
    r"^(?P<name>(?:[A-Za-z_][\w]{0,80}\.){0,12}[A-Za-z_][\w]{0,80})(?:(?: \[[\w ]{1,40}\])?:(?:\s(?P<message>.*))?)?$",
    re.DOTALL,
)
_OUTDENTED = late_pattern(r"^ [A-Za-z_][\w.]{0,200}(?:Error|Exception|Warning|Exit|Interrupt)\b")
_LEVELS = frozenset(
    {"DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL", "NOTE"}
)
_LINK = late_pattern(
    r"^[\s|]*(?:During handling of the above exception|(?P<cause>The above exception was the direct cause))"
)
_NEW_RECORD = late_pattern(
    r"^(?:\[?\d{4}[-/]\d\d[-/]\d\d|\[?\d\d:\d\d:\d\d|\[?(?:DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b|[IWEF]\d{4} \d\d:|\d{2}/\d{2}/\d{2} |\{\"|[\w.-]{1,40}: (?:ERROR|WARN(?:ING)?|INFO|CRITICAL|FATAL)\b)"
)
_JAVA_HEAD = late_pattern(
    r"^(?P<link>\s*Caused by: |\s*Suppressed: |Exception in thread \"[^\"]{0,200}\" |.{0,200}?(?=\b(?:[A-Za-z]\w{0,60}\.){1,10}[A-Z]\w{0,80}(?:Exception|Error|Throwable)\b))"
    r"(?P<name>(?:[a-zA-Z_$][\w$]{0,60}\.){1,12}[A-Z][\w$]{0,100})(?::\s(?P<message>.*))?$",
    re.DOTALL,
)
# What an exception was caused by: Java's chain, .NET's inner exception.
_INNER = late_pattern(r"^\s*(?:Caused by: |Suppressed: |---> )(?P<rest>.*)$", re.DOTALL)
_RICH = late_pattern(r"^\s*[╭│╰├][\s─│❱╭╰├╮╯]?")
# A compiler's message: the source that it means follows, indented, with a mark below.
_COMPILER = late_pattern(
    r"^\S{1,300}[:(]\d{1,7}(?:[:,]\d{1,5})?[:)]:? (?:fatal )?(?:error|warning|note)\b"
)
_IGNORED = "Exception ignored in"
_NAMED_RAISED = late_pattern(r"^[A-Za-z_][\w.]{0,200}(?:Error|Exception|Warning|Exit|Interrupt)\b")
_XTRACE = late_pattern(r"^\+{1,6} (?:[\w./$-]|\[|\()")


class WriterReader:
    """Reads one writer's lines (a task's rank); open tracebacks live between entries."""

    def __init__(self) -> None:
        self.open: OpenTrace | None = None
        self.drop_until_caret = 0
        self.quotes_source = False
        self.java: OpenTrace | None = None
        self.prefix: re.Pattern[str] | None = None
        self.previous: LogItem | None = None
        self.headed: Headed | None = None
        self.ignores = False

    # A line is either taken into a traceback, or given back as plain text, or dropped.
    def read(self, line: LogLine, text: str) -> Iterator[LogItem]:
        held = self.open
        if held is not None and self.prefix is not None:
            head = self.prefix.match(text)
            text = text[head.end() :] if head else text
        if held is not None:
            taken, finished = self._continue(held, line, text)
            if finished is not None:
                yield finished
            if finished is not None or (not taken and held.message_lines >= 0):
                self.open = None  # what the interpreter ignored is over, too, and says nothing
            if taken:
                return
        if self.headed is not None and not self.headed.takes(text):
            yield item_of(self.headed)
            self.headed = None
        if self._is_ignored(text):
            return
        self.headed = self.headed or headed(line, text, self._lead(line))
        if self.headed is not None:
            return
        for said in self._plain(line, text):
            self.previous = said
            yield said

    def _is_ignored(self, text: str) -> bool:
        """Whether the line announces what the interpreter could not raise anywhere, which ended nothing, or is
        it, where it comes without frames."""
        if text.startswith(_IGNORED):
            self.ignores = True
            return True
        if self.ignores and not _TRACEBACK.search(text):
            self.ignores = False
            return _NAMED_RAISED.match(text) is not None
        return False

    @property
    def is_whole(self) -> bool:
        """What is open has its exception: where its entry ends, it ends too."""
        return (
            self.java is not None
            or self.headed is not None
            or (self.open is not None and self.open.message_lines >= 0)
        )

    def _lead(self, line: LogLine) -> str:
        """The line before in the same entry."""
        held = self.previous
        return held.text if held is not None and held.line is line and not held.raised else ""

    def finish(self, line: LogLine) -> Iterator[LogItem]:
        for held in (self.open, self.java):
            if held is not None:
                found = held.said(line)
                if found is not None:
                    yield found
        self.open = self.java = None
        if self.headed is not None:
            yield item_of(self.headed)
            self.headed = None

    def _begin(self, line: LogLine, *, rich: bool = False, ipython: bool = False) -> None:
        self.open = OpenTrace(last=line, rich=rich, ipython=ipython, lead=self._lead(line))
        self.open.ignored, self.ignores = self.ignores, False

    def _continue(self, held: OpenTrace, line: LogLine, text: str) -> tuple[bool, LogItem | None]:  # noqa: C901, PLR0912  # one grammar
        """(whether the line belongs to the traceback, the traceback where it is over)."""
        stripped = text.strip()
        if held.message_lines >= 0:
            return (
                (False, held.said(line))
                if _is_over(held, text)
                else self._message(held, line, text)
            )
        if not stripped:
            return True, None
        if held.rich and _RICH.match(text):
            found = RICH_FRAME.match(text)
            if found:
                held.frame(Frame(found["file"], int(found["line"]), found["function"]))
            return True, None
        frame = FRAME.match(text)
        if frame:
            held.padded = bool(frame["pad"])
            held.frame(frame_of(frame))
            held.after_frame = True
            return True, None
        if _TRACEBACK.search(text):
            return True, None
        if MARKERS.match(text):
            return True, None
        if held.ipython:
            cell = IPYTHON_FRAME.match(stripped)
            if cell:
                number = cell["line"] or cell["cell"] or "0"
                held.frame(Frame(cell["file"], int(number), cell["function"]))
                return True, None
            if NUMBERED.match(text):
                return True, None
        indented = text[:1] in " \t|"
        if held.after_frame and (indented if held.padded else True) and not _OUTDENTED.match(text):
            held.after_frame = held.padded  # without indentation one line of source follows
            held.quotes(stripped[:_CALL])
            return True, None
        held.after_frame = False
        if indented and not held.frames and STARTS_A_DEVICE.is_in(stripped[:_CALL]):
            held.called = stripped[:_CALL]  # the line of its frame was lost
            return True, None
        found = _EXCEPTION.match(stripped.lstrip("|+ "))
        # A logger may put a blank before the last line; source code stands further in than its frame.
        outdented = found and held.frames and _OUTDENTED.match(text)
        if indented and held.padded and not outdented and not text.lstrip().startswith("+"):
            return True, None
        if (
            found
            and found["name"].upper() not in _LEVELS
            and (held.frames or held.rich or (held.raised and not held.foreign))
        ):
            held.last = line
            held.ends_with(found["name"], (found["message"] or "").strip())
            return True, None
        held.foreign += 1
        if held.foreign > _FOREIGN:
            self.open = None
            return False, held.said(line)
        return False, None

    def _message(self, held: OpenTrace, line: LogLine, text: str) -> tuple[bool, LogItem | None]:
        """As `_continue`, once the exception has been read: its message may go on, or a chain."""
        stripped = text.strip()
        link = _LINK.match(text)
        if link:
            held.links(cause=bool(link["cause"]))
            return True, None
        if not stripped:
            return True, None
        near = _near(held.last, line) and _of_one_stream(held.last, line)
        if _TRACEBACK.search(text):
            if near and not _NEW_RECORD.match(stripped):
                # What a worker raised, quoted in the message of who heard of it.
                held.nested, held.message_lines = True, -1
                return True, None
            return False, held.said(line)
        if near and held.message_lines < _MESSAGE_LINES and not _NEW_RECORD.match(stripped):
            if frame := FRAME.match(text):
                held.frame(frame_of(frame))
                held.places()
                return True, None
            if is_frame(text) or MARKERS.match(text) or _STACK_OF.match(text):
                return True, None
            java = _JAVA_HEAD.match(stripped)
            if java and (stripped.startswith((": ", "Caused by: "))):
                held.caused_by(java["name"], (java["message"] or "").strip())
                return True, None
            if java or _NEXT_HEAD.match(stripped):
                return False, held.said(line)
            held.goes_on(stripped)
            return True, None
        return False, held.said(line)

    def _plain(self, line: LogLine, text: str) -> Iterator[LogItem]:  # noqa: C901, PLR0912  # one grammar
        head = text[:_HEAD]
        marked = "Traceback" in head and _TRACEBACK.search(head)
        if marked and text[marked.end() :].strip(" :\u2500\u256e-"):
            # Pasted into one line: what is source and what is not is no more told.
            yield LogItem(line, text)
            return
        if marked:
            self.prefix = _prefix_of(head[: marked.start()])
            before = head[: marked.start()].strip(" ╭─|+-")
            rich = "╭" in head[: marked.start()]
            # IPython heads its traceback with the exception's name.
            ipython = bool(re.fullmatch(r"[A-Za-z_][\w.]{2,80}", before)) and not rich
            if before and not ipython:
                yield LogItem(line, before)
            self._begin(line, rich=rich, ipython=ipython)
            return
        if head.startswith("Fatal Python error:"):
            self._begin(line)
            assert self.open is not None  # noqa: S101  # begun in the line above
            self.open.fatal = True
            self.open.ends_with("Fatal Python error", text.partition(":")[2].strip())
            return
        lead = text[:1]
        if self.java is not None:
            taken = self._java(text)
            if taken:
                return
            found = self.java.said(line)
            self.java = None
            if found is not None:
                yield found
        if lead in " \t" and (is_frame(text) or is_ruby_frame(text) or _DUMPED.match(text)):
            return
        if self.quotes_source:
            self.quotes_source = bool(lead in " \t" and not MARKERS.match(text))
            if lead in " \t":
                return
        if self.drop_until_caret:
            self.drop_until_caret -= 1
            if MARKERS.match(text):
                self.drop_until_caret = 0
            return
        if lead == "/" or lead == "f":  # noqa: PLR1714  # read for speed
            source = NODE_SOURCE.match(text.strip())
            if source:
                self.drop_until_caret = 2
                return
        if lead == "+" and _XTRACE.match(text):
            return
        if lead == "F" or lead in " \t":
            if FRAME.match(text):
                # A SyntaxError, or the stack of a signal handler, has no head of its own.
                self._begin(line)
                self._continue(self.open, line, text)  # type: ignore[arg-type]  # just begun
                return
            if MARKERS.match(text):
                return
        if (
            ("Exception" in text or "Error" in text or "Throwable" in text)
            and (java := _JAVA_HEAD.match(text[:_LINE].strip()))
            and not text.lstrip().startswith("at ")
        ):
            self._begin_java(line, java)
            return
        if is_native(text):
            return
        if "error:" in head or "warning:" in head or "note:" in head or "error " in head:
            self.quotes_source = _COMPILER.match(head) is not None
        yield LogItem(line, text)

    def _begin_java(self, line: LogLine, head: re.Match[str]) -> None:
        self.java = OpenTrace(last=line, lead=self._lead(line))
        if head["link"].startswith("Unhandled exc"):
            self.java.message_goes_on = _DOTNET_MESSAGE
        self.java.ends_with(head["name"], _joined(head["link"], (head["message"] or "").strip()))

    def _java(self, text: str) -> bool:
        """Whether the line belongs to the Java exception being read."""
        held = self.java
        if held is None:
            return False
        frame = JAVA_FRAME.match(text)
        if frame or NODE_FRAME.match(text) or DOTNET_FRAME.match(text):
            if frame and frame["function"] and held.own is None:
                function = frame["function"]
                if not NOT_OWN_JAVA.match(function):
                    file = frame["file"] or function.rpartition(".")[0]
                    held.own = Frame(file, int(frame["line"] or 0), function)
            held.padded = True
            return True
        caused = _INNER.match(text)
        if caused:
            name, _, message = caused["rest"].partition(":")
            held.raised.insert(0, Raised(name.strip(), message.strip()))
            held.padded = False
            return True
        stripped = text.strip()
        link = _LINK.match(text)
        if link:
            # An exception without a traceback of its own, in a chain of Python's.
            held.links(cause=bool(link["cause"]))
            self.open, self.java = held, None
            return True
        if not stripped and not held.padded:
            return True
        if stripped.startswith("--- End of"):
            return True
        if (
            not held.padded
            and held.message_lines < _MESSAGE_LINES
            and (text[:1] in " \t" or held.message_lines < held.message_goes_on)
            and not _NEW_RECORD.match(stripped)
        ):
            last = held.raised[0] if len(held.raised) > 1 else held.raised[-1]
            index = held.raised.index(last)
            held.raised[index] = Raised(last.name, f"{last.message} {stripped}"[:MESSAGE_CHARS])
            held.message_lines += 1
            return True
        return False


def _is_over(held: OpenTrace, text: str) -> bool:
    """Whether what the interpreter ignores begins, or goes on no more: its message is one line and what is indented."""
    said = held.ignored and text.strip() and text[:1] not in " \t|" and not _LINK.match(text)
    return bool(said) or text.startswith(_IGNORED)


def _prefix_of(text: str) -> re.Pattern[str] | None:
    """What a logger put before "Traceback", as it will stand before each of its lines."""
    if not text or "╭" in text:
        return None
    if not text.strip():
        return late_pattern(re.escape(text))  # a logger that indents what it was handed
    return late_pattern(r"\d+".join(re.escape(part) for part in re.split(r"\d+", text)))


# A head of its own, and none of a message that goes on with where it comes from (`Exception from a.cpp:7:`).
_NEXT_HEAD = late_pattern(r"(?:Exception|Error) (?!from \S+:\d)")
_STACK_OF = late_pattern(r"^(?:Current thread|Thread|Extension modules:) ")


def _near(first: LogLine | None, second: LogLine) -> bool:
    """Written at one go, as far as the times tell."""
    if first is None or first.time is None or second.time is None:
        return True
    return (second.time - first.time).total_seconds() <= _MESSAGE_SECONDS


def _of_one_stream(first: LogLine | None, second: LogLine) -> bool:
    """Written to the same stream, as the severities tell that the agent gives stdout and stderr."""
    return first is None or first.severity == second.severity


def _joined(link: str, message: str) -> str:
    """What stood before a Java exception's name, where it is words: a logger's own message."""
    words = link.strip().removesuffix(":")
    if not words or words.startswith(
        ("Caused by", "Suppressed", "Exception in thread", "Unhandled exc")
    ):
        return message
    return f"{message} ({words})" if message else f"({words})"
