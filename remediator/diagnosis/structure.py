"""A log as what a program said: tracebacks as one thing each, and the lines between them.

Owns whose line each is: tracebacks arrive in one entry or in one entry a line, from several tasks and ranks at
once; what one writer's lines say is `writer_reader`'s. One pass, linear in the text. Pure; called by `texts` and
`timeline`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from remediator.case import LogLine
from remediator.diagnosis.open_trace import LogItem
from remediator.diagnosis.writer_reader import WriterReader
from remediator.domain.late_pattern import late_pattern

_WRITER_HEAD = 60  # characters; chosen
_ANSI = late_pattern(r"\x1b\[[0-9;?]{0,12}[A-Za-z]")
# What launchers put before each line of a rank or an actor: part of no traceback.
_WRITER = late_pattern(
    r"^(?:\[(?:default|rank|worker|node)?_?\d{1,6}\]:? ?|\[\d{1,5},\d{1,5}\]<\w{1,10}>:? ?|\([\w.:<> -]{1,80}pid=\d{1,9}[^)]{0,60}\) ?|[\w.-]{1,40} {0,20}\| (?! ))+"
)


def read_log(lines: Iterable[LogLine]) -> Iterator[LogItem]:
    """What the lines say, in their order; tracebacks where their last exception stands.

    Each task's lines must come in order of time; tasks and ranks may be mixed.
    """
    readers: dict[tuple[str, str], WriterReader] = {}
    last: LogLine | None = None
    for line in lines:
        last = line
        text = line.text
        if "\x1b" in text:
            text = _ANSI.sub("", text)
        if "\n" not in text:
            reader, rest = _reader_of(readers, line, text)
            yield from reader.read(line, rest)
            continue
        yield from _many(readers, line, text)
    if last is not None:
        for reader in readers.values():
            yield from reader.finish(last)


def _reader_of(
    readers: dict[tuple[str, str], WriterReader], line: LogLine, text: str
) -> tuple[WriterReader, str]:
    """Who reads the writer of this line, and the line without the writer's mark."""
    writer, rest = _writer_of(text)
    reader = readers.get((line.task, writer))
    if reader is None:
        reader = readers[line.task, writer] = WriterReader()
    return reader, rest


def _writer_of(text: str) -> tuple[str, str]:
    if text[:1] in "[(" or " | " in text[:_WRITER_HEAD]:
        found = _WRITER.match(text)
        if found:
            return found[0].strip(), text[found.end() :]
    return "", text


def _many(
    readers: dict[tuple[str, str], WriterReader], line: LogLine, text: str
) -> Iterator[LogItem]:
    """An entry of several lines: its plain lines stay together, its tracebacks are taken out."""
    plain: list[str] = []
    for row in text.split("\n"):
        reader, rest = _reader_of(readers, line, row.rstrip("\r"))
        for said in reader.read(line, rest):
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
