"""Which of a program's last lines state its error: the forms in which languages, compilers and tools do.

Owns the grammar of such statements: a level word ("error:", "FATAL", "E:", "panic:", "rake aborted!"), a place
in source code ("run.lua:2: …", "run.pas(3,5) Error: …", "… at run.pl line 3."), a message above a stack
("stack traceback:", "while executing"), a condition that nobody handled; and what is none: frames, quoted source,
"2 errors generated", "make: *** [all] Error 1". By form alone, never by a program's name. Pure; called by
`texts.log_lines`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.open_trace import LogItem
from remediator.diagnosis.progress_lines import complains, is_progress
from remediator.domain import Frame
from remediator.domain.late_pattern import late_pattern

_READ = 500  # characters of a row; chosen
_GAP = 14  # rows between errors of one ending, such as those of a compiler; chosen
_MOST = 4  # of them that are quoted; chosen
_GOES_ON, _AHEAD = (
    4,
    10,
)  # rows of a message after its head, and in which its place may stand; chosen
_BELOW = 2  # rows below a message in which its stack begins; chosen
_FEW_WORDS = 3  # of a head, which then says too little by itself; chosen

# Languages of programs; and of what a shell, a build or a workflow is told, where settings and files count first.
_SOURCE = (
    r"(?:lua|tcl|exp|scm|ss|rkt|lisp|lsp|cl|el|clj[cs]?|pl|pm|rb|py|pyx|php|js|mjs|ts|jl|m|r|R|exs?|erl|hs|ml|mli|sml|fs|cs|vb|java|scala|kt|groovy"
    r"|go|rs|zig|swift|d|nim|cr|v|sv|vhdl?|c|h|cc|cpp|cxx|hpp|hh|cu|cuh|f|f\d\d|for|F90|pas|pp|cob|cbl|adb|ads|asm|s|S|y|l|proto|awk|rexx|fth|pro|prolog|a68|rake)"
)
_RECIPE = r"(?:(?P<shell>sh|bash|zsh|ksh|fish|bats)|bat|nf|smk|wdl|cwl|cmake|mk|am|ac|gradle|sbt|sql|vcl|conf|cfg|toml|ini|ya?ml|xml|build)"
_FILE = rf"(?:[^\s:()\"'`,]+\.(?:(?P<program>{_SOURCE})|{_RECIPE})|(?:[^\s:()\"'`,]+/)?(?:CMakeLists\.txt|[Mm]akefile|Rakefile|SConstruct|SConscript|Snakefile|BUILD))"
# A place in source code: `run.lua:2:`, `run.cs(3,5):`, `at run.pl line 3.`, `--> run.rs:1:5`, `file "run.tcl" line 4`.
_PLACE = Linear(
    rf"(?:^|[\s\"'`(@\[])(?P<file>{_FILE})[\"'`]?(?:[:(]|:?,? (?:on |at |near |in )?line )(?P<line>\d{{1,7}})\b",
    ignore_case=False,
)
_LEVEL = (
    r"(?:fatal error|runtime error|error|fatal|err!|errors?|fail(?:ed|ure)?|panic|abort(?:ed)?|critical|severe|emerg|alert"
    r"|exception|unhandled|uncaught|e|[\w.:]*\w(?:error|exception|defect|failure|fault))"
)
_STAMP = r"(?:\[?\d{2,4}[-/]\d\d[-/]\d\d[T ,]*\d\d:\d\d:\d\d\S*\s*|\[?\d\d:\d\d:\d\d\S*\s*|\[\s*\d+\.\d+\]\s*|[EF]\d{4} \S+ +\d+ )"
# A level word begins the row; or a program, a place or a bracket before it ends in a mark; or a colon follows it.
_HEAD = Linear(
    rf"^{_STAMP}?[\W_]{{0,6}}{_LEVEL}(?:\[\w+\]| \w{{1,8}}\d{{1,6}}| \([\w.: -]+\)| \d{{1,5}})?(?:[:!\])|>]|\s?[-=:]|\s+(?:\w+ing )?(?:at|in|on|while|during|in thread)\b|,|$)"
    rf"|^{_STAMP}?[^\s:=]+(?:[:\])|>]|: \S+:) ?\W{{0,4}}{_LEVEL}\b(?:[:!\])|>\[( ]|$)"
    rf"|^{_STAMP}?(?:[\w.'/+-]+ ){{1,4}}{_LEVEL}(?: \w{{0,6}}\d{{1,6}})?(?:[:!]|\s*$| (?:\w+ing )?at \S)"
    rf"|^thread '[^']*'(?: \(\d+\))? panicked at\b|^[\W]{{0,4}}[EF]\d{{4}} \d\d:|^\*\*\* - |^\W{{0,3}}(?:unhandled|uncaught|debugger invoked on)\b"
    rf"|^{_STAMP}?\W{{0,6}}(?:error|fatal|fail(?:ed|ure)?|panic)\b",
    needs="err fatal fail panic abort critical severe emerg alert exception unhandled uncaught defect fault e: e] f0 f1 e0 e1 *** debugger",
)
_QUIET = Linear(
    r"^\W{0,4}(?:\S+\s+){0,3}?\W{0,3}(?:trace|debug|info|note|notice|warn(?:ing)?|hint|remark)\b\W"
    r"|^\S+: (?:warning|note)\b|^\W{0,4}(?:no|0|without) (?:errors?|failures?)\b",
    needs="trace debug info note notice warn hint remark no 0 without",
)
# It says that something failed, which was told above.
_WRAPPER = Linear(
    r"^\W*error: called from|^\S{0,20}make(?:\[\d+\])?: \*\*\* \["
    r"|^\W*\d+ (?:errors?|failures?|warnings?)\b"
    r"|\berrors? (?:was|were|have been|has been)? ?(?:found|encountered|generated|occurred|detected)"
    r"|\berrors? occurred\W*$"
    r"|\bcould not compile\b|\baborting due to\b"
    r"|\b(?:build|compilation|configuration|make|test|command|process|job|task|run|execution|step|flow|workflow|stage|pipeline|node|cell|recipe|target)\b[^:]*\b(?:fail(?:ed|ure)|terminated|stopped|aborted|unsuccessful)\W*$"
    r"|\breturned (?:a )?non-?zero|\bexit(?:ed|s)?(?: with)? (?:status|code|value)\b"
    r"|^\W*(?:program )?exit|\bignoring\b|^\W*failed: \S+\W*$|\bprogram will exit\b|\b(?:can ?not|could not|couldn't|unable to|failed to) (?:delete|remove|unlink|clean)\b"
    r"|\bcould not create the \w+ virtual machine|\bgiving up\b|\bsee (?:the )?(?:above|below|full|log)\b"
    r"|^\W*errors? in \S+(?: \(line \d+\))?:?$|\bdue to previous errors?\b|^\W*error: \S+ (?:failed|exited)\W*$"
)
# A program refuses something, in a row that begins so and has no level.
_REFUSAL = Linear(
    r"^\W{0,4}(?:bad|unknown|unrecogni[sz]ed|invalid|undefined|undeclared|unbound|unsupported|illegal|unexpected|missing|cannot|can'?t|could(?: not|n't)|unable to|no such|failed to|failure|not ok \d)\b"
)
# A list of what an error was caused by, each below the one that it explains.
_CAUSES = late_pattern(r"\s*Caused by:\s*$")
# An exception in the report of a test or of a step, which stands further in.
_INDENTED = Linear(
    r"^\s{1,12}[\w.]*(?:Error|Exception|Failure)(?: \[\w+\])?: \S|^\s{1,12}[1-9]\d* (?:failing|failed)\b|^\s{0,12}FAIL(?:ED|URE)?\b",
    ignore_case=False,
)
_BEFORE_PLACE = Linear(r"^(?:[\w./+-]+:|File)? ?$")
_STACK_OPENS = Linear(
    r"^\s*(?:stack traceback:|while executing$|invoked from within$|stacktrace:|callstack \(from|\W*call history:|back-?trace:?$|call stack\W*:?|\*{3} stack trace)"
    r"|^\s*in (?:main chunk|function <|\[C\])"
)
# Frames, source as it is quoted, marks below it, and advice on where help is.
_TRAIL = Linear(
    r"^\s*$"
    r"|^\s*(?:\[C\]: |#?\d+[:|]? +\(|#\d+ |\d{1,5} \||\||--> |= (?:note|help)|at |from |in \S+ (?:at|line)|called (?:from|by)|\.{3}|\^|~|\(file |\(procedure |\(\"|\"[^\"]*\"?$|\d+\s+[\[(<]|raised (?:at|by)|re-raised|while executing|invoked from|stack traceback|stacktrace|callstack|call history|back-?trace|tasks: top|\(see full trace|did you mean|note:|hint:|help:|candidates)"
)
_LOGGED = Linear(
    r"^[EF]\d{4} \d\d:|^\[?\d{2,4}[-/]\d\d[-/]\d\d|[\"']?(?:level|severity)[\"']?\s?[:=]"
)
# An error that a program was handed and gave up over, as Rust and Go print it: what it says is the reason. What the
# runtime itself panics over is no such value.
_ERROR_VALUE = late_pattern(
    r"thread '[^']*'.{0,20} panicked at .{0,300}?(?:on an .Err. value: |: (?=[A-Z]\w+(?:[ ({\"]|$)))(?P<rust>.+)$"
    r"|^panic: (?!runtime error|interface conversion|unreachable|assert|todo|not implemented|send on|close of|sync|reflect|goroutine)(?P<go>.+)$"
)
# A place in a compiled program's own source, as it puts it into its messages: behind the level, or at the end.
_OWN_PLACE = Linear(
    r"^[\W_]{0,4}(?:[a-z]\d{4} \S+ +(?:\d+ )?|(?:error|fatal|err|critical|failed|panic)\b[^a-z]{0,3}(?:[\w.-]+\[[\w.]*\]:\S*?:)?[\"'\[(]{0,2})[\w./+-]*\w\.(?:c|cc|cpp|cxx|h|hpp|hh)\b"
    r"|\([\w./+-]*\w\.(?:c|cc|cpp|cxx|h|hpp|hh):\d+\)$"
    r"|^\W{0,3}\[[\w./+-]*\w\.(?:c|cc|cpp|cxx|h|hpp|hh):\d+\b|^\.\.?/\S*\w\.(?:c|cc|cpp|cxx|h|hpp|hh):\d+: (?:[^ewf]|e[^r]|w[^a]|f[^a])"
)
_SYNTAX = Linear(
    r"\b(?:syntax|parse) error\b|\bunexpected (?:token|end of file|eof)\b|\bunterminated\b"
)
_UNHANDLED = Linear(
    r"\b(?:unhandled|uncaught|panic(?:ked)?|debugger invoked|runtime error|exception error|raised exception)\b"
)


class Statement(Struct, frozen=True):
    """What a program said of its failure.

    `text` is what it said, with what followed where the head alone says little; `of_code`: a language says
    it of the program's own code, with a place or a stack, or of a condition that nobody handled.
    """

    said: LogItem
    text: str
    frame: Frame | None = None
    of_code: bool = False
    of_value: bool = False
    """An error that the program was handed, and over which its runtime ended it."""
    first: str = ""
    """Of several statements that stand close together, the first."""
    after: str = ""
    """What it complained of right above and said next, for words that tell nothing."""


class _StatedRow(Struct, frozen=True):
    item: LogItem
    text: str


def statement_in(said: Sequence[LogItem]) -> Statement | None:
    """The error that these last things of a log state, or None where none has the form of one.

    Of several that stand close together the first is the reason: the others follow from it.
    """
    rows = list(_rows_after_work(said))
    heads = [number for number, row in enumerate(rows) if _is_head(rows, number, row.text)]
    telling = [
        n for n in heads if not is_wrapper(rows[n].text) and not is_wrapper(_message(rows, n))
    ]
    telling = telling or [
        n for n, row in enumerate(rows) if _REFUSAL.is_in(row.text) and not is_wrapper(row.text)
    ]
    telling = telling or [n for n, row in enumerate(rows) if _INDENTED.is_in(row.text)]
    if not telling:
        return None
    first = len(telling) - 1
    while first > 0 and telling[first] - telling[first - 1] <= _GAP:
        first -= 1
    chosen = telling[first:][:_MOST]
    placed = next((found for n in chosen if (found := _place_near(rows, n)) is not None), None)
    messages = [_message(rows, number) for number in chosen]
    words = " ".join(messages)
    of_code = bool(
        placed and (placed["program"] or (placed["shell"] and _SYNTAX.is_in(words)))
    ) or any(_is_by_stack(rows, number) or _UNHANDLED.is_in(rows[number].text) for number in chosen)
    if any(_OWN_PLACE.is_in(rows[number].text) for number in chosen):
        placed, of_code = None, False
    value = _ERROR_VALUE.search(messages[0])
    if value is not None:
        messages[0], of_code = value["rust"] or value["go"], False
    frame = Frame(placed["file"], int(placed["line"])) if placed else None
    rest = (row.text.strip() for row in rows[chosen[-1] + 1 :] if not _TRAIL.is_in(row.text))
    above = (
        row.text.strip()
        for row in rows[max(0, chosen[0] - _BELOW) : chosen[0]]
        if complains(row.text)
    )
    after = " ".join([*above, *itertools.islice(rest, _GOES_ON)])
    of_value = value is not None
    return Statement(rows[chosen[0]].item, words, frame, of_code, of_value, messages[0], after)


def is_wrapper(text: str) -> bool:
    """Whether it says no more than that something failed."""
    return _WRAPPER.is_in(text)


def _rows_after_work(said: Sequence[LogItem]) -> Iterator[_StatedRow]:
    """Rows after the last progress and the last traceback: what was said before did not end it."""
    start = 0
    for number, one in enumerate(said):
        if one.raised or is_progress(one.text):
            start = number + 1
    for one in said[start:]:
        for text in one.text.split("\n"):
            yield _StatedRow(one, text[:_READ].rstrip())


def _is_head(rows: Sequence[_StatedRow], number: int, text: str) -> bool:
    if not text or text[:1] in " \t" or _QUIET.is_in(text):
        return False
    if _HEAD.is_in(text) or _is_above_stack(rows, number):
        return True
    placed = _PLACE.search(text)
    return placed is not None and (
        _BEFORE_PLACE.is_in(text[: placed.start()]) or text.endswith(f"line {placed['line']}.")
    )


def _is_above_stack(rows: Sequence[_StatedRow], number: int) -> bool:
    """A row of words right above the first row of a stack."""
    below = next(
        (row.text for row in rows[number + 1 : number + 1 + _BELOW] if row.text.strip()), ""
    )
    return _STACK_OPENS.is_in(below) and not _TRAIL.is_in(rows[number].text)


def _is_by_stack(rows: Sequence[_StatedRow], number: int) -> bool:
    """Above a stack, or below one that begins not far above, as some languages print it."""
    above = rows[max(0, number - _GAP) : number]
    return _is_above_stack(rows, number) or any(_STACK_OPENS.is_in(row.text) for row in above)


def _message(rows: Sequence[_StatedRow], number: int) -> str:
    """The head, and where it announces what follows, or says next to nothing, the rows that follow."""
    head = rows[number].text.strip()
    causes = next(
        (
            n
            for n in range(number + 1, min(number + _BELOW + 2, len(rows)))
            if _CAUSES.match(rows[n].text)
        ),
        None,
    )
    if causes is not None:
        listed = (row.text.strip() for row in rows[causes + 1 : causes + 1 + _AHEAD])
        return " ".join([head, *itertools.takewhile(bool, listed)])
    if not head.endswith((":", "!")) and len(head.split()) > _FEW_WORDS:
        return head
    said = [head]
    for row in rows[number + 1 : number + 1 + _AHEAD]:
        text = row.text.strip()
        if len(said) > _GOES_ON:
            break
        if text and not _TRAIL.is_in(row.text):
            said.append(text)
    return " ".join(said)


def _place_near(rows: Sequence[_StatedRow], number: int) -> Any:
    """The place that the head names, or else the first below it: stacks begin with the innermost.

    What a logger puts before its lines is where it was called in a program that is no user's.
    """
    if _LOGGED.is_in(rows[number].text):
        return None
    for row in (rows[number], *rows[number + 1 : number + 1 + _AHEAD]):
        if (found := _PLACE.search(row.text)) is not None:
            return found
    return None
