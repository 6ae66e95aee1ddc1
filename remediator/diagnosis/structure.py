"""A log as what a program said: tracebacks as one thing each, and the lines between them.

Owns the grammar of what runtimes print when they fail (Python, IPython and rich, Java and Scala,
Node, Go, Rust, R, C and C++ back-traces, shells that trace): which lines are the exception, which
are frames and source code, and how a chain of exceptions hangs together. Source lines and frames are
never evidence ("raise RuntimeError(", "timeout=30"); the exceptions are, and the last frame in the
user's own code says where. Tracebacks arrive in one entry or in one entry a line, from several ranks
at once. One grammar, and so one file: a line belongs to what is open before it, whichever runtime
wrote that. One pass, linear in the text. Pure; called by `texts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from remediator.case import LogLine
from remediator.diagnosis.lazy_patterns import Late, Linear
from remediator.diagnosis.runtimes import Headed, headed, is_ruby_frame
from remediator.domain import Frame

# A traceback that is still open takes so many lines of other writers between its own.
_FOREIGN = 40
# Lines and characters of an exception's message after its first line.
_MESSAGE_LINES = 400
_MESSAGE_CHARS = 4_000
_MESSAGE_SECONDS = 0.5
_FRAMES = 400
_LINE = 8_000


@dataclass(frozen=True, slots=True)
class Raised:
    """One exception: the name as printed, its message, and the frame that a person would look at.

    `depth` is 0 for the exception that ended the traceback, 1 for what caused it, and so on;
    `handled` where it was only being handled when the next was raised.
    """

    name: str
    message: str
    depth: int = 0
    handled: bool = False

    @property
    def text(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name


@dataclass(frozen=True, slots=True)
class LogItem:
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


# --- what a line is ----------------------------------------------------------------------------

_ANSI = Late(r"\x1b\[[0-9;?]{0,12}[A-Za-z]")
# What launchers put before each line of a rank or an actor: part of no traceback.
_WRITER = Late(
    r"^(?:\[(?:default|rank|worker|node)?_?\d{1,6}\]:? ?|\[\d{1,5},\d{1,5}\]<\w{1,10}>:? ?|\([\w.:<> -]{1,80}pid=\d{1,9}[^)]{0,60}\) ?|[\w.-]{1,40} {0,20}\| (?! ))+"
)
_TRACEBACK = Late(r"Traceback \(most recent call last\)")
_FRAME = Late(
    r'^(?P<pad>[\s|+]*)File "(?P<file>[^"]{1,400})", line (?P<line>\d{1,9})(?:,? in (?P<function>\S{1,200}))?\s*$'
)
_IPYTHON_FRAME = Late(
    r"^(?:File |Cell |Input |<ipython)\s?(?P<file>[^,\s]{1,400}?)(?::(?P<line>\d{1,9}))?(?:,? (?:line (?P<cell>\d{1,9})|in (?P<function>\S{1,200})))"
)
_NUMBERED = Late(r"^(?:-+> ?|\s*)\d{1,6}(?:\s|$)|^\s*\(\.\.\.\)$|^-{20,}$")
_EXCEPTION = Late(
    r"^(?P<name>(?:[A-Za-z_][\w]{0,80}\.){0,12}[A-Za-z_][\w]{0,80})(?:(?: \[[\w ]{1,40}\])?:(?:\s(?P<message>.*))?)?$",
    re.DOTALL,
)
_LEVELS = frozenset(
    {"DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL", "NOTE"}
)
_LINK = Late(
    r"^[\s|]*(?:During handling of the above exception|(?P<cause>The above exception was the direct cause))"
)
_MARKERS = Late(r"^[\s|+]*[~^]{1,400}[\s~^]*$|^\s*\[Previous line repeated \d+ more times?\]")
_NEW_RECORD = Late(
    r"^(?:\[?\d{4}[-/]\d\d[-/]\d\d|\[?\d\d:\d\d:\d\d|\[?(?:DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b|[IWEF]\d{4} \d\d:|\d{2}/\d{2}/\d{2} |\{\")"
)

_JAVA_HEAD = Late(
    r"^(?P<link>\s*Caused by: |\s*Suppressed: |Exception in thread \"[^\"]{0,200}\" |.{0,200}?(?=\b(?:[a-z]\w{0,60}\.){1,10}[A-Z]\w{0,80}(?:Exception|Error|Throwable)\b))"
    r"(?P<name>(?:[a-zA-Z_$][\w$]{0,60}\.){1,12}[A-Z][\w$]{0,100})(?::\s(?P<message>.*))?$",
    re.DOTALL,
)
_JAVA_FRAME = Late(
    r"^\s*at (?:[\w.-]{1,60}(?:@[\w.-]{1,30})?/{1,2})?(?P<function>[\w.$<>]{1,300})\((?P<file>[\w$.-]{0,120}\.(?:java|scala|kt|groovy|clj))?:?(?P<line>\d{0,9})[^)]{0,100}\)"
    r"|^\s*at [\w.$<>/-]{3,300}\((?:Native Method|Unknown Source|<generated>)\)|^\s*\.\.\. \d{1,6} (?:more|common frames)"
)
_NODE_FRAME = Late(
    r"^\s+at (?:(?P<function>[^()]{1,200}) )?\(?(?:file://)?(?P<file>[^():]{1,300}):(?P<line>\d{1,9}):\d{1,9}\)?,?( \{)?$|^\s+at (?:async )?[\w.<>$ \[\]]{1,200}(?: \((?:native|<anonymous>|index \d+)\))?$"
)
_NODE_SOURCE = Late(r"^(?:file://)?(?P<file>/[^:\s]{1,300}\.[cm]?[jt]sx?):(?P<line>\d{1,9})$")
_GO_PANIC = Late(r"^(?:panic|fatal error): |^\[signal SIG\w{2,8}: ")
_GO_FRAME = Late(
    r"^goroutine \d{1,9} .{0,80}\]:$|^\s+(?P<file>/[^\s:]{1,300}\.(?:go|s)):(?P<line>\d{1,9})(?: \+0x[0-9a-f]+)?$|^(?:created by )?[\w./()*\[\]{}-]{1,200}\((?:\{?0x[0-9a-f]{1,16}[^)]{0,300}|\.\.\.|)\)(?: in goroutine \d+)?$"
)
_RUST_PANIC = Late(
    r"^thread '[^']{0,100}'(?: \(\d+\))? panicked at (?:'.{0,400}', )?(?P<file>[^\s:']{1,300}):(?P<line>\d{1,9}):\d{1,9}"
)
_NATIVE_FRAME = Late(
    r"^\s*#\d{1,4}\s+(?:0x[0-9a-f]{4,16} )?(?:in )?\S.{0,300}|^\s*(?:@|\*\*\*|\d{1,3}:)\s+0x[0-9a-f]{4,16}\b.{0,300}|^\s*frame #\d{1,4}: |^\s*\d{1,3}: (?:0x[0-9a-f]{4,16} - )?[\w<>:{}$ ]{3,200}$|^\s*\[0x[0-9a-f]{6,16}\]|^\S{1,200}\(\+?[\w+]{0,200}0x[0-9a-f]{1,16}\)\s?\[0x[0-9a-f]{4,16}\]"
)
_R_FRAME = Late(
    r"^(?:Calls: |\s*\d{1,3}: \S{1,80}\()|^Backtrace:$|^\s{1,6}(?:\d{1,3}\. )?[├└│█─▆ ]{1,20}\S"
)
_JULIA_FRAME = Late(r"^\s{1,4}\[\d{1,4}\] \S|^\s{3,6}@ \S+ \S+:\d{1,9}$|^Stacktrace:$")
_DOTNET_FRAME = Late(r"^\s+at [\w.<>`+\[\]]{3,300}\(.{0,300}\)(?: in .{1,300}:line \d{1,9})?$")
_RICH = Late(r"^\s*[╭│╰├][\s─│❱╭╰├╮╯]?")
_RICH_FRAME = Late(r"^\s*│\s(?P<file>\S{1,300}):(?P<line>\d{1,9}) in (?P<function>\S{1,120})")
_XTRACE = Late(r"^\+{1,6} (?:[\w./$-]|\[|\()")

# Code of others: the language's own, installed packages, launchers.
_NOT_OWN = Late(
    r"site-packages|dist-packages|/lib/python\d|/python\d\.\d{1,2}/(?!app)|<frozen|<string>|<unknown>|<__array_function__|importlib|node_modules|node:internal|internal/|/usr/local/go/|/pkg/mod/|/rustc/|/cargo/registry|^bazel-|/opt/conda/lib|/usr/lib/|torch_(?:xla|geometric)?/distributed/run|^\.?/?venv/|/\.venv/|/bin/[\w.-]{1,60}$|\.px[id]$|\.pyx$"
)
_NOT_OWN_JAVA = Late(
    r"^(?:java|javax|jdk|sun|com\.sun|scala|kotlin|akka|org\.(?:apache|springframework|slf4j|eclipse|scalatest|junit|jboss|hibernate|pytorch)|io\.(?:netty|grpc|vertx|quarkus|micronaut)|com\.(?:google|fasterxml|zaxxer|amazonaws)|py4j|clojure|reactor|okhttp3|ai\.djl)\."
)


# What is raised in a program that is stopped from outside, wherever it stands.
_STOPPED = Late(
    r"(?:^|\.)(?:SystemExit|KeyboardInterrupt|SoftTimeLimitExceeded|TimeLimitExceeded|WorkerTimeout|GreenletExit)$"
)
_INNERMOST = 15
WAITING_FRAME = Late(
    r"urllib|requests/|httpx|httpcore|aiohttp|http[./ ]client|socket|ssl\.py|\brecv|getaddrinfo|botocore|boto3|fsspec|gcsfs"
    r"|google[./]cloud[./](?:storage|bigquery)|google[./]resumable|grpc|urlopen|paramiko|ftplib|psycopg|pymysql|redis/|pymongo|kafka",
    re.IGNORECASE,
)


def is_own(file: str) -> bool:
    """Whether a file of a frame is the user's, not the language's or an installed package's."""
    return _NOT_OWN.search(file) is None


# --- tracebacks of Python ----------------------------------------------------------------------


@dataclass(slots=True)
class _OpenTrace:
    """A traceback that is being read."""

    raised: list[Raised] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    own: Frame | None = None
    deepest: Frame | None = None
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

    def frame(self, found: Frame) -> None:
        if len(self.frames) < _FRAMES:
            self.frames.append(found)

    def ends_with(self, name: str, message: str) -> None:
        """An exception line: what was raised before it becomes its cause, or was being handled."""
        if self.nested:
            self.caused_by(name, message)
            self.nested = False
        else:
            self.raised.append(Raised(name, message))
            self.newest = len(self.raised) - 1
        self.places()
        self.frames = []
        self.message_lines = 0

    def places(self) -> None:
        """Where the frames read so far stand: the user's own, and the innermost."""
        own = [one for one in self.frames if is_own(one.file)]
        # The exception that ended it speaks of its own frames; a chain's older ones are the fallback.
        if own:
            self.own = own[0] if self.fatal else own[-1]
        if self.frames:
            self.deepest = self.frames[0 if self.fatal else -1]
            innermost = self.frames[:_INNERMOST] if self.fatal else self.frames[-_INNERMOST:]
            waits = any(WAITING_FRAME.search(f"{one.file} {one.function}") for one in innermost)
            self.stood_in = "network" if waits else "code"

    def links(self, *, cause: bool) -> None:
        if self.raised:
            self.raised[-1] = Raised(
                self.raised[-1].name, self.raised[-1].message, handled=not cause
            )
        self.message_lines = -1

    def goes_on(self, text: str) -> None:
        """A line more of the message of the exception that came last."""
        last = self.raised[self.newest]
        if len(last.message) + len(text) < _MESSAGE_CHARS:
            joined = f"{last.message} {text}" if last.message else text
            self.raised[self.newest] = Raised(last.name, joined, handled=last.handled)
        self.message_lines += 1

    def caused_by(self, name: str, message: str) -> None:
        """An exception deeper than all that were read of this chain."""
        self.raised.insert(0, Raised(name, message))
        self.newest, self.message_lines = 0, 0

    def said(self, line: LogLine) -> LogItem | None:
        if not self.raised and self.frames:
            # Cut off before its exception: that something was raised is all it says.
            self.ends_with("Traceback", "")
        if not self.raised:
            return None
        newest = [
            Raised(one.name, one.message, depth, one.handled)
            for depth, one in enumerate(reversed(self.raised))
        ]
        frame = self.own or self.deepest
        traced = frame is not None or self.padded
        stood = self.stood_in if _STOPPED.search(newest[0].name) else ""
        last = self.last or line
        return LogItem(last, newest[0].text, tuple(newest), frame, traced, self.lead, stood)


class _LogReader:
    """Reads one writer's lines (a task's rank); open tracebacks live between entries."""

    def __init__(self) -> None:
        self.open: _OpenTrace | None = None
        self.drop_until_caret = 0
        self.java: _OpenTrace | None = None
        self.prefix: Late | None = None
        self.previous: LogItem | None = None
        self.headed: Headed | None = None

    # A line is either taken into a traceback, or given back as plain text, or dropped.
    def read(self, line: LogLine, text: str) -> Iterator[LogItem]:
        held = self.open
        if held is not None and self.prefix is not None:
            head = self.prefix.match(text)
            text = text[head.end() :] if head else text
        if held is not None:
            taken, finished = self._continue(held, line, text)
            if finished is not None:
                self.open = None
                yield finished
            if taken:
                return
        if self.headed is not None and not self.headed.takes(text):
            yield _said_of(self.headed)
            self.headed = None
        self.headed = self.headed or headed(line, text, self._lead(line))
        if self.headed is not None:
            return
        for said in self._plain(line, text):
            self.previous = said
            yield said

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
            yield _said_of(self.headed)
            self.headed = None

    def _begin(self, line: LogLine, *, rich: bool = False, ipython: bool = False) -> None:
        self.open = _OpenTrace(last=line, rich=rich, ipython=ipython, lead=self._lead(line))

    def _continue(self, held: _OpenTrace, line: LogLine, text: str) -> tuple[bool, LogItem | None]:  # noqa: C901, PLR0912  # one grammar
        """(whether the line belongs to the traceback, the traceback where it is over)."""
        stripped = text.strip()
        if held.message_lines >= 0:
            return self._message(held, line, text)
        if not stripped:
            return True, None
        if held.rich and _RICH.match(text):
            found = _RICH_FRAME.match(text)
            if found:
                held.frame(Frame(found["file"], int(found["line"]), found["function"]))
            return True, None
        frame = _FRAME.match(text)
        if frame:
            held.padded = bool(frame["pad"])
            held.frame(_frame_of(frame))
            held.after_frame = True
            return True, None
        if _TRACEBACK.search(text):
            return True, None
        if _MARKERS.match(text):
            return True, None
        if held.ipython:
            cell = _IPYTHON_FRAME.match(stripped)
            if cell:
                number = cell["line"] or cell["cell"] or "0"
                held.frame(Frame(cell["file"], int(number), cell["function"]))
                return True, None
            if _NUMBERED.match(text):
                return True, None
        indented = text[:1] in " \t|"
        if held.after_frame and (indented if held.padded else True):
            held.after_frame = held.padded  # without indentation one line of source follows
            return True, None
        held.after_frame = False
        if indented and held.padded and not text.lstrip().startswith("+"):
            return True, None
        found = _EXCEPTION.match(stripped.lstrip("|+ "))
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

    def _message(self, held: _OpenTrace, line: LogLine, text: str) -> tuple[bool, LogItem | None]:
        """As `_continue`, once the exception has been read: its message may go on, or a chain."""
        stripped = text.strip()
        link = _LINK.match(text)
        if link:
            held.links(cause=bool(link["cause"]))
            return True, None
        if not stripped:
            return True, None
        near = _near(held.last, line)
        if _TRACEBACK.search(text):
            if near and not _NEW_RECORD.match(stripped):
                # What a worker raised, quoted in the message of who heard of it.
                held.nested, held.message_lines = True, -1
                return True, None
            return False, held.said(line)
        if near and held.message_lines < _MESSAGE_LINES and not _NEW_RECORD.match(stripped):
            if frame := _FRAME.match(text):
                held.frame(_frame_of(frame))
                held.places()
                return True, None
            if _is_frame(text) or _MARKERS.match(text) or _STACK_OF.match(text):
                return True, None
            java = _JAVA_HEAD.match(stripped)
            if java and (stripped.startswith((": ", "Caused by: "))):
                held.caused_by(java["name"], (java["message"] or "").strip())
                return True, None
            if java or stripped.startswith(("Exception ", "Error ")):
                return False, held.said(line)
            held.goes_on(stripped)
            return True, None
        return False, held.said(line)

    def _plain(self, line: LogLine, text: str) -> Iterator[LogItem]:  # noqa: C901, PLR0912  # one grammar
        head = text[:300]
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
        if lead in " \t" and (_is_frame(text) or is_ruby_frame(text)):
            return
        if self.drop_until_caret:
            self.drop_until_caret -= 1
            if _MARKERS.match(text):
                self.drop_until_caret = 0
            return
        if lead == "/" or lead == "f":  # noqa: PLR1714  # read for speed
            source = _NODE_SOURCE.match(text.strip())
            if source:
                self.drop_until_caret = 2
                return
        if lead == "+" and _XTRACE.match(text):
            return
        if lead == "F" or lead in " \t":
            if _FRAME.match(text):
                # A SyntaxError, or the stack of a signal handler, has no head of its own.
                self._begin(line)
                self._continue(self.open, line, text)  # type: ignore[arg-type]  # just begun
                return
            if _MARKERS.match(text):
                return
        if (
            ("Exception" in text or "Error" in text or "Throwable" in text)
            and (java := _JAVA_HEAD.match(text[:_LINE].strip()))
            and not text.lstrip().startswith("at ")
        ):
            self.java = _OpenTrace(last=line, lead=self._lead(line))
            self.java.ends_with(
                java["name"], _joined(java["link"], (java["message"] or "").strip())
            )
            return
        if _is_native(text):
            return
        yield LogItem(line, text)

    def _java(self, text: str) -> bool:
        """Whether the line belongs to the Java exception being read."""
        held = self.java
        if held is None:
            return False
        frame = _JAVA_FRAME.match(text)
        if frame or _NODE_FRAME.match(text) or _DOTNET_FRAME.match(text):
            if frame and frame["function"] and held.own is None:
                function = frame["function"]
                if not _NOT_OWN_JAVA.match(function):
                    file = frame["file"] or function.rpartition(".")[0]
                    held.own = Frame(file, int(frame["line"] or 0), function)
            held.padded = True
            return True
        caused = re.match(r"^\s*(?:Caused by|Suppressed): (?P<rest>.*)$", text, re.DOTALL)
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
        if (
            not held.padded
            and held.message_lines < _MESSAGE_LINES
            and text[:1] in " \t"
            and not _NEW_RECORD.match(stripped)
        ):
            last = held.raised[0] if len(held.raised) > 1 else held.raised[-1]
            index = held.raised.index(last)
            held.raised[index] = Raised(last.name, f"{last.message} {stripped}"[:_MESSAGE_CHARS])
            held.message_lines += 1
            return True
        return False


def _prefix_of(text: str) -> Late | None:
    """What a logger put before "Traceback", as it will stand before each of its lines."""
    if not text.strip() or "╭" in text:
        return None
    return Late(r"\d+".join(re.escape(part) for part in re.split(r"\d+", text)))


def _frame_of(found: re.Match[str]) -> Frame:
    return Frame(found["file"], int(found["line"]), (found["function"] or "").strip() or None)


def _said_of(held: Headed) -> LogItem:
    """An error with a head line as a traceback; what explains it stands deeper in its chain."""
    if held.is_mere_line:
        return LogItem(held.line, held.text)
    causes = held.causes[::-1]
    raised = (
        Raised(held.name, held.message),
        *(Raised(name, message, depth) for depth, (name, message) in enumerate(causes, start=1)),
    )
    return LogItem(held.line, raised[0].text, raised, held.frame, held.traced, held.lead)


_STACK_OF = Late(r"^(?:Current thread|Thread|Extension modules:) ")


def _near(first: LogLine | None, second: LogLine) -> bool:
    """Written at one go, as far as the times tell."""
    if first is None or first.time is None or second.time is None:
        return True
    return (second.time - first.time).total_seconds() <= _MESSAGE_SECONDS


def _joined(link: str, message: str) -> str:
    """What stood before a Java exception's name, where it is words: a logger's own message."""
    words = link.strip().removesuffix(":")
    if not words or words.startswith(("Caused by", "Suppressed", "Exception in thread")):
        return message
    return f"{message} ({words})" if message else f"({words})"


def _is_frame(text: str) -> bool:
    """A stack frame of any runtime: where it stands, a source file has been quoted."""
    head = text[:500]
    lead = head.lstrip()[:3]
    if lead == "at ":
        return bool(_JAVA_FRAME.match(head) or _NODE_FRAME.match(head) or _DOTNET_FRAME.match(head))
    if lead == "...":
        return bool(_JAVA_FRAME.match(head))
    return bool(_GO_FRAME.match(head) or _NATIVE_FRAME.match(head) or _JULIA_FRAME.match(head))


def _is_native(text: str) -> bool:
    """A frame that need not be indented: Go, C and C++ back-traces, R's calls."""
    lead = text[:1]
    if lead in "#@*g[c" or "(0x" in text[:300] or "[0x" in text[:300] or "(...)" in text[:300]:
        return bool(_GO_FRAME.match(text[:500]) or _NATIVE_FRAME.match(text[:500]))
    if lead == "C" or lead == "B":  # noqa: PLR1714
        return bool(_R_FRAME.match(text[:300]))
    return False


# --- the log -----------------------------------------------------------------------------------


def read_log(lines: Iterable[LogLine]) -> Iterator[LogItem]:
    """What the lines say, in their order; tracebacks where their last exception stands.

    Each task's lines must come in order of time; tasks and ranks may be mixed.
    """
    readers: dict[tuple[str, str], _LogReader] = {}
    last: LogLine | None = None
    for line in lines:
        last = line
        text = line.text
        if "\x1b" in text:
            text = _ANSI.sub("", text)
        if "\n" not in text:
            yield from _one(readers, line, text)
            continue
        yield from _many(readers, line, text)
    if last is not None:
        for reader in readers.values():
            yield from reader.finish(last)


def _one(readers: dict[tuple[str, str], _LogReader], line: LogLine, text: str) -> Iterator[LogItem]:
    writer, rest = _writer_of(text)
    reader = readers.get((line.task, writer))
    if reader is None:
        reader = readers[line.task, writer] = _LogReader()
    yield from reader.read(line, rest)


def _writer_of(text: str) -> tuple[str, str]:
    if text[:1] in "[(" or " | " in text[:60]:
        found = _WRITER.match(text)
        if found:
            return found[0].strip(), text[found.end() :]
    return "", text


def _many(
    readers: dict[tuple[str, str], _LogReader], line: LogLine, text: str
) -> Iterator[LogItem]:
    """An entry of several lines: its plain lines stay together, its tracebacks are taken out."""
    plain: list[str] = []
    for row in text.split("\n"):
        for said in _one(readers, line, row.rstrip("\r")):
            if said.raised or said.line is not line:
                if plain:
                    yield LogItem(line, "\n".join(plain))
                    plain = []
                yield said
            else:
                plain.append(said.text)
    # What is still open at the end of an entry of several lines is whole.
    if plain:
        yield LogItem(line, "\n".join(plain))
    for (task, _), reader in list(readers.items()):
        if task == line.task and reader.is_whole:
            yield from reader.finish(line)


# --- lines that are no evidence -----------------------------------------------------------------

_COUNTER = Linear(
    r"\b\d[\d,._]*\s?(?:/|of|out of)\s?\d[\d,._]*\b|\b(?:step|epoch|iter(?:ation)?|batch|block|round|row|sample|record|chunk|shard|partition|trial|fold|tree|generation|frame|variant)s?\b\W{0,3}\d[\d,._]*\b|\b\d[\d,._]*\s(?:steps|epochs|iterations|batches|rows|samples|records|chunks|shards|files|images|requests|instances|reads|variants|lines)\b|\b\d{1,3}(?:\.\d+)?\s?%"
)
_TROUBLE = Linear(
    r"error|fail|premature|incomplete|stopped|broken|exception|invalid|cannot|can't|could ?n.t|unable|kill|denied|refus|time[sd]?[ -]?out|out of (?:memory|range|space|bounds)|unexpected|missing|not found|no such|abort|fatal|corrupt|truncat|exceed|retry|reset|unavailable|malformed|nan\b|\binf\b|panic|crash|signal|lost|oom\b|no space|warn|expected|too (?:large|many|long|few)|must|mismatch|bad |unsupported|not (?:valid|support|ready|allowed|match)|rejected|parse|unbound|variable|usage|undefined|not set|stuck|blocked|slow|throttl|quota|preempt|terminat|exit(?:ed)?\b|status|\d{3} (?:get|post|client|server)"
)
_ZERO = Linear(
    r"\b(?:0|no|zero|without)(?: \w+){0,2} (?:errors?|failures?|failed|invalid|warnings?|retries|timeouts?|time-outs?|exceptions?|corrupt(?:ed)?|dropped|rejected|skipped|missing|duplicates?|conflicts?|problems?|issues?|ooms?)\b(?: (?:rows?|records?|lines?|files?|values?|entries|found|detected|seen|so far)\b)?|\b(?:errors?|failures?|failed|invalid|warnings?|retries|timeouts?|exceptions?|corrupt(?:ed)?|dropped|rejected|skipped|missing)(?: \w+)?\s?[=:]\s?0(?:[^\d.,]|$)|\b0 (?:invalid|failed|corrupt|missing|rejected|bad|malformed)\b(?: \w+)?",
    needs="error fail invalid warning retries timeout time-out exception corrupt dropped rejected skipped missing duplicate conflict problem issue oom bad malformed",
)


_LONE_ZERO = Late(r"(?<!\d)0(?![\d.,]*\d)")
_LOUD = Late(
    r"^\W{0,3}(?:[\w:.,+/-]+\s+){0,3}?\W?(?:WARN|WARNING|ERROR|CRITICAL|FATAL|[EWF]\d{4}|[EW])\b"
)
_STAMP = Late(r"^\W{0,3}(?:\d{2,4}[-/]\d\d[-/]\d\d[T ]*)?(?:\d{1,2}:\d\d:\d\d[.,\d]*)?")


def is_progress(text: str) -> bool:
    """A line that counts what is done and complains of nothing: no evidence, and no section."""
    head = text[:400]
    stamp = _STAMP.match(head)
    bare = head[stamp.end() :] if stamp else head
    return (
        "\n" not in text
        and not _LOUD.match(head)
        and _COUNTER.is_in(bare)
        and not _TROUBLE.is_in(_without_zeros(bare))
    )


def complains(text: str) -> bool:
    """Whether a line names a trouble of any kind."""
    return _TROUBLE.is_in(_without_zeros(text[:400]))


def without_zero_counts(text: str) -> str:
    """The text without what it says did not happen: "0 invalid rows", "errors: 0"."""
    return _without_zeros(text) if "0" in text else text


def _without_zeros(text: str) -> str:
    # Without a 0 that stands alone nothing is said not to have happened: cheaper to ask first.
    if _LONE_ZERO.search(text) is None or not _ZERO.is_in(text):
        return text
    return _ZERO.sub(lambda match: " " if "0" in match[0] else match[0], text)
