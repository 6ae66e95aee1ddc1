"""Signatures of services that failed for a while, time that ran out, and how a process ended.

Owns data only: rows of `Signature`. Interpreted by `matching`, put together by `known`.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Place, Signature, Tag
from remediator.diagnosis.signs import CERTAIN, DECISIVE, FAIR, STRONG
from remediator.domain import Cause

_TROUBLE = "cloud.google.com/vertex-ai/docs/general/troubleshooting"
_TRAINING = "cloud.google.com/vertex-ai/docs/training/understanding-training-service"
_CODES = "cloud.google.com/apis/design/errors"
_GENERATIVE = "cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors"
_HTTP_STATUS = "developer.mozilla.org/en-US/docs/Web/HTTP/Status/504"
_FIELD = "seen in public issue threads"
_TIME = frozenset({Tag.TIMED_OUT})

TRANSIENT: tuple[Signature, ...] = (
    Signature(
        "backend-router",
        Cause.TRANSIENT_BACKEND,
        CERTAIN,
        r"router status is temporarily unavailable",
        _TROUBLE,
    ),
    Signature(
        "backend-agents",
        Cause.TRANSIENT_BACKEND,
        DECISIVE,
        r"service agents? (is|are) (being|not yet) (provisioned|created|ready)",
        "cloud.google.com/vertex-ai/docs/general/access-control",
        explains=(
            "config-precondition",
            "config-argument",
            "permission-words",
            "bad-input-missing",
            "backend-again",
        ),
    ),
    Signature(
        "backend-capacity",
        Cause.TRANSIENT_BACKEND,
        STRONG,
        r"service is (temporarily |currently )?(out of capacity|at capacity|over capacity)",
        _GENERATIVE,
        explains=("capacity-stockout", "capacity-words", "quota-code", "backend-again"),
    ),
    Signature(
        "backend-attempt",
        Cause.TRANSIENT_BACKEND,
        FAIR - 0.5,
        r"internal error occurred for the current attempt",
        _TRAINING,
        symptom=True,
        explains=(
            "backend-words",
            "backend-again",
            "backend-internal",
            "backend-bare",
        ),
    ),
    Signature(
        "backend-internal",
        Cause.TRANSIENT_BACKEND,
        FAIR + 0.4,
        r"(encountered( an)?|unexpected|unknown|occurred:?|experienced an) internal (server )?error|internal (server )?error (was |has been |has )?(occurred|encountered)|an internal (server )?error while",
        _CODES,
        symptom=True,
        explains=("backend-bare",),
    ),
    Signature(
        "backend-bare",
        Cause.TRANSIENT_BACKEND,
        FAIR - 0.6,
        r"\binternal (error|issue|failure|problem)\b|^internal$",
        _FIELD,
        symptom=True,
        last_resort=True,
    ),
    Signature(
        "backend-words",
        Cause.TRANSIENT_BACKEND,
        STRONG,
        r"(temporarily|currently) (unavailable|overloaded|not available)|temporary (error|failure|problem|issue|condition)( occurred| encountered|,|\.| in the| on)|transient (error|failure|issue)"
        r"|backend ?error|500 internal|internalservererror|internal server error|infrastructure (error|failure|issue)|(unexpected|internal|unknown) (error|failure|problem)[^.]{0,60}(service|infrastructure|backend|server|vertex ai)\b|please try submitting"
        r"|service(s)? (is |are )?(currently |temporarily )?unavailable|503 service|502 bad gateway|bad gateway|serviceunavailable|(model|service|server|system) is overloaded|error 50[0-4] \(server error\)|something went wrong|jobinternalerror",
        _CODES,
        symptom=True,
    ),
    Signature(
        "backend-again",
        Cause.TRANSIENT_BACKEND,
        FAIR,
        r"retrying may (solve|help|succeed)|re-?run when |not healthy yet|(please|and) (try|retry)( again| the request| your request| this)?( later| in a|$|\.| or contact| and contact)|try again (later|in a few|in \d)|retrying (the job|the request|usually)",
        _CODES,
        symptom=True,
    ),
    Signature(
        "backend-code",
        Cause.TRANSIENT_BACKEND,
        FAIR + 0.3,
        r"\b(status|code|error)\W{0,4}(unavailable|internal)\b|statuscode\.(unavailable|internal)\b|\b(14|13) (unavailable|internal)\b|\bunavailable\b: |\b50[023]:? (internal|service|server|the|backend|unavailable|bad|request|socket|failed|connection|getting|get|post|put|delete)"
        r"|non-ok result 50[23]|exceptions\.(internalservererror|serviceunavailable|badgateway|bigqueryerror)",
        _CODES,
        symptom=True,
    ),
    Signature(
        "backend-number",
        Cause.TRANSIENT_BACKEND,
        FAIR - 0.5,
        r"\b(status|code|error|http)\W{0,4}50[023]\b|\b50[023] error\b",
        _CODES,
        symptom=True,
        last_resort=True,
    ),
    Signature(
        "backend-stream",
        Cause.TRANSIENT_BACKEND,
        FAIR + 0.4,
        r"socket closed|goaway|rst_stream|connection reset by peer|connectionreseterror|connection aborted|remotedisconnected|remote end closed connection|failed to connect to all addresses|transport (is )?clos(ing|ed)|stream error: stream id|internal_error; received from peer|upstream connect error|disconnect/reset before headers|no healthy upstream|connection (was )?(reset|closed by (the )?(peer|remote))|recvmsg:|stream removed|unexpected eof|incompleteread|server disconnected|protocolerror|econnreset",
        "grpc.io/docs/guides/status-codes",
        symptom=True,
    ),
    Signature(
        "backend-eof",
        Cause.TRANSIENT_BACKEND,
        FAIR + 0.4,
        r"eof occurred in violation|unexpected_eof|unexpected eos|ssleoferror|rpc failed; http 50[0-4]|premature eof",
        _CODES,
        symptom=True,
        explains=("ssl-any", "network-retries", "backend-number"),
    ),
    Signature(
        "backend-504",
        Cause.TRANSIENT_BACKEND,
        FAIR + 0.3,
        r"504 server error|gateway time-?out for url",
        _HTTP_STATUS,
        symptom=True,
        explains=("batch-504",),
    ),
    Signature(
        "backend-platform",
        Cause.TRANSIENT_BACKEND,
        STRONG,
        r"etcdserver: |leader changed|vmrecreatedduringexecution|vmreportingtimeout|vmrebootedduringexecution|(exit ?code|code|status|\()\W{0,4}5000[2346]\b",
        "cloud.google.com/batch/docs/troubleshooting",
        symptom=True,
        explains=("gunicorn-timeout", "torchserve-slow"),
    ),
    Signature(
        "backend-expired",
        Cause.TRANSIENT_BACKEND,
        FAIR + 0.2,
        r"deadline expired before operation could complete|datastore operation timed out",
        _CODES,
        symptom=True,
    ),
    Signature(
        "backend-aborted",
        Cause.TRANSIENT_BACKEND,
        FAIR + 0.3,
        r"too much contention|transaction (was )?aborted due to|statuscode\.aborted|409 (the operation was )?aborted|concurrent (update|modification)|could not serialize access",
        _CODES,
    ),
)

DEADLINE: tuple[Signature, ...] = (
    Signature(
        "deadline-of-job",
        None,
        0.0,
        r"\bjob (was |has |did |is )?(not )?(been )?(complet|finish|timed? ?out|exceed)[^.]{0,80}|(prediction|training|custom|tuning|pipeline) job [^.]{0,40}timed? ?out",
        _TRAINING,
        symptom=True,
        explains=("torchserve-slow", "startup-load-timeout"),
    ),
    Signature(
        "deadline",
        None,
        0.0,
        r"\bdeadline_?\\?_?exceeded\b|deadline exceeded|\btimed? ?out\b|\btime ?limit\b|timeout (exceeded|expired|reached|error)|maximum (run(ning)? ?time|execution time)|exceeded (the |its )?(max(imum)? )?(allowed )?(time|runtime|run time|timeout|deadline|duration)|(status|code|error|http|result|returned|got|response)\W{0,4}504\b|\b504 (gateway|upstream|deadline|server|error|time|\()|^504\b|gateway time-?out|timeouterror|job_state_expired|ran out of time|has been running for (more|longer) than",
        _CODES,
        symptom=True,
        tags=_TIME,
    ),
)

EXIT: tuple[Signature, ...] = (
    Signature(
        "exit-any",
        None,
        0.0,
        r"exited with a non-?zero status|non-?zero exit (status|code)|exited with (status|code) [1-9]|the dag failed because|failed due to the above error",
        _TRAINING,
        symptom=True,
        tags=frozenset({Tag.EXITED}),
    ),
    Signature(
        "exit-oom",
        Cause.MEMORY_PRESSURE,
        CERTAIN,
        r"(ran|run|running|runs) out[ -]of[ -](memory|ram)|too much memory|container out of memory|(replica|worker|task|job|container|server|process|pod|node)[^.]{0,60}(ran |run |is |was |went |killed (because|due|for)[^.]{0,20})out[ -]of[ -]memory",
        _TRAINING,
    ),
    Signature(
        "exit-137",
        Cause.MEMORY_PRESSURE,
        STRONG + 0.4,
        r"(exit(ed)?|status|code|returned|returncode|exitcode|rc|exit_code|signal)[^.]{0,40}(\b137|\b9 ?\(sigkill\)|\b9\. termination|-9|\bsigkill)\b|\b(137|-9)\b[^.]{0,20}(exit|sigkill|killed)|terminated (by|with) (signal )?(9\b|sigkill)|(received|uncaught|caught) signal:? (9\b|sigkill)|killed by signal:? (9|kill|sigkill)|signal sigkill|return ?code\W{0,4}(-9|137)\b|signal 9\b",
        _TRAINING,
        symptom=True,
    ),
    Signature(
        "exit-127",
        Cause.INVALID_CONFIG,
        STRONG,
        r"(non-zero status( code)? of|exit(ed)?( with)?( status| code)?( code)?:?) ?(126|127)\b|command not found|/bin/(ba)?sh:[^|]{0,60}not found",
        _TRAINING,
    ),
    Signature(
        "exit-crash",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"(status|code)( code)?( of)?:? ?(6|11|134|139)\b[^\d]|(status|code)( code)?( of)?:? ?(134|139)$|\bsig(abrt|segv|bus|fpe|ill)\b|segmentation fault|segfault|\bcore dumped\b|illegal instruction|fatal python error",
        _TRAINING,
        symptom=True,
    ),
    Signature(
        "exit-124",
        None,
        0.0,
        r"(non-?zero status( code)? of|exit(ed)?( with)?( status| code)?( code)?:?|status|exit code) 124\b",
        "man7.org/linux/man-pages/man1/timeout.1.html",
        symptom=True,
        tags=_TIME,
    ),
    Signature(
        "exit-143",
        Cause.PREEMPTION,
        FAIR + 0.4,
        r"(non-?zero status( code)? of|exit(ed)?( with)?( status| code)?( code)?:?) ?143\b",
        "man7.org/linux/man-pages/man7/signal.7.html",  # told to go from outside, by no word of its own
        symptom=True,
        places=Place.ERROR,
    ),
    Signature(
        "exit-usage",
        Cause.USER_CODE_ERROR,
        FAIR,
        r"non-zero status( code)? of 2\b",
        _TRAINING,
        symptom=True,
        places=Place.ERROR,
    ),
    Signature(
        "exit-terminated",
        Cause.USER_CODE_ERROR,
        FAIR,
        r"model server (container )?terminated|container terminated:? go/debug",
        "github.com/GoogleCloudPlatform/vertex-ai-samples/issues/2254",
        symptom=True,
    ),
    Signature(
        "gcsfuse-oom",
        Cause.MEMORY_PRESSURE,
        DECISIVE,
        r"fuse: writemessage",
        _TROUBLE,
        explains=("bad-input-missing", "code-file"),
    ),
)
