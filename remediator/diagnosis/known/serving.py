"""Signatures of model servers and the requests they are sent: wrappers of a batch prediction, sizes, starts, the servers' own words.

Owns data only: rows of `Signature`. Interpreted by `matching`, put together by `known`.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Signature, Tag
from remediator.diagnosis.signs import DECISIVE, FAIR, HINT, STRONG
from remediator.domain import Cause

_TROUBLE = "cloud.google.com/vertex-ai/docs/general/troubleshooting"
_BATCH = "cloud.google.com/vertex-ai/docs/predictions/get-batch-predictions"
_CODES = "cloud.google.com/apis/design/errors"
_BIGQUERY = "cloud.google.com/bigquery/docs/error-messages"
_GENERATIVE = "cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors"
_TIME = frozenset({Tag.TIMED_OUT})
_SPARK = "spark.apache.org/docs/latest/tuning.html"
_GUNICORN = "docs.gunicorn.org/en/stable/faq.html"
_TORCHSERVE = "pytorch.org/serve/Troubleshooting.html"
_CONTAINER = "kubernetes.io/docs/concepts/containers/images"

BATCH_WRAPPERS: tuple[Signature, ...] = (
    Signature(
        "batch-504",
        Cause.REQUEST_TOO_LARGE,
        DECISIVE,
        r"non-ok result 504|upstream request timeout|result 504|\b504 \(?(upstream|gateway)",
        _TROUBLE,
        symptom=True,
        explains=("batch-elapsed",),
        tags=_TIME,
    ),
    Signature(
        "batch-elapsed",
        Cause.REQUEST_TOO_LARGE,
        HINT,
        r"elapsed=(59\d|6\d\d|1[0-9]\d\d)(\.\d+)?s?",
        _TROUBLE,
        symptom=True,
        tags=_TIME,
    ),
    Signature(
        "batch-4xx",
        Cause.BAD_INPUT,
        STRONG,
        r"non-ok result (400|406|409|415|417|422)\b|\b422 unprocessable|unprocessable (entity|content)|requestvalidationerror",
        _TROUBLE,
        symptom=True,
        explains=("config-argument",),
    ),
    Signature(
        "batch-413",
        Cause.REQUEST_TOO_LARGE,
        DECISIVE,
        r"non-ok result 413\b",
        _TROUBLE,
    ),
    Signature(
        "batch-404",
        Cause.INVALID_CONFIG,
        STRONG,
        r"non-ok result (404|405|501)\b",
        _TROUBLE,
        symptom=True,
    ),
    Signature(
        "batch-500",
        Cause.USER_CODE_ERROR,
        FAIR,
        r"non-ok result 500\b",
        _TROUBLE,
        symptom=True,
        explains=("backend-code", "backend-words"),
    ),
    Signature(
        "batch-507",
        Cause.MEMORY_PRESSURE,
        FAIR + 0.6,
        r"non-ok result 507\b",
        _TORCHSERVE,  # its answer where a worker was killed
        symptom=True,
        explains=("torchserve-prediction", "batch-500"),
    ),
    Signature(
        "batch-busy",
        Cause.REQUEST_TOO_LARGE,
        FAIR + 0.1,
        r"non-ok result (429|503)[^|]{0,300}(queue|\bbusy\b|overload|no workers?\b|at capacity|concurren|too many requests|rate.?limit)",
        _TROUBLE,
        symptom=True,
        explains=("batch-502-503", "server-no-worker", "quota-code", "quota-words"),
    ),
    Signature(
        "batch-502-503",
        None,
        0.0,
        r"non-ok result 50[23]\b",
        _TROUBLE,
        symptom=True,
        explains=("backend-code",),
    ),
)

TOO_LARGE: tuple[Signature, ...] = (
    Signature(
        "too-large-limit",
        Cause.REQUEST_TOO_LARGE,
        DECISIVE,
        r"(request|payload|body|prompt|response|entity|content[- ]length)s?( payload| body| data| entity| token| context)?('s)?( size| length| count| tokens)?\b[^.]{0,80}(exceeds?|exceeded|exceeding|over|above|(larger|bigger|greater|longer|more) than) [^.]{0,60}(limit|max|allowed|bytes|tokens|\d ?[kmg]i?b\b)"
        r"|(message|input|file|image|instance|prediction|document|video|audio|token|batch)s?( data| token| context| payload)?('s)? (size|length|count|tokens|duration)s?\b[^.]{0,80}(exceeds?|exceeded|exceeding|over|above|(larger|bigger|greater|longer|more) than) [^.]{0,60}(limit|max|allowed|\d)"
        r"|(message|input|file|image|document|video|audio|instance)s?\b[^.]{0,60}(exceeds?|exceeded|exceeding|(larger|bigger|greater|longer) than) [^.]{0,60}(size|length|bytes|tokens|pixels|\d ?[kmg]i?b\b)|size exceeds? (the )?max|is too large\b[^|]{0,120}max(imum)?\b|tokens \(?\d+\)? exceed|exceeds? (the )?context (window|length)|transaction too (big|large)|content length exceeded|length limit exceeded|row size (limit )?exceeded"
        r"|exceeds? (the )?(max(imum)?|allowed|limit)[^.]{0,60}(request|payload|file|token|input|prompt|message|content|context)"
        r"|(request|payload|entity|body|message|prompt|input|content|file)s?( body| entity| payload| size| data)? (is |was |are )?too (large|long|big)"
        r"|batch[- ]size must be (<|<=|at most|less|no) ?|maximum (context|request|payload|input|token|message|prompt)[^.]{0,20}(length|size|limit|count)|context_length_exceeded|reduce the (length|size|number) of"
        r"|message larger than max|(request|response|payload|message|content) (size|length) (is )?too (large|long|big)|larger than (the )?max(imum)? (allowed )?(message|request|payload|body|size)|received message (exceeds|larger)|(exceed|longer|greater|larger|more)[^.]{0,60}max(imum)?[_ ]model[_ ]len|too many (tokens|instances)|max_?(new_|output_|completion_)?tokens (is |are )?too (large|high|big)",
        _GENERATIVE,
        explains=("quota-code", "config-argument", "config-field"),
    ),
    Signature(
        "too-large-count",
        Cause.REQUEST_TOO_LARGE,
        DECISIVE,
        r"\d+ (instance|text|item|input|image|row|document|prompt|message)s?(\(s\))? (is|are) allowed per|(at most|up to|only|maximum( number)?( of)?|more than) \d+ (instance|request|text|item|input|image|document|prompt|content)s?(\(s\))? (in|per|for|allowed|can|may|are)|too many (instances|inputs|texts|images|documents) (in|per|for)",
        _GENERATIVE,
        explains=("config-argument", "config-field", "input-import"),
    ),
    Signature(
        "too-large-query",
        Cause.REQUEST_TOO_LARGE,
        STRONG,
        r"resources exceeded during (the )?query|query (is )?too (complex|large)|query exceeded (resource|memory) limits?|too many subqueries",
        _BIGQUERY,
        explains=(
            "kernel-oom",
            "quota-words",
            "allocation",
            "exit-oom",
            "bare-oom",
            "config-argument",
        ),
    ),
    Signature(
        "too-large-413",
        Cause.REQUEST_TOO_LARGE,
        STRONG,
        r"\b413\b[^.]{0,40}(too large|payload|entity|prompt|request|invalid_request)|(code|status|error|http)\W{0,4}413\b",
        _CODES,
    ),
)

STARTUP: tuple[Signature, ...] = (
    Signature(
        "startup-never-ready",
        Cause.SLOW_STARTUP,
        STRONG + 0.4,
        r"model server never became ready|(did not|didn't|never|failed to) (become|became|get|be) (ready|healthy)",
        _BATCH,
        symptom=True,
    ),
    Signature(
        "startup-load-timeout",
        Cause.SLOW_STARTUP,
        DECISIVE,
        r"(been )?initiali[sz]ing for too long|(start-?up|initiali[sz]ation|(model |engine )load(ing)?) (took|exceed(s|ed)|lasted) (more|longer|over|the |\d)|(server|container|model|engine|app|application|worker) did not (start|load|initiali[sz]e)( up)? (with)?in|waiting for (the )?(container |server |model )?(port|readiness)\b|taken (more|longer) than [\d.]+ ?s[a-z]* to (initiali|start|load|become|get)|slow __init__|(timed? ?out|timeout) waiting for (the )?([a-z]+ ){1,3}to (start|load|become|come up|initiali[sz]e|send|be ready|respond)|(model|server|container|worker)[^.]{0,40}(load(ing)?|start(-?up|ing)?|initiali[sz](e|ation|ing)|boot|deploy(ment)?)[^.]{0,60}(timed? ?out|did not (finish|complete)|took too long|exceeded [^.]{0,30}(time|deadline))"
        r"|(timed? ?out|deadline exceeded)[^.]{0,60}(waiting for|while|during|for)[^.]{0,40}(model|server|container|engine|worker)s?[^.]{0,30}(load|start|ready|initiali|become|launch|healthy|come up)"
        r"|failed to load model[^|]{0,120}timeoutexception|load(ing)? of model [^|]{0,120}timed? ?out|(excessively |very |too )long cold (boot|start)|(is |was |too )slow to start|failed to (start|load|launch|boot|initiali[sz]e)[^.]{0,60}(within|in time|before the (deadline|timeout))|(within|before) the (allotted|allocated|configured|given|startup|start-up) (time|deadline|timeout)|deployment_?timeout",
        _BATCH,
    ),
    Signature(
        "startup-probe",
        Cause.SLOW_STARTUP,
        STRONG,
        r"did not (respond|answer)[^.]{0,40}(health|ready|ping)|did not pass [^.]{0,30}(health|ping)|container [^ ]+ is unhealthy|not ready after \d+|upstream timed out[^|]{0,300}(get|head) /(ping|healthz?|ready|v1/health)|(startup|start-up|readiness|health|liveness)( |-)?((tcp|http|grpc|exec) )?(probe|check)s? (has |have |had )?(failed|failing|timed out|did not|never|errored|unsuccessful)|failed (the )?(startup|start-up|readiness|health|liveness)( |-)?(probe|check)|(failed|not) (to )?(start|listen|listening)( and listen)? on (the )?port|failed to probe [^|]{0,120}(got 50[0-4]|refused|timed? ?out)",
        "kubernetes.io/docs/concepts/workloads/pods/probes",
        symptom=True,
        explains=(
            "torchserve-slow",
            "upstream-slow",
            "container-start",
        ),
    ),
)

SERVERS: tuple[Signature, ...] = (
    Signature(
        "gunicorn-timeout",
        Cause.SLOW_CODE,
        FAIR + 0.3,
        r"\bworker timeout\b|worker (failed|did not|didn't) (to )?(notify|respond|heartbeat)|harakiri|softtimelimitexceeded|timelimitexceeded|soft time limit",
        _GUNICORN,
        explains_all=("worker-killed", "gunicorn-sigkill"),
        explains=("bare-oom", "exit-137"),
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "gunicorn-sigkill",
        Cause.MEMORY_PRESSURE,
        STRONG + 0.4,
        r"was sent sigkill",  # after a worker's time-out it is the time-out, else the kernel's
        _GUNICORN,
        symptom=True,
        explains=("bare-oom", "exit-137"),
    ),
    Signature(
        "upstream-slow",
        None,
        0.0,
        r"upstream timed out[^|]{0,40} while reading (the )?response|(client|upstream) timed out[^|]{0,40}waiting for request",
        "nginx.org/en/docs/http/ngx_http_proxy_module.html",
        explains=("network-timeout",),
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "upstream-dead",
        None,
        0.0,
        r"(connect\(\) failed|connection refused|no live upstreams|bad gateway)[^|]{0,60} while connecting to upstream|upstream[^|]{0,60}(127\.0\.0\.1|localhost|unix:)[^|]{0,80}refused",
        "nginx.org/en/docs/http/ngx_http_upstream_module.html",  # the application behind the proxy is gone
        symptom=True,
        explains=(
            "network-retries",
            "network-timeout",
            "backend-stream",
            "backend-words",
            "backend-code",
        ),
    ),
    Signature(
        "futures-timed-out",
        None,
        0.0,
        r"futures timed out after|concurrent\.timeoutexception|celltimeouterror|cell (execution )?timed out",
        _SPARK,
        explains=("network-timeout", "code-traceback", "code-runtime"),
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "server-no-worker",
        None,
        0.0,
        r"no workers? (is|are) available to serve",
        _TORCHSERVE,
        symptom=True,
        explains=("backend-words", "backend-code", "capacity-words"),
    ),
    Signature(
        "torchserve-slow",
        Cause.SLOW_CODE,
        FAIR + 0.5,
        r"did not respond in given time|backend worker did not respond|(request|prediction|inference)[^.]{0,40}(timed out|took (too long|more than|longer than)|exceeded [^.]{0,20}timeout)|default_response_timeout|after 60 seconds|60(-| )?s(econds?)? time-?out",
        _TORCHSERVE,
        symptom=True,
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "torchserve-init",
        Cause.SLOW_STARTUP,
        FAIR - 0.4,
        r"workerinitializationexception: backend worker did not respond",
        "github.com/pytorch/serve/issues/2452",
        explains=("torchserve-slow", "gunicorn-timeout", "torchserve-prediction"),
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "torchserve-load",
        Cause.SLOW_STARTUP,
        FAIR,
        r"load model failed[^.]{0,60}worker died|worker disconnected\. worker_started|auto recovery start timestamp",
        _TORCHSERVE,
        explains_all=("torchserve-slow",),
        explains=("torchserve-prediction",),
        symptom=True,
    ),
    Signature(
        "torchserve-prediction",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"internalserverexception|prediction failed|invoking custom service failed|worker died\b|modelservererror|workerinitializationexception|predictionexception|error (in|during|while) (prediction|inference|predict|postprocess|preprocess)|exception (in|on) (/predict|/v1|asgi|wsgi|worker|thread)",
        _TORCHSERVE,
        symptom=True,
        explains=("backend-code", "backend-words"),
    ),
    Signature(
        "server-boot",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"worker failed to boot|haltserver|failed to find attribute|error loading asgi app|could not import module|attribute \"?\w+\"? not found in module|application startup failed|application failed to start|enginedeaderror|engine process failed to start|failed to load (the )?application",
        _GUNICORN,
        symptom=True,
    ),
    Signature(
        "server-model-config",
        Cause.INVALID_CONFIG,
        STRONG,
        r"(savedmodel|saved_model)[^.]{0,60}(does not exist|not found|no such)|no versions of servable|failed to start vertex ai service|expect the model repository|could not find (base path|model|any model)|model archive (not found|file)|failed to load all models|(model|artifact|directory|saved_model)[^.]{0,160} (does not|must) contain|unable to (find|load|create) (the )?(model repository|backend|engine|model configuration)|model repository|no model (found|file)|unexpected (inference|model) (input|configuration)|model\.(bst|pkl|joblib|pt|mar)[^.]{0,60}(not found|missing|does not exist)|unsupported (model )?architectures?|no module named model|address already in use|cannot assign requested address|attempting to bind on address|port (is )?already (in use|allocated)|exec format error|no space left on device|disk (is )?full|disk quota exceeded|low on disk|bootdisksizegb|op type not registered|unsupported opset|opset version",
        "github.com/triton-inference-server/server",
        explains=(
            "code-exception",
            "code-errno13",
            "permission-code",
            "quota-code",
            "backend-again",
        ),
    ),
    Signature(
        "container-start",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"executable file not found|oci runtime (create|exec)|failed to create (containerd? task|shim)|runc create failed|createcontainer(config)?error|runcontainererror|no such file or directory: unknown|exec: \"|starting container process|exec user process caused|entrypoint[^.]{0,60}(not found|no such|invalid|wrong)|invalid reference format|can't open file|unrecognized arguments?|the following arguments are required|no such option|unknown (flag|option|command line)|unable to open entrypoint|invalid choice",
        _CONTAINER,
        explains=("code-file", "bad-input-missing"),
    ),
    Signature(
        "container-image",
        Cause.INVALID_CONFIG,
        STRONG,
        r"imagepullbackoff|errimagepull|manifest (for [^ ]+ )?(unknown|not found)|(image|repository|tag|manifest)[^.]{0,120}(not found|does not exist|unknown)|container uri|(make sure|ensure|check) (that )?(the )?image exists|failed to (pull|resolve|fetch) (image|reference|the image|docker image)|name_unknown|manifest_unknown|failed to pull|no matching manifest|invalidimagename|image [^.]{0,80}(is not supported|could not be|cannot be|invalid)|not known to the registry",
        _CONTAINER,
        symptom=True,
        explains=("network-dns", "input-import", "bad-input-missing"),
    ),
)
