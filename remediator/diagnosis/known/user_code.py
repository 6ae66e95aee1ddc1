"""Signatures of what the user's own code and its packages raise, and what says that it is slow.

Owns data only: rows of `Signature`. Interpreted by `matching`, put together by `known`.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Signature, Tag
from remediator.diagnosis.signs import DECISIVE, FAIR, HINT, STRONG
from remediator.domain import Cause

_FIELD = "seen in public issue threads"
_PYTHON = "docs.python.org/3/library/exceptions.html"
_TF = "tensorflow.org/api_docs/python/tf/errors"
_BEAM = "cloud.google.com/dataflow/docs/guides/common-errors"
_VLLM = "docs.vllm.ai/en/latest/usage/troubleshooting"
_NCCL = "docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html"
_HTTP = "urllib3.readthedocs.io"
_PIP = "pip.pypa.io"

CODE: tuple[Signature, ...] = (
    Signature(
        "code-import",
        Cause.USER_CODE_ERROR,
        DECISIVE,
        r"modulenotfounderror|\bimporterror\b|cannot find module|no module named|cannot import name|undefined symbol|symbol not found|classnotfoundexception|noclassdeffounderror|nosuchmethoderror|cannot open shared object file|version .?glibc|incompatible library version|unsatisfiedlinkerror|pkg_resources\.[a-z]*(conflict|notfound)|importing the numpy c-extensions failed|numpy\.dtype size changed|compiled using numpy 1|distributionnotfound",
        _PYTHON,
    ),
    Signature(
        "code-response",
        Cause.USER_CODE_ERROR,
        DECISIVE,
        r"responsevalidationerror|'loc': \('response'|not json serializable|out of range float values are not json",
        "fastapi.tiangolo.com/tutorial/response-model",  # the answer is the model's code's, not the caller's
        explains=("data-parse", "data-features", "input-import", "batch-4xx"),
    ),
    Signature(
        "code-r",
        Cause.USER_CODE_ERROR,
        FAIR + 0.5,
        r"\berror in [a-z][\w.]*\(|execution halted",
        "cran.r-project.org/doc/manuals/r-release/R-lang.html",
        last_resort=True,
    ),
    Signature(
        "config-environment",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"environment variables? [^.]{0,40}(not (set|defined|found)|missing|undefined|required|empty|must be set)|(missing|required|undefined|unset) environment variables?|validation errors? for [a-z]*settings\b|configcompositionexception|could not override|missingmandatoryvalue|missing mandatory (value|field)",
        _PYTHON,
        explains=("code-exception", "data-features", "config-field", "data-parse", "input-import"),
    ),
    Signature(
        "code-packages",
        Cause.USER_CODE_ERROR,
        DECISIVE,
        r"do not match the hashes|no matching distribution found|could not find a version that satisfies|resolutionimpossible|conflicting dependencies|failed building wheel|could not build wheels|pip subprocess[^.]{0,20}(error|fail)|metadata-generation-failed|dependency conflict|package versions? have conflicting|package [^ ]+ failed to install|failed to install [^.]{0,40}(package|requirement|dependenc)|pip-[^ ]{0,40}build/setup\.py|error: subprocess-exited-with-error|requires python|requires a different python",
        _PIP,
        explains=("code-import",),
    ),
    Signature(
        "code-exception",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"\b(key|value|type|attribute|index|name|zerodivision|assertion|notimplemented|syntax|indentation|recursion|unboundlocal|overflow|stopiteration|lookup|eof|arithmetic|floatingpoint|tab|unicodeencode|pickling|unpickling|config|configuration|validation|notfitted|linalg|invalidindex|invalidparameter|duplicate|merge|jsonencode|systemexit|usage|missingargument|omegaconf|misconfiguration|hydra)_?(error|exception)\b(:| at|\(|$)|nullpointerexception|illegalargumentexception|illegalstateexception|classcastexception|arrayindexoutofbounds|indexoutofbounds|numberformatexception|nosuchelementexception|unsupportedoperationexception|too many open files|yaml\.\w+\.\w+error|arithmeticexception|notserializableexception|analysisexception|raise [a-z]+(error|exception)|is not defined\b|is not callable|is not (iterable|subscriptable)|object has no attribute|got an unexpected keyword|missing \d+ required positional|takes \d+ positional|object is not|list index out of range|division by zero|unsupported operand|panicked at|panic: |thread '[^']*' panicked|goroutine \d+ \[|uncaught exception|unhandled exception|terminate called after throwing|assertion [^.]{0,60}failed|assert failed|(^|[\]:] ?)check failed:|(xgboost|lightgbm|catboost)error\b|contractexception|syntax error: [a-z ]+ unexpected|syntax error near unexpected token",
        _PYTHON,
        explains=(
            "config-field",
            "config-argument",
        ),
    ),
    Signature(
        "code-shapes",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"shapes? [^.]{0,60}(mismatch|incompatible|not aligned|do not match|cannot be|must match|is invalid|not compatible)|size mismatch|mat1 and mat2|dimension(s)? (mismatch|out of range|must be)|incompatible (shape|with the layer|dimension)|is incompatible with (the )?layer|expected (scalar type|input|object of|tensor|\d+d)|error\(s\) in loading state_dict|unexpected key\(s\)|missing key\(s\)|graph execution error|no gradients provided|does not have a grad_fn|element \d+ of tensors does not require|dtype mismatch|concretizationtypeerror|tracerarrayconversion|jax\.errors|loss is nan|nan loss|nan detected|loss (became|is|was) (nan|inf)|\bloss\W{1,4}(nan|inf)\b|(nan|inf|non-?finite) (values? )?(in|for) (the )?(loss|gradient|grad)|could not broadcast",
        _TF,
        explains=(
            "bigquery-sql",
            "data-features",
        ),
    ),
    Signature(
        "tensorflow-status",
        None,
        0.0,
        r"local_rendezvous|errors_impl\.|\{\{(function_)?node |\[op:\w+\]|node_def",
        _TF,  # a status word of TensorFlow's, no service's answer
        explains=("config-argument", "config-field", "config-precondition"),
    ),
    Signature(
        "code-traceback",
        Cause.USER_CODE_ERROR,
        FAIR + 0.5,
        r"traceback \(most recent call last\)|exception in thread|caused by: |\bat [a-z]+(\.[a-z_$]+)+\([a-z]+\.(java|scala):\d+\)|during handling of the above exception|stack trace:|unhandledexception|\bfile \"[^\"]+\.py\", line \d+|userexception|user code|raised an exception|training code",
        _PYTHON,
        symptom=True,
        last_resort=True,
    ),
    Signature(
        "code-runtime",
        Cause.USER_CODE_ERROR,
        FAIR + 0.5,
        r"runtimeerror:",
        _PYTHON,
        symptom=True,
        last_resort=True,
    ),
    Signature(
        "wrapped-failure",
        None,
        0.0,
        r"runtimeerror: ([a-z]+ ){0,3}(job|training|tuning|prediction|pipeline|run|task|deployment)[a-z ]{0,20} failed (with|because)|failed \d+ times\W{1,3}aborting|the dag failed because|failed to start and (cannot|can't|could not) serve",
        _FIELD,
        symptom=True,
        explains=(
            "config-argument",
            "code-runtime",
            "backend-code",
            "backend-words",
            "backend-number",
        ),
    ),
    Signature(
        "server-engine",
        None,
        0.0,
        r"engine core initialization failed",
        _VLLM,
        symptom=True,
        explains=("code-exception", "code-runtime", "code-traceback"),
    ),
    Signature(
        "code-file",
        Cause.BAD_INPUT,
        FAIR + 0.6,
        r"filenotfounderror|no such file or directory|errno 2\b|file does not exist|could not open file|path does not exist|does not exist: |notfounderror|nosuchfileexception|file not found|isadirectoryerror|notadirectoryerror|path not found|input path",
        _PYTHON,
    ),
    Signature(
        "limit-of-processes",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"\[errno 11\] resource temporarily unavailable|can'?t start new thread|fork: (retry: )?resource temporarily|cannot fork\b|unable to create (new )?native thread|pthread_create failed|errno 24\b|too many open files|emfile\b",
        "man7.org/linux/man-pages/man2/setrlimit.2.html",
        explains=("backend-words", "backend-again", "allocation", "jvm-heap", "code-exception"),
    ),
    Signature(
        "code-file-panic",
        Cause.BAD_INPUT,
        STRONG,
        r"(panic: |panicked at)[^|]{0,300}(no such file|notfound|cannot find the (file|path)|does not exist)",
        "pkg.go.dev/os",
        explains=("code-exception",),
    ),
    Signature(
        "code-errno13",
        Cause.PERMISSION,  # of the file system: the account is a uid, and no role mends it
        STRONG - 0.3,
        r"errno 13\b|permissionerror|eacces\b|\b(open|mkdir|stat|exec|fork/exec) /[^ :]+: permission denied",
        _PYTHON,
        explains=("permission-code",),
    ),
    Signature(
        "gcsfuse-permission",
        Cause.PERMISSION,
        DECISIVE,
        r"permission denied:? ?['\"]?/gcs/",
        "cloud.google.com/storage/docs/cloud-storage-fuse/troubleshooting",
        explains=("code-errno13",),
    ),
    Signature(
        "tuning-metric",
        Cause.USER_CODE_ERROR,
        STRONG,
        r"too many hyperparameter tuning metrics|(trial|hyperparameter)[^.]{0,80}(did not|does not|didn't|never|without) (report|include|write|return|contain)[^.]{0,60}metric|no (hyperparameter tuning )?metrics? (was |were )?(reported|written|found)",
        "cloud.google.com/vertex-ai/docs/training/code-requirements",
        explains=("code-exception",),
    ),
    Signature(
        "code-nonzero",
        None,
        0.0,
        r"returned non-zero exit status|calledprocesserror|childfailederror|childprocesserror",
        _PYTHON,
        symptom=True,
    ),
    Signature(
        "ssl",
        Cause.INVALID_CONFIG,
        STRONG,
        r"certificate_verify_failed|certificate (verify failed|has expired|signed by unknown authority|is (not (valid|trusted)|invalid|untrusted))|remote certificate|self[- ]signed certificate|sslcertverification|pkix path|certpathbuilder|valid certification path|unable to get (local )?issuer|wrong version number|wrong_version_number|hostname [^.]{0,60}does ?n[o']t match|unknown_?ca\b|x509: ",
        _HTTP,
        explains=("network-retries", "code-exception", "backend-code"),
    ),
    Signature(
        "ssl-any",
        Cause.INVALID_CONFIG,
        FAIR,
        r"sslerror",
        _HTTP,
    ),
    Signature(
        "peer-failed",
        None,
        0.0,
        r"horovod has been shut down|exception on one of the ranks?|one of the (other )?(ranks?|workers|peers|processes|replicas)[^.]{0,60}(fail|exit|died|finished|terminated|crash)|remote (process|peer|rank) (has )?(exited|died|failed)|peer (process|rank|worker)[^.]{0,40}(died|failed|exited)|another (rank|worker|process|replica) (has )?(failed|exited|died|crashed)",
        _NCCL,
        symptom=True,
        explains=(
            "code-exception",
            "code-traceback",
            "code-runtime",
            "nccl",
            "backend-stream",
            "worker-gone",
        ),
    ),
)

SHELL: tuple[Signature, ...] = (
    Signature(
        "shell-unbound",
        Cause.INVALID_CONFIG,
        STRONG,
        r": line \d+: \w+: (unbound variable|parameter (null or )?not set)|: \w{2,60}: unbound variable|parameter null or not set|bad substitution",
        "gnu.org/software/bash/manual/html_node/The-Set-Builtin.html",
    ),
    Signature(
        "shell-numeric",
        Cause.INVALID_CONFIG,
        FAIR + 0.4,
        r": line \d+: [^|]{0,80}(integer expression expected|numeric argument required|ambiguous redirect|invalid option|unary operator expected)",
        "gnu.org/software/bash/manual",
    ),
)

SLOW: tuple[Signature, ...] = (
    Signature(
        "slow-callback",
        Cause.SLOW_CODE,
        STRONG,
        r"(thread|event ?loop)[^|]{0,80}(has been |is |was )?blocked (for )?\d|blockedthreadchecker|dataframe is highly fragmented|request ran for longer than|is slow compared to the batch|(your|the) (input pipeline|input|data ?loader|dataset|callback)s? [^.]{0,40}(is|are|ran) (too |very )?slow|(does not have many workers|data ?loading) which may be a bottleneck|input[- ]bound",
        _TF,
        explains=(
            "code-traceback",
            "code-runtime",
        ),
    ),
    Signature(
        "slow-query",
        Cause.SLOW_CODE,
        FAIR + 0.3,
        r"statement timeout|max_execution_time exceeded|query (execution )?(was )?(interrupted|cancell?ed)[^.]{0,60}(time|slow)",
        "postgresql.org/docs/current/runtime-config-client.html",
        explains=("network-timeout", "code-traceback", "code-runtime", "code-exception"),
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "beam-stuck",
        Cause.SLOW_CODE,
        STRONG,
        r"operation ongoing in (step|bundle|transform)|processing (lull|stuck)|without outputting or completing|for at least [\dhms]+ without",
        _BEAM,
        tags=frozenset({Tag.TIMED_OUT}),
    ),
    Signature(
        "beam-work-item",
        Cause.USER_CODE_ERROR,
        HINT,
        r"work item was attempted 4 times|a work item was attempted|workflow failed|the job failed because",
        _BEAM,
        symptom=True,
    ),
)
