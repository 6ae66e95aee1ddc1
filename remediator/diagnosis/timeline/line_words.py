"""What one log line says of the time: its template, a section's name, a duration, a host, who is waited for.

Owns the patterns. Numbers, ids, paths and quoted words are masked, so that lines of one kind share a template.
Drain3 was weighed and left: its parse tree mines better templates from many programs mixed, but one job's log
is one program's; masking alone groups it, in one pass and without 90 ms of imports at cold start (measured
when it was weighed) or state that lives between cases. Pure; called by `sections` and `read_timeline`.
"""

from __future__ import annotations

import re

from remediator.diagnosis.durations import TEXT
from remediator.diagnosis.lazy_patterns import Linear
from remediator.domain.late_pattern import late_pattern

NAME_LENGTH = 80  # characters of a section's name; chosen
# What a line does stands near its start; and one program prints so many templates at most: the
# rest of a log that never says the same twice tells no sections.
HEAD = 200  # characters; chosen
# What a logger puts before its message: level, its own name, process and thread.
_LOGGER = late_pattern(
    r"^\W{0,3}(?:\[?\d{1,9}\]?\W{1,3}){0,3}(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b\W{0,4}(?:\[?[\w.-]{1,60}(?:\[\d+\])?\]?:\s+|\[[\w./:-]{1,60}\]\W{0,3})?"
)
_STAMP = late_pattern(
    r"^\W*(?:\d{4}[-/]\d\d[-/]\d\d[T ])?\d\d:\d\d:\d\d[.,\d]*(?:Z|\s?[+-]\d{4})?\W*"
)
_MASKS = (
    (_STAMP, ""),
    (late_pattern(r"(?:gs|s3|https?|bq)://[^\s'\"]+"), "<uri>"),
    (late_pattern(r"/[\w.-]+(?:/[\w.=-]+)+"), "<path>"),
    (
        late_pattern(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{13,27}\b|\b(?=[a-f]*\d)[0-9a-f]{12,64}\b"),
        "<id>",
    ),
    (late_pattern(r"\d+(?:[.,:]\d+)*"), "<n>"),
    # A bar that grows is one template, not ten; neither are dots that fill a line.
    (late_pattern(r"\.{4,}"), "..."),
    (late_pattern(r"\|[\u2580-\u259f#=> .-]*\||[#=>]{3,}\.*"), "|"),
)
URI = late_pattern(r"[a-z]{2,10}(?:\+srv)?://[^\s'\"<>]+")
HOST_IN_URI = late_pattern(
    r"(?:https?|s?ftp|rediss?|postgres(?:ql)?|mysql|mongodb(?:\+srv)?|amqps?|grpcs?|kafka|nats|memcached|cassandra|clickhouse|rsync|wss?)://(?:[^/@\s]{1,80}@)?([A-Za-z0-9.-]+)"
)
# The address of a store that a program asks.
STORE = late_pattern(
    r"\b(?:rediss?|postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|memcached|cassandra|clickhouse|couchbase|neo4j|bolt|s?ftp|elasticsearch|jdbc:\w{1,20})://(?!localhost|127\.|0\.0\.0\.0)(?:[^/@\s]{1,80}@)?[A-Za-z0-9]"
)
BUCKET = late_pattern(r"\b(?:gs|s3a?|abfss?|wasbs?|hdfs|bq)://[a-z0-9]")
# Another machine by its name, where the words say that something came from it or went to it. Addresses
# and names of the own network are left out: they are clients', or the machine's own.
_HOST_NAMED = late_pattern(
    r"\b(?:from|to|of|at|by|via|host|upstream|endpoint|server)[ =:]{1,2}['\"]?"
    r"(?P<host>(?:[a-z0-9-]{1,63}\.){1,8}(?:com|net|org|io|dev|cloud|corp|example|app|ai|co|eu|gov|edu|info|biz|[a-z]{2})"
    r"|[a-z0-9-]{2,40}-(?:db|api|svc|redis|cache|gateway))(?::\d{2,5})?\b(?![/(.\w-])"
)
# The same of any domain, where other words say that the line tells of waiting.
HOST_AWAITED = late_pattern(
    r"(?:from|to|of|at|by|for|on|host)[ =:]{1,2}((?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24})\b(?![/(])"
)
_NOT_A_HOST = late_pattern(
    r"\.(?:py|gz|so|md|sh|rs|js|ts|h5|pt|pb|nn|fn|jl|db|rb|go|cc|hs|ml|bz|xz)$"
)
WAITING = Linear(
    r"\bfetch(?:ing|ed|es)?\b|\bdownload(?:ing|ed|s)?\b|\bhttps?://|\bconnect(?:ing|ed)? to\b"
    r"|\brequest(?:ing|ed)? (?:to|from|of|data)\b|\bresponse from\b|\blatency\b"
    r"|\bstream(?:ing|ed)? from\b|\b(?:copy|open|list|read)(?:ing)? (?:file )?(?:from |path: )?(?:gs|s3a?|abfss?|wasbs?|hdfs)://|\breceived? from\b|\bquery(?:ing)? (?:bigquery|database|api)"
    r"|\bread(?:ing)? from (?:gs|s3|http|remote|the network|bigquery|bucket)|\bpull(?:ing|ed)?\b|\bround[- ]trip\b|\brpc\b"
    r"|\bnot responding\b.{0,20}\btrying\b|\bapi call\b|\b(?:postgres(?:ql)?|mysql|jdbc:\w{1,20}|mongodb(?:\+srv)?|snowflake|s?ftp)://|\b(?:wget|curl|rsync|gsutil|rclone)\b"
    r"|\bbigquery\b.{0,60}\b(?:page|rows?|result|read|query)|\b(?:page|rows?|results?)\b.{0,40}\bfrom bigquery\b"
    r"|\b\d[\d.,]* ?(?:[kmgt]i?)?b(?:ytes)? in [\d.]+ ?m?s\b|\bstag(?:e|ing)[- ]?in\b"
    r"|\b(?:rows?|records?|bytes|batch(?: of \d+)?|page|chunk|shard|documents?|messages?|results?(?: set)?|response|answer|reply) (?:received|arrived|drained|fetched|came)\b|\bround-?trips?\b|\baller(?:s)?-retours?\b|\brtt\b|\blook(?:ed)?[- ]?ups?\b"
    r"|\b\d[\d.,]* ?[kmgt]i?b?(?:ytes)?/s(?:ec)?\b"
    r"|\bfrom (?:[a-z0-9-]{1,63}\.){1,8}(?:com|net|org|io|dev|cloud|corp|internal|local|example)\b"
    r"|\bcompleted [\d.]+ [kmg]?i?b(?:ytes)?/~?[\d.]+ [kmg]?i?b|% done\W{1,4}[\d.]+ [kmg]i?b/s|\bcalling\b.{0,30}\b(?:api|service|endpoint)\b|\bremote (?:host|call|read|fetch)\b|\b(?:get|put|list|head)objects?(?:v2)?\b|\b(?:request|call|query|poll)\b.{0,30}\b(?:answered|returned|responded|replied)\b|\btransfer(?:ring|red)?\b"
    # `GET api.example.com/teams/0 took 4.4 s`, `gauge 3: archive took 1.5 s`: somebody else's machine, by its name or its kind.
    r"|\b(?:get|post|put|head) (?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}(?::\d{2,5})?/"
    r"|\b(?:archive|catalog(?:ue)?|registry|warehouse|geocoder|(?:feature|online|object|vector|document)[ -]?store|api|upstream|remote|(?:web|micro)[ -]?service|bucket|cdn|mirror|gateway) (?:call |lookup |query |request |read )?(?:took|answered|replied|responded)\b"
)
# To wait is to wait for data only where something that sends data is named.
AWAITING = Linear(r"\bwait(?:ing|ed|s)?\b|\bpoll(?:ing|ed|s)?\b|\bblocked (?:on|in)\b")
SENDER = Linear(
    r"://|\b(?:[a-z0-9-]{1,63}\.){1,8}(?:com|net|org|io|dev|cloud|internal|local|example|corp|app|ai|co|eu|gov|edu|info|svc)\b|\b(?:answer|api|backend|bucket|connection|data|database|db|download|endpoint|feed|file|files|host"
    r"|http|input|io|message|messages|network|page|queue|remote|reply|request|requests|response|server|service|socket|source|stream|upload|upstream)s?\b"
)
# Names of sections are short and an author's own: there one such word is enough.
WAITING_NAME = late_pattern(
    r"\b(?:http|https|api|rest|grpc|remote|network|bq|bigquery|gcs|s3|ftp|sftp|sql|database|redis|elasticsearch|feature ?store"
    r"|vector ?search|lookup (?:remote|online)|online (?:store|features)|web ?service|crawl|scrape)\b",
    re.IGNORECASE,
)
# A client that tries again and again waits for an answer; a few such lines are chatter.
RETRYING = Linear(
    r"\bretry(?:ing)?\b|\bread timed? ?out\b|\bread ?timeout\b|\bconnect ?timeout\b|\brequest (?:[^ ]{1,80} )?timed out\b|\bback(?:ing)?[ -]?off\b"
)
# Peers, locks, memory and children that were killed: time passes after such a line, but neither in
# code nor on the way to data.
STANDING = Linear(
    r"\bbarrier\b|\brendezvous\b|\bmutex\b|\b(?:dead|file)?lock(?:ed|ing)?\b|\ball (?:ranks|workers|peers|replicas)\b|\bsigkill\b"
    r"|\bout[ -]of[ -]memory\b|\bmemory (?:usage|pressure|limit)\b|\bpausing worker\b|\bspill(?:ing|ed)?\b|\bgc (?:pause|overhead)\b|\bswap(?:ping)?\b|\bsleep(?:ing|s)?\b|\bdebugger\b"
    r"|\bray\.(?:get|wait)\b|\bsemaphore\b|\bsynchroni[sz]ed\b|\bto lock <|\bheld by\b|\bblocked[ _]by\b|\bwait[ _]event[ _]type\W{1,2}lock\b|\bmonitor (?:lock|entry|held|owned)\b|\b(?:on|for|to enter) (?:a |the )?monitor\b"
)
# Signs of life, and a server's own comings and goings: the section before goes on.
ALIVE = Linear(
    r"\bheart ?beat\b|\b(?:still|keep) ?-?alive\b|\b(?:thread|process|worker|daemon|orted|node|host|rank|loop)s? (?:is |are )?alive\b|^\W*ping\W*$|\b(?:get|head) /(?:health|healthz|ready|readyz|ping|live|livez|v1/health)\b"
    r"|\bbooting worker\b|\bwaiting for application startup\b|\bapplication startup complete\b|\bstarted server process\b"
)
# Chores beside the work, in a thread or a process of their own: what is sent to whoever watches the job, notices of newer
# versions, credentials renewed. None of them owns the time of the work.
CHORE = Linear(
    r"\b(?:metrics?|telemetry|traces?|spans?|usage (?:stat[a-z]*|data|reports?)|heart ?beats?|analytics|crash reports?|audit events?|log (?:batch(?:es)?|lines|records))\b.{0,40}\b(?:push(?:e[sd]|ing)?|export(?:er|ed|ing|s)?|flush(?:e[sd]|ing)?|sen[dt](?:ing|s)?|upload(?:ed|ing|s)?|ship(?:ped|ping)?|report(?:ed|ing)?|deliver(?:ed|y|ing)?|publish(?:ed|ing)?|scrap(?:ed?|ing)|emit(?:ted|ting)?|miss(?:ed|ing)?|late|lost)\b"
    r"|\b(?:push|export|flush|send|ship|report|deliver|publish|emit)(?:ed|ing)? (?:the |a |batch of |\d+ ){0,3}(?:metrics?|telemetry|traces?|spans?|usage (?:stat[a-z]*|data)|heart ?beats?|analytics)\b"
    r"|\bpush-?gateway\b|\b(?:statsd|otlp|opentelemetry|sentry|graphite)\b|\bnew(?:er)? (?:release|version) (?:of \S{1,40} )?(?:is |\(?v?[\d.]+\)? )*available\b|\bupdate (?:is )?available\b"
    r"|^\W{0,3}(?:wandb|comet(?:_ml)?|neptune|mlflow|clearml)\b\W{0,2}[: \[]|\b(?:access |auth |id )?(?:token|credentials?) (?:was |were )?(?:refreshed|renewed)\b|\b(?:refresh|renew)(?:ed|ing) (?:the )?(?:access |auth |id )?(?:tokens?|credentials?|lease)\b",
    needs="metric telemetry trace span usage heart analytics report audit log push statsd otlp sentry graphite availab wandb comet neptune mlflow clearml token credential lease",
)
# A watchdog's or a monitor's word that nothing came: the section before goes on, whatever it is called. A line that
# names what is still running names a section.
WATCHDOG = Linear(
    r"\bno (?:[\w-]{1,20} ){0,3}(?:progress|output|activity|checkpoints?|updates?|heartbeats?|logs?|log lines?|steps?|results?|change) (?:[\w-]{1,12} ){0,2}(?:for|since|in|within|yet|after)\b"
    r"|\bstill (?:running|working|going|busy|processing|computing|here|in progress|not (?:done|finished|complete))\b(?:\W{0,4}$|\W{1,4}(?:after|for|since|at|elapsed|\d))"
    r"|\bstill waiting\b(?:\W{0,4}$|\W{1,4}\d|\W{1,4}(?:after|since)\b|.{0,60}\b(?:to (?:finish|end|complete|exit|return)|completion)\b)",
    needs="no still",
)
# That the program is told to end, or was ended, and nothing of what it then does: no time after it is this line's.
ENDED = Linear(
    r"\b(?:received|got|caught|handling)\W{1,3}(?:a |the )?(?:sigterm|sigint|signal:? \W?(?:sigterm|term|15))\b(?:\W{1,3}(?:15|sigterm|signal|now))?(?:\W{1,4}(?:will |now )?(?:shutting down|exiting|stopping|terminating|aborting|quitting|exit|bye|goodbye)(?: \w{1,20}){0,2})?\W*$"
    r"|\b(?:sigterm|signal:? (?:15|term))\b (?:was )?(?:received|caught|arrived)(?:\W{1,4}(?:shutting down|exiting|stopping|terminating|aborting|quitting)(?: \w{1,20}){0,2})?\W*$"
    r"|\bjob (?:is |was |has been )?(?:being )?cancell?ed\W*$|\bcancell?ing (?:the )?job\W*$|\b(?:deadline|time[ -]?out|timed out|time[ -]?limit)(?: exceeded| reached| hit)?\W{1,3}(?:killed|terminated)\W*$",
    needs="sig term 15 cancel killed",
)
# What a line says of somebody far away, beside a part of its time: the part was spent on the way.
FAR = Linear(
    r"\brtt\b|\bround-?trips?\b|\blatency\b|\blookups?\b|\ballers?-retours?\b",
    needs="rtt trip latency lookup retour",
)
# A bar of a download has no word either, but a rate; wget's dots, of any of its styles, and curl's meter: no word
# stands in them. Documented: the manuals of wget (dot styles) and curl (progress meter), aria2c's.
RATE = Linear(r"\b\d[\d.,]* ?[kmgt]i?b(?:ytes)?/s\b", needs="/s")
DOTS = Linear(
    r"^\W{0,3}\d{1,12}K (?:[.,]{8,16} ?){1,6}"
    r"|^\s{0,3}\d{1,3}\s+[\d.]{1,6}[kMGTP]?\s+\d{1,3}\s+[\d.]{1,6}[kMGTP]?\s+\d{1,3}\s+[\d.]{1,6}[kMGTP]?(?:\s+[\d.]{1,6}[kMGTP]?){2}(?:\s+(?:\d{1,4}[:dh ]{1,2}[\d:h]{2,5}|-+:--:--)){3}\s+[\d.]{1,6}[kMGTP]?\s*$"
    r"|^\W{0,2}#[0-9a-f]{6}\b.{1,60}\bDL:[\d.]{1,6}[KMGT]?i?B"
)
# What is looked up for somebody, in a time that the line tells: it was asked of a store.
LOOKED_UP = late_pattern(
    r"^(?:got |read |loaded |online )?features?\b(?: (?:for|of|from) \S{1,60})?(?: (?:in|took|after)\b|: )",
    re.IGNORECASE,
)
# Whom a line asked that tells how long it took: a statement of SQL, a store or a service by its name or its kind, an
# answer's status. A database that is a file of the program's own is nobody else.
_ASKED_OF = Linear(
    r"\bselect\b.{1,200}\bfrom\b|\b(?:insert into|delete from)\b|\bsql (?:query|statement|call)\b"
    r"|\b(?:db|database|postgres(?:ql)?|mysql|mariadb|mssql|mongo(?:db)?|cassandra|dynamo(?:db)?|bigtable|spanner|firestore|snowflake|redshift|clickhouse|neo4j|redis|valkey|memcached?|elastic(?:search)?|opensearch|solr|pinecone|s3|gcs|minio|ldap)\b"
    r"|\b(?:http[/\d.]{0,4} )?(?:status )?[2345]\d\d from [a-z]|\bgrpc\b.{0,10}/[\w.]{2,80}/\w"
    r"|\b(?:web|micro|\w{3,20})[ _-](?:service|endpoint|api|gateway|db)\b|\bwaited [\d.]{1,9} ?(?:ms|s|sec|seconds?) for (?:the |an? )?\w",
)
_NOBODY_ELSE = Linear(
    r"sqlite|duckdb|in[- ]memory|\blocal\b|\bmodel[ _-](?:service|endpoint|api)\b|\b(?:gpu|batch|queue|worker|thread|turn|lock|slot|peers?|ranks?)\b"
)


def asks_another(text: str) -> bool:
    """Whether a line that tells how long it took names a store or a service that was asked."""
    bare = text[:TEXT]
    return _ASKED_OF.is_in(bare) and not _NOBODY_ELSE.is_in(bare)


_CAMEL = late_pattern(r"(?<=[a-z])(?=[A-Z])")
WAITING_STACK = Linear(
    r"urllib|requests|httpx|aiohttp|http[./ ]client|socket|ssl\.py|recv|getaddrinfo|connect\b|botocore|boto3|fsspec|gcsfs"
    r"|google[./]cloud[./](?:storage|bigquery)|google[./]resumable|grpc|select(?:ors)?\.py|selectors|epoll|\bpoll\b|urlopen"
    r"|read_response|paramiko|ftplib|psycopg|pymysql|fetch|download"
)
INFERENCE = Linear(
    r"\b(?:predict(?:ion|ions|ing)?|infer(?:ence|ring)?|forward(?: pass)?|generat(?:e|ing|ion)|model\(|__call__|embed(?:ding|dings)?)\b"
)
_SECTION_NAME = late_pattern(
    r"^\W*(?:section|stage|phase|step|begin(?:ning)?|start(?:ing|ed)?|entering)\b\W*(?P<name>[A-Za-z_][\w .-]{1,60})",
    re.IGNORECASE,
)
# What starts here is the program, not a section of it.
_STARTED = late_pattern(
    r"(?:up|the )?\W*(?:application|app|container|gunicorn|job|main|process|program|run|script|server|service|training job|uvicorn|worker|workers)?\W*$",
    re.IGNORECASE,
)
# What is left of a template that says something: a word, not a unit ("<n>/<n> [<n>it/s]").
WORD = late_pattern(r"[^\W\d_]{3,}|[^\W\d_\x00-\x7f]")
UNIT_WORDS = frozenset({"eta", "its", "min", "mins", "sec", "secs", "kib", "mib", "gib"})
_BRACKETS = late_pattern(r"^\[(?P<name>[A-Za-z_][\w .:/-]{0,60})\]")
_LEVELS = frozenset(
    {"debug", "info", "warn", "warning", "error", "critical", "fatal", "stdout", "stderr"}
)
_TIMERS = frozenset(
    {"timeit", "timer", "timing", "timed", "profile", "profiler", "perf", "trace", "stopwatch"}
)
"""What a timer puts before each of its lines: no section's name."""
_MASK = late_pattern(r"<(?:uri|path|id|n)>")


_OF_HELP = late_pattern(
    r"(?:see|visit|refer to|read|documentation|docs|details|more|information|guide)(?: at| on| in)?\W{1,3}$",
    re.IGNORECASE,
)
_HELP_HOST = late_pattern(
    r"^(?:docs?|help|support|wiki|learn|developers?)\.|readthedocs|\.github\.io$|^stackoverflow\.",
    re.IGNORECASE,
)


_LOOPBACK = late_pattern(r"^(?:localhost|127\.\d|0\.0\.0\.0)")


def host_in_uri(text: str) -> str:
    """The host of the first URI in the text that is no page to read and not the machine itself; empty where there is
    none.
    """
    for found in HOST_IN_URI.finditer(text):
        if _LOOPBACK.match(found[1]):
            continue
        if not _HELP_HOST.search(found[1]) and not _OF_HELP.search(text[: found.start()]):
            return found[1]
    return ""


def template_of(text: str) -> str:
    """The line with what varies masked: `processed <n> of <n> rows`."""
    masked = text[:TEXT]
    for pattern, mask in _MASKS:
        masked = pattern.sub(mask, masked)
        if pattern is _STAMP:
            masked = _LOGGER.sub("", masked, count=1) or masked
    return " ".join(masked.split())


def unprefixed(text: str) -> str:
    """The line without its time and what else a logger put before the message."""
    bare = _STAMP.sub("", text)
    return _LOGGER.sub("", bare, count=1) or bare


def readable(name: str) -> str:
    """A section's name as people read it: no mask in it, and no more than the line's own heading.

    `predict` for `predict: <n>/<n> instances`, `processed … of … rows` where there is no heading.
    """
    head, _, rest = name.partition(":")
    heads = says_something(head) and head.strip().lower() not in _LEVELS
    if heads and _MASK.search(rest) and not _MASK.search(head):
        return head.strip()
    return _MASK.sub("…", name)


def split_name(name: str) -> str:
    """`fetch_features` and `fetchFeatures` as the words that they are made of."""
    return _CAMEL.sub(" ", name).replace("_", " ").replace("-", " ")


def says_something(template: str) -> bool:
    """Whether any word is left of the template; bare progress ("<n>/<n>") names no section."""
    bare = template.replace("<path>", " ")
    return any(word.lower() not in UNIT_WORDS for word in WORD.findall(bare))


def name_of(text: str, template: str) -> tuple[str, bool]:
    """What a person would call the section, and whether the line itself names one.

    The name that the line gives it, else its template.
    """
    bracketed = _BRACKETS.match(template)
    if bracketed and bracketed["name"].strip().lower() not in _LEVELS | _TIMERS:
        return bracketed["name"].strip()[:NAME_LENGTH], True
    match = _SECTION_NAME.match(template)
    if match and "<n>" not in match["name"] and not _STARTED.match(match["name"]):
        return match["name"].strip(" .-")[:NAME_LENGTH], True
    host = host_in_uri(text)
    name = template.replace("<uri>", host) if host else template
    return name[:NAME_LENGTH].strip(), False


def host_named(text: str) -> str:
    """The host that a line names by word, not by a URI; empty where there is none."""
    for found in _HOST_NAMED.finditer(text[:TEXT]):
        if not _NOT_A_HOST.search(found["host"]):
            return found["host"]
    return ""
