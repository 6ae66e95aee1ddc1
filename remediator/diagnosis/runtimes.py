"""Errors that a runtime tells in a head line: R, Ruby, Node, a panic in Go's HTTP server.

Owns their grammar: which lines are the head, the message, source code and frames. What R prints of the
call that failed is source code and never evidence; its function's name and the message are, and the
warnings that it held back until then often say why. `writer_reader` feeds it the lines; pure.
"""

from __future__ import annotations

from msgspec import Struct, field

from remediator.case import LogLine
from remediator.diagnosis.open_trace import LogItem, Raised
from remediator.domain import Frame
from remediator.domain.late_pattern import late_pattern

# R puts a blank before the colon behind the call; nothing else that says "Error in" does.
_R_ERROR = late_pattern(
    r"^(?:<simpleError in |Error in )(?P<call>.{1,400}?)(?: ?: |: )(?P<message>.*)$"
)
_R_OPEN = late_pattern(r"^Error in (?P<call>.{1,400}?) : *$")
# rlang's, and so the tidyverse's: the call in backticks, the message below it behind a mark.
_RLANG_OPEN = late_pattern(
    r"^(?:(?:Caused by e|E)rror in `(?P<call>[\w.:$]{1,160}\(\))`|Caused by error):\s*$"
)
_RLANG_MESSAGE = late_pattern(r"^[!ixv*\u2139\u2716\u2714\u2022] (?P<message>.+)$")
_RLANG_TRACE = late_pattern(r"^(?:Backtrace:$|\u2586$|\d{1,3}\. \W*\w)")
_R_WARNING = late_pattern(r"^(?:\d{1,3}: )?In (?P<call>.{1,400}?) : ?(?P<message>.*)$")
_R_FUNCTION = late_pattern(r"^[\w.]{1,80}(?:::{1,2}[\w.]{1,80})?")
_R_END, _R_CALLS = "Execution halted", "Calls: "

_RUBY_HEAD = late_pattern(
    r"^(?P<file>[^\s:]{1,300}\.(?:rb|ru)|-e|\(irb\)):(?P<line>\d{1,9}):in [`'](?P<function>[^']{1,200})': "
    r"(?P<message>.*?) ?\((?P<name>[A-Z]\w{0,80}(?:::[A-Z]\w{0,80}){0,6})\)$"
)
_RUBY_FRAME = late_pattern(
    r"^\s+(?:\d{1,4}: )?(?:from )?(?P<file>[^\s:]{1,300}\.(?:rb|ru)):(?P<line>\d{1,9}):in [`'](?P<function>[^']{1,200})'$"
)
_RUBY_OTHERS = late_pattern(r"/lib/ruby/|/gems/|^<internal:")
_NODE_HEAD = late_pattern(
    r"^(?:Uncaught )?(?P<name>[A-Z]\w{0,60}(?:Error|Exception)|Error)(?: \[\w{1,60}\])?: (?P<message>.+)$"
)
_NODE_FRAME = late_pattern(
    r"^\s+at (?:(?:async )?(?P<function>[^()]{1,200}) )?\(?(?:file://)?(?P<file>(?:node:)?[^():]{1,300}):(?P<line>\d{1,9}):\d{1,9}\)?|^\s+at (?:async )?\S"
)
_NODE_CAUSE = late_pattern(
    r"^\s+\[?cause\]?: (?P<name>[A-Z]\w{0,60})(?: \[\w{1,60}\])?: (?P<message>.*)$"
)
_NODE_CODE = late_pattern(r"^\s+(?:\[?code\]?): '(E[A-Z_]{2,30})'")
_NODE_SOCKET_CODE = late_pattern(
    r"E(?:CONN\w+|TIMEDOUT|NOTFOUND|AI_AGAIN|PIPE|HOSTUNREACH|NETUNREACH)$"
)
_NODE_OTHERS = late_pattern(r"^node:|node_modules|internal/")
_CPP_HEAD = late_pattern(
    r"^(?:terminate called after throwing an instance of '(?P<name>[^']{1,200})'\s*$|libc\+\+abi: terminating due to uncaught exception of type (?P<clang>[\w:<>]{1,200})(?:: (?P<message>.*))?)"
)
_CPP_WHAT = late_pattern(r"^\s*what\(\): {1,3}(?P<message>.*)$")
# What Node's sockets and name look-ups say of the other side.
_NODE_SOCKET = late_pattern(
    r"(?:connect|read|write|getaddrinfo|queryA\w*) E[A-Z_]{3,20}\b|socket hang up|other side closed"
)
_GO_SERVING = late_pattern(r"\bpanic serving \S{1,80}: (?P<message>.{1,2000})$")

_MESSAGE_CHARS, _HEAD_CHARS, _MOST_CAUSES = 4_000, 2_400, 20  # kept, read, and in a chain; chosen


# Characters of a line in which a head shows itself; chosen.
_START, _ERROR_HEAD, _FILE_HEAD, _NAMED_HEAD, _FRAME_CHARS = 20, 80, 320, 400, 600


class Headed(Struct):
    """An error whose head has been read, while its further lines come in."""

    line: LogLine
    name: str
    message: str
    lead: str = ""
    text: str = ""
    runtime: str = "r"
    frame: Frame | None = None
    traced: bool = False
    causes: list[tuple[str, str]] = field(default_factory=list)
    """What was told after it and explains it: names and messages, the last told last."""
    expects_message: bool = False
    is_marked: bool = False
    """R's package rlang tells it: each line of the message bears a mark."""
    below: list[str] = field(default_factory=list)
    """The language's and the libraries' functions above which the user's own first frame stands."""

    @property
    def called(self) -> str:
        """The function of R's that raised it."""
        return self.name if self.runtime == "r" and self.name != "R" else ""

    @property
    def is_mere_line(self) -> bool:
        """No frame came: a line that names an error, as any program's may."""
        return self.runtime == "node" and not self.traced

    def takes(self, text: str) -> bool:
        """Whether the line belongs to it."""
        readers = {"r": self._r, "ruby": self._ruby, "node": self._node, "cpp": self._cpp}
        reader = readers.get(self.runtime)
        return reader is not None and reader(text)

    def _node(self, text: str) -> bool:
        if not self.traced and text.strip() == _R_END:
            # What R calls an error of no function's ("Error: message") looked like Node's.
            self.runtime, self.name, self.traced = "r", "R", True
            return True
        found = _NODE_FRAME.match(text)
        if found is not None:
            self.traced = True
            file = found["file"] or ""
            if self.frame is None and file and not _NODE_OTHERS.search(file):
                self.frame = Frame(file, int(found["line"]), found["function"])
            if self.frame is None:
                self.below.insert(
                    0,
                    (
                        found["function"]
                        or text.split("(", maxsplit=1)[0].strip().removeprefix("at ")
                    ).strip(),
                )
            return True
        more = self.traced and len(self.causes) < _MOST_CAUSES
        caused = _NODE_CAUSE.match(text) if more else None
        if caused:
            self.causes.append((_of_socket(caused["name"], caused["message"]), caused["message"]))
            return True
        code = _NODE_CODE.match(text) if self.traced else None
        if code:
            self._node_code(code[1])
            return True
        # Other fields of the error object, and its closing brace.
        return self.traced and (text[:1] in " \t}" and bool(text.strip()))

    def _node_code(self, code: str) -> None:
        """The system's code, a field of the error that came last."""
        name, message = self.causes[-1] if self.causes else (self.name, self.message)
        if code not in message:
            message = f"{message} ({code})"
        if _NODE_SOCKET_CODE.match(code) and not name.startswith("socket."):
            name = f"socket.{name}"
        if self.causes:
            self.causes[-1] = (name, message)
        else:
            self.name, self.message = name, message

    def _r(self, text: str) -> bool:
        stripped = text.strip()
        if self.is_marked and self._marked(stripped):
            return True
        if self.expects_message and text.startswith("  ") and stripped:
            self._goes_on(stripped)
            return True
        if stripped == _R_END:
            self.traced, self.expects_message = True, False
            return True
        if text.startswith(_R_CALLS):
            self.expects_message = False
            return True
        if text.startswith("In addition: Warning message"):
            return True
        warned = _R_WARNING.match(text) if len(self.causes) < _MOST_CAUSES else None
        if warned:
            self.causes.append((_function(warned["call"]), warned["message"].strip()))
            self.expects_message = True
            return True
        return False

    def _marked(self, stripped: str) -> bool:
        caused = _RLANG_OPEN.match(stripped) if len(self.causes) < _MOST_CAUSES else None
        if caused:
            self.causes.append((_function(caused["call"] or ""), ""))
            return True
        found = _RLANG_MESSAGE.match(stripped)
        if found:
            self._goes_on(found["message"])
        return found is not None or _RLANG_TRACE.match(stripped) is not None

    def _goes_on(self, text: str) -> None:
        if self.causes:
            name, message = self.causes[-1]
            self.causes[-1] = (name, f"{message} {text}".strip()[:_MESSAGE_CHARS])
        else:
            self.message = f"{self.message} {text}".strip()[:_MESSAGE_CHARS]

    def _cpp(self, text: str) -> bool:
        found = _CPP_WHAT.match(text[:_HEAD_CHARS])
        if found is not None:
            self.message = found["message"].strip()
        return found is not None

    def _ruby(self, text: str) -> bool:
        found = _RUBY_FRAME.match(text)
        if found is None:
            # Blank lines, the line of source and the caret below it, before the first frame.
            return not self.traced and (not text.strip() or text[:1] in " \t")
        self.traced = True
        if self.frame is not None and _RUBY_OTHERS.search(self.frame.file):
            module = self.frame.file.rpartition("/")[2].removesuffix(".rb")
            self.below.insert(0, f"{module}.{self.frame.function}")
            self.frame = Frame(found["file"], int(found["line"]), found["function"])
        return True


def headed(line: LogLine, text: str, lead: str) -> Headed | None:
    """The error whose head this line is, if it is one."""
    start = text[:_START]
    if start.startswith(("Error in ", "<simpleError in ")):
        return _of_r(line, text, lead)
    if ".r" in text[:_FILE_HEAD] or start.startswith("-e:"):
        found = _RUBY_HEAD.match(text[:_HEAD_CHARS])
        if found:
            frame = Frame(found["file"], int(found["line"]), found["function"])
            return Headed(line, found["name"], found["message"], lead, text, "ruby", frame)
    if start.startswith(("terminate called", "libc++abi")) and (found := _CPP_HEAD.match(text)):
        name, message = found["name"] or found["clang"], (found["message"] or "").strip()
        return Headed(line, name, message, lead, text, "cpp", traced=True)
    if "panic serving" in text[:_NAMED_HEAD] and (found := _GO_SERVING.search(text[:_HEAD_CHARS])):
        return Headed(line, "panic", found["message"], lead, text, "go", traced=True)
    if text[:1].isupper() and "Error" in text[:_ERROR_HEAD]:
        found = _NODE_HEAD.match(text[:_HEAD_CHARS])
        if found:
            name = _of_socket(found["name"], found["message"])
            return Headed(line, name, found["message"], lead, text, "node")
    return None


def _of_socket(name: str, message: str) -> str:
    """The error's name; where the message is a socket's or fetch's own, a name that says so."""
    if message in {"fetch failed", "terminated"}:
        return "FetchError"  # undici raises a TypeError where the other side failed
    return f"socket.{name}" if _NODE_SOCKET.search(message[:_NAMED_HEAD]) else name


def _of_r(line: LogLine, text: str, lead: str) -> Headed | None:
    marked = _RLANG_OPEN.match(text)
    if marked:
        return Headed(line, _function(marked["call"]), "", lead, is_marked=True)
    opened = _R_OPEN.match(text)
    if opened:
        return Headed(line, _function(opened["call"]), "", lead, expects_message=True)
    found = _R_ERROR.match(text)
    if found is None or (text.startswith("Error in ") and " : " not in text):
        return None
    message = found["message"].removesuffix(">") if text.startswith("<") else found["message"]
    caught = text.startswith("<")
    return Headed(line, _function(found["call"]), message.strip(), lead, traced=caught)


def _function(call: str) -> str:
    found = _R_FUNCTION.match(call.strip())
    return found[0] if found else "R"


def is_ruby_frame(text: str) -> bool:
    """A frame of a Ruby back-trace, indented."""
    return text[:1] in " \t" and ".r" in text and _RUBY_FRAME.match(text[:_FRAME_CHARS]) is not None


_BELOW = 12  # functions below the user's own call that are kept; chosen


def item_of(held: Headed) -> LogItem:
    """An error with a head line as a traceback; what explains it stands deeper in its chain."""
    if held.is_mere_line:
        return LogItem(held.line, held.text)
    if held.is_marked and any(message for _, message in held.causes):
        # What rlang wraps says why; the wrapping, in which call and for which argument.
        name, message = next(one for one in reversed(held.causes) if one[1])
        root = Raised(name, message, below="" if name == "R" else name)
        return LogItem(held.line, root.text, (root,), held.frame, held.traced, held.lead)
    causes = held.causes[::-1]
    raised = (
        Raised(held.name, held.message, below=" ".join(held.below[-_BELOW:]) or held.called),
        *(Raised(name, message, depth) for depth, (name, message) in enumerate(causes, start=1)),
    )
    return LogItem(held.line, raised[0].text, raised, held.frame, held.traced, held.lead)
