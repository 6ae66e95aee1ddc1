"""Stack frames and quoted source of every runtime, and whose code they stand in.

Owns the patterns of frames (Python, IPython and rich, Java and Scala, Node, .NET, Go, Julia, R, C and C++) and
the list of what is nobody's own code. `writer_reader` says which lines they belong to. Pure.
"""

from __future__ import annotations

import re

from remediator.diagnosis.lazy_patterns import Linear
from remediator.domain import Frame
from remediator.domain.late_pattern import late_pattern

_FRAME_CHARS, _CALL_CHARS = 500, 300  # of a line that are read; chosen
FRAME = late_pattern(
    r'^(?P<pad>[\s|+]*)File "(?P<file>[^"]{1,400})", line (?P<line>\d{1,9})(?:,? in (?P<function>\S{1,200}))?\s*$'
)
IPYTHON_FRAME = late_pattern(
    r"^(?:File |Cell |Input |<ipython)\s?(?P<file>[^,\s]{1,400}?)(?::(?P<line>\d{1,9}))?(?:,? (?:line (?P<cell>\d{1,9})|in (?P<function>\S{1,200})))"
)
NUMBERED = late_pattern(r"^(?:-+> ?|\s*)\d{1,6}(?:\s|$)|^\s*\(\.\.\.\)$|^-{20,}$")
MARKERS = late_pattern(
    r"^[\s|+]*[~^]{1,400}[\s~^]*$|^\s*\[Previous line repeated \d+ more times?\]"
)
JAVA_FRAME = late_pattern(
    r"^\s*at (?:[\w.-]{1,60}(?:@[\w.-]{1,30})?/{1,2})?(?P<function>[\w.$<>]{1,300})\((?P<file>[\w$.-]{0,120}\.(?:java|scala|kt|groovy|clj))?:?(?P<line>\d{0,9})[^)]{0,100}\)"
    r"|^\s*at [\w.$<>/-]{3,300}\((?:Native Method|Unknown Source|<generated>)\)|^\s*\.\.\. \d{1,6} (?:more|common frames)"
)
NODE_FRAME = late_pattern(
    r"^\s+at (?:(?P<function>[^()]{1,200}) )?\(?(?:file://)?(?P<file>[^():]{1,300}):(?P<line>\d{1,9}):\d{1,9}\)?,?( \{)?$|^\s+at (?:async )?[\w.<>$ \[\]]{1,200}(?: \((?:native|<anonymous>|index \d+)\))?$"
)
NODE_SOURCE = late_pattern(
    r"^(?:file://)?(?P<file>/[^:\s]{1,300}\.[cm]?[jt]sx?):(?P<line>\d{1,9})$"
)
_GO_FRAME = late_pattern(
    r"^goroutine \d{1,9} .{0,80}\]:$|^\s+(?P<file>/[^\s:]{1,300}\.(?:go|s)):(?P<line>\d{1,9})(?: \+0x[0-9a-f]+)?$|^(?:created by )?[\w./()*\[\]{}-]{1,200}\((?:\{?0x[0-9a-f]{1,16}[^)]{0,300}|\.\.\.|)\)(?: in goroutine \d+)?$"
)
_NATIVE_FRAME = late_pattern(
    r"^\s*#\d{1,4}\s+(?:in )?(?:0x|[^\s\d]).{0,300}|^\s*(?:@|\*\*\*|\d{1,3}:)\s+0x[0-9a-f]{4,16}\b.{0,300}|^\s*frame #\d{1,4}: |^\s*\d{1,3}: (?:0x[0-9a-f]{4,16} - )?(?:[\w$<>]{3,120}|[\w<>:{}$ ,]{0,120}::[\w<>:{}$ ,]{0,120})$|^\s*\[0x[0-9a-f]{6,16}\]|^\S{1,200}\(\+?[\w+]{0,200}0x[0-9a-f]{1,16}\)\s?\[0x[0-9a-f]{4,16}\]"
)
_R_FRAME = late_pattern(
    r"^(?:Calls: |\s*\d{1,3}: \S{1,80}\()|^Backtrace:$|^\s{1,6}(?:\d{1,3}\. )?[├└│█─▆ ]{1,20}\S"
)
_JULIA_FRAME = late_pattern(r"^\s{1,4}\[\d{1,4}\] \S|^\s{3,6}@ \S+ \S+:\d{1,9}$|^Stacktrace:$")
DOTNET_FRAME = late_pattern(
    r"^\s+at (?:\(wrapper [\w-]{1,40}\) )?[\w.<>`+\[\],/|]{3,300} ?\([^()]{0,400}\)(?: \[0x[0-9a-f]{1,8}\])?(?: in .{1,300}:(?:line )?\d{1,9})? {0,2}$"
)
RICH_FRAME = late_pattern(
    r"^\s*│\s(?P<file>\S{1,300}):(?P<line>\d{1,9}) in (?P<function>\S{1,120})"
)
# Code of others: the language's own, installed packages, launchers.
_NOT_OWN = late_pattern(
    r"site-packages|dist-packages|^<[^>]{1,80}\s|/lib/python\d|/python\d\.\d{1,2}/(?!app)|<frozen|<string>|<unknown>|<__array_function__|importlib|node_modules|node:internal|internal/|/usr/local/go/|/pkg/mod/|/rustc/|/cargo/registry|^bazel-|/opt/conda/lib|/usr/lib/|torch_(?:xla|geometric)?/distributed/run|^\.?/?venv/|/\.venv/|/bin/[\w.-]{1,60}$|\.px[id]$|\.pyx$|\.zip/|/\.julia/packages/|/share/julia/|^\./\w+\.jl$"
)
NOT_OWN_JAVA = late_pattern(
    r"^(?:java|javax|jdk|sun|com\.sun|scala|kotlin|akka|org\.(?:apache|springframework|slf4j|eclipse|scalatest|junit|jboss|hibernate|pytorch)|io\.(?:netty|grpc|vertx|quarkus|micronaut)|com\.(?:google|fasterxml|zaxxer|amazonaws)|py4j|clojure|reactor|okhttp3|ai\.djl)\."
)
WAITING_FRAME = late_pattern(
    r"urllib|requests/|httpx|httpcore|aiohttp|http[./ ]client|socket|ssl\.py|\brecv|getaddrinfo|botocore|boto3|fsspec|gcsfs"
    r"|google[./]cloud[./](?:storage|bigquery)|google[./]resumable|grpc|urlopen|paramiko|ftplib|psycopg|pymysql|redis/|pymongo|kafka",
    re.IGNORECASE,
)
# The first call on a device: what raises there found none, or none that it could use.
STARTS_A_DEVICE = Linear(
    r"\b_?(?:cuda|nvml|hip|cu)_?init\w{0,12}\(|\bget_?device_?count\(|torch/cuda/__init__\.py _lazy_init\b",
    needs="init device",
)
# Calls that compute on a device, or take memory of it, in the frameworks that are used most.
COMPUTES_ON_A_DEVICE = Linear(
    r"\bbackward\(|\bforward\(|\.(?:to|cuda)\(|\b_call_impl\b|torch/nn/|\bF\.\w{1,40}\(|\btorch\.\w{1,40}\(|\bmodel\(|\bgenerate\(|\btrain_step\b|\bfit\(|\boptimizer\.step\(",
)


def is_own(file: str) -> bool:
    """Whether a file of a frame is the user's, not the language's or an installed package's."""
    return _NOT_OWN.search(file) is None


def is_compiled(frame: Frame) -> bool:
    """A function of a module that Cython compiled: it bears the module's name (`av.error.err_check` in av/error.py)."""
    module = frame.file.rpartition(".")[0].replace("/", ".")
    return "." in module and f"{frame.function}".startswith(f"{module}.")


def function_words(frame: Frame) -> str:
    """`folder/module.function`: what a library's frame says of what it was about."""
    folder, _, name = frame.file.strip("<>").rpartition("/")
    module = name.rpartition(".")[0] or name
    function = (frame.function or "").rpartition(".")[2]
    return f"{folder.rpartition('/')[2]}/{module}.{function}".replace(" ", ".")


def frame_of(found: re.Match[str]) -> Frame:
    """The frame that a match of `FRAME` tells."""
    return Frame(found["file"], int(found["line"]), (found["function"] or "").strip() or None)


def is_frame(text: str) -> bool:
    """A stack frame of any runtime: where it stands, a source file has been quoted."""
    head = text[:_FRAME_CHARS]
    lead = head.lstrip()[:3]  # `at ` or `...`: chosen
    if lead == "at ":
        return bool(JAVA_FRAME.match(head) or NODE_FRAME.match(head) or DOTNET_FRAME.match(head))
    if lead == "...":
        return bool(JAVA_FRAME.match(head))
    return bool(_GO_FRAME.match(head) or _NATIVE_FRAME.match(head) or _JULIA_FRAME.match(head))


def is_native(text: str) -> bool:
    """A frame that need not be indented: Go, C and C++ back-traces, R's calls."""
    lead = text[:1]
    if (
        lead in "#@*g[c"
        or "(0x" in text[:_CALL_CHARS]
        or "[0x" in text[:_CALL_CHARS]
        or "(...)" in text[:_CALL_CHARS]
    ):
        return bool(
            _GO_FRAME.match(text[:_FRAME_CHARS]) or _NATIVE_FRAME.match(text[:_FRAME_CHARS])
        )
    if lead == "C" or lead == "B":  # noqa: PLR1714
        return bool(_R_FRAME.match(text[:_CALL_CHARS]))
    return False
