"""Signatures of jobs that could never run as they were configured.

Owns data only: rows of `Signature`. Interpreted by `matching`, put together by `known`.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Signature
from remediator.diagnosis.signs import CERTAIN, DECISIVE, FAIR, HINT, STRONG
from remediator.domain import Cause

_TROUBLE = "cloud.google.com/vertex-ai/docs/general/troubleshooting"
_CODES = "cloud.google.com/apis/design/errors"
_GENERATIVE = "cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors"
_VPC = "cloud.google.com/vertex-ai/docs/general/vpc-peering"
_FIELD = "seen in public issue threads"

CONFIG: tuple[Signature, ...] = (
    Signature(
        "config-machine",
        Cause.INVALID_CONFIG,
        CERTAIN,
        r"machine[ _-]?type[^.]{0,80}(is|are)? ?(not|un|in)(-| )?(supported|allowed|valid|available|compatible|recognized)"
        r"|(un|not )supported machine ?type|invalid machine ?type|only available on the regional endpoint"
        r"|accelerator[^.]{0,80}(is|are) (not|in|un)[ -]?(supported|allowed|valid|compatible|available (in|on|for|with))|accelerator count [^.]{0,40}(not allowed|invalid|must)"
        r"|(unsupported|invalid) accelerator|allowed numbers? of accelerator|machine type [^.]{0,60}(can ?not|does not) (be used|support)"
        r"|unsupported (cpu|gpu|tpu|disk|boot disk) |tpu topology|choose a different machine|replica count (must|should|cannot)",
        _TROUBLE,
    ),
    Signature(
        "config-region",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"cannot move files across regions|required location(: | type)|must be in the same (region|location|regional|project|zone)|should be in the same (region|location)|cannot read and write in different locations"
        r"|(is|are) in location [^.]{0,80}(must|should|but)|not consistent with (the )?server location"
        r"|in (a |two )?different (region|location)s?\b|location( id)? (does ?n[o']t|does not) match|valid location id|(unrecognized|unknown|invalid|nonexistent) (zone|region|location)\b|zone_unknown|(wrong|mismatched|inconsistent) (region|location)s?\b|(region|location)s? (mismatch|does not match|do not match)|is not (supported|available|allowed) in (the )?(this |selected |specified )?(region|location|zone|us-|europe-|asia-)"
        r"|(un|not )supported (region|location)|(region|location) [^.]{0,40}(is not supported|unsupported|is invalid)|not found in (region|location)|does not (exist|support) in (region|location)",
        _TROUBLE,
    ),
    Signature(
        "config-network",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"only one vpc network|network_not_peered|reserved range|ranges?_exhausted|ranges_not_reserved|(vpc|network)[^.]{0,60}(not (peered|found)|does not exist|is not (valid|peered))"
        r"|failed to validate vpc|allocated ip range|(couldn't|could not|unable to) find free (blocks|ip)|subnet(work)?[^.]{0,60}(not found|exhausted|does not)|private services? (access|connection)[^.]{0,60}(not|missing)|ip space (is )?exhausted|network that is different|different network|network attachment",
        _VPC,
    ),
    Signature(
        "config-endpoint",
        Cause.INVALID_CONFIG,
        STRONG,
        r"received http2 header with status: 404|\b501 (method|not impl)|\bunimplemented\b|methodnotimplemented|operation is not implemented",
        _FIELD,
    ),
    Signature(
        "config-limit-model",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"total size of files in [^ ]+ is|model (size|artifacts?|files?)[^.]{0,60}(exceeds|too large|larger than)|deployment_uri|artifact_?uri[^.]{0,60}(invalid|must|not|should|empty)",
        _TROUBLE,
        explains=("too-large-limit",),
    ),
    Signature(
        "config-argument",
        Cause.INVALID_CONFIG,
        FAIR,
        r"\binvalid_argument\b|\binvalidargument\b|exceptions\.badrequest|\bbad request\b|\b400 (bad|client|request|invalid|field|unsupported|cannot)|invalid (argument|value|field|parameter|resource|request|name|format|image|uri|configuration|config|spec|option|flag)",
        _CODES,
        symptom=True,
    ),
    Signature(
        "config-spec-path",
        Cause.INVALID_CONFIG,
        CERTAIN,
        r"(unable|failed|cannot|could not) (to )?parse (the )?(container|job|pipeline|component|executor|custom job|task|worker ?pool|resource) spec\b|(unable|failed|cannot|could not) (to )?(parse|decode|convert|deserialize) [`'\"]?[a-z]+(_[a-z]+)*\.[a-z]+_[a-z_.]+[`'\"]?|training_task_inputs",
        _CODES,
        explains=("input-import", "data-parse", "config-argument", "config-field"),
    ),
    Signature(
        "config-field-list",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"list of found errors:|fieldviolations|(exactly|only|at most) one of [^|]{0,80} (may|must|should|can) be (set|provided|specified|given|used)|\bfield: [a-z_.\[\]0-9]+; message:",
        _CODES,
        explains=("too-large-limit", "config-field", "config-argument"),
    ),
    Signature(
        "config-precondition",
        Cause.INVALID_CONFIG,
        HINT,
        r"\bfailed_?precondition\b|precondition (check )?failed",
        _CODES,
        symptom=True,
    ),
    Signature(
        "config-field",
        Cause.INVALID_CONFIG,
        STRONG,
        r"(field|parameter|argument|value|property|flag|option|setting|key)s?:? ['\"`]?[\w.\[\]-]+['\"`]?:? [^.]{0,40}(is|are) (required|invalid|not (set|valid|supported|allowed|recognized|specified)|missing|unknown|immutable|empty|deprecated)"
        r"|(is|are) (required|mandatory) (for|but|when|and|field)|(must|should|needs? to|has to) be (specified|set|provided|one of|a valid|less than|greater than|at least|at most|between|(in |of )?(the )?(form|format|range)\b|non-?empty|unique|a multiple|enabled|configured|explicitly|present)"
        r"|(unknown|unrecognized|unexpected|unsupported|invalid) (\w+ )?(field|parameter|argument|flag|option|key|property|version|framework|image|runtime|format|type|schema|value|name|setting|model|container|region|service)"
        r"|(is|are) (not|no longer|un) ?(supported|allowed|compatible|permitted)( (in|on|by|for|with|when|together|here|yet)|\.|,|$)|do(es)?(n't| not) support\b|cannot be (used|set|specified|combined|empty|both|changed|updated|null)|mutually exclusive|only supported (for|in|on|with)|no longer supported|can(not|'t| not) specify|do not specify|(spec|job|request|config|configuration|template) is (invalid|malformed)|has no value|(is|are) not available (for|with|under) [a-z-]+ |jobs? must (have|include)|can only be (attached|used|set|specified|applied|combined)|must be (>|<|=){1,2} ?[a-z0-9_]|(has|have) (already )?(deployed|been deployed)|being-?deployed|requires? [a-z_]+ ?(=|to be|set to|['\"`][a-z])|requires [a-z]+_[a-z_]+|must be an? (positive|non-negative|integer|string|lowercase)|\b(uri|image|path|name) must be (in|of|from|one)\b|required (field|parameter|argument)s? (is |are )?(not set|missing|empty)|(less|smaller|lower) than the minimum|persistent resource[^.]{0,80} not (in )?(the )?(running|ready|available)|is immutable|already exists|is not a valid\b|(not|in)(correctly)? formatted( correctly)?\b",
        _CODES,
    ),
    Signature(
        "config-not-found",
        Cause.INVALID_CONFIG,
        STRONG,
        r"not found: (cluster|model|connection|routine|project|instance|session|batch|topic|subscription|service ?account|secret|function|reservation)\b|(model|endpoint|image|publisher model|persistent ?resource|tensorboard|experiment|feature ?store|index|network|reservation|service account|template|pipeline|repository|key ?ring|cryptokey|secret|version|resource|metadatastore|job|study|project|zone|region) [^.]{0,160}((was|is|were|could) not( be)? (found|valid)|does ?n[o']t exist|do not exist|not found)"
        r"|404 when requesting https://[a-z0-9-]*(aiplatform|ml)\.googleapis|unable to find (model|image|endpoint)|the requested (resource|model|entity|endpoint|image) [^.]{0,30}(was )?not found|unknown model|no such (model|image|endpoint|container)",
        _FIELD,
    ),
    Signature(
        "config-uri",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"(uri|url|path|pattern|bucket|root|destination|prefix)s? [^.]{0,40}(must|should|has to|needs? to) (be|start|begin|match)[^.]{0,30}(gs|bq|s3)://|(invalid|malformed|bad) (gcs|gs|bq|bigquery|cloud storage|s3) (path|uri|url|prefix|source|destination)|not a (valid )?(gcs|gs|cloud storage) (path|uri|url)",
        _FIELD,
        explains=("code-exception", "config-field", "config-argument"),
    ),
    Signature(
        "config-key",
        Cause.INVALID_CONFIG,
        STRONG,
        r"kms (key|region|location)[^.]{0,60}(not available|does not contain|must be|(not|does not) match|not enabled|disabled|destroyed)|(specify|use|provide|set|requires?|missing|without)( an?| the)? ((customer[- ]managed|cmek|kms) )?encryption key|cmek (is |key )?(required|missing|must)",
        "cloud.google.com/bigquery/docs/customer-managed-encryption",
    ),
    Signature(
        "config-pings",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"too_many_pings|enhance_your_calm",
        "grpc.io/docs/guides/keepalive",
        explains=(
            "backend-stream",
            "backend-code",
            "code-exception",
            "code-traceback",
            "code-runtime",
            "quota-code",
        ),
    ),
    Signature(
        "config-parameter",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"parameters? [^.]{0,60}(is|are|was|were) not (found|defined|declared|part of|an input)|(missing|unknown|undeclared|unexpected) (runtime |pipeline |template )parameters?",
        _FIELD,
        explains=("code-exception", "config-field", "config-not-found"),
    ),
    Signature(
        "config-publisher-model",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"publisher model [^ ]+ (was |is )?not (found|available|supported)|model [^ ]+ (was )?not found or your project does not have access",
        _GENERATIVE,
        explains=("permission-words",),
    ),
    Signature(
        "config-404",
        Cause.INVALID_CONFIG,
        HINT,
        r"\bnot_?found\b|\b404\b",
        _CODES,
        symptom=True,
        last_resort=True,
    ),
    Signature(
        "config-deploy-never-ready",
        Cause.INVALID_CONFIG,
        STRONG,
        r"(failed_to_deploy|versions\.create|failed to deploy|deploy(ing|ment)? [^.]{0,80}(fail|error))[^.]{0,120}model server never became ready",
        _FIELD,
        explains=("startup-never-ready",),
    ),
    Signature(
        "config-deploy",
        Cause.INVALID_CONFIG,
        HINT,
        r"failed_to_deploy|failed to deploy|deployment failed",
        _FIELD,
        symptom=True,
    ),
)

PROBE_PATHS: tuple[Signature, ...] = (
    Signature(
        "config-tls",
        Cause.INVALID_CONFIG,
        STRONG,
        r"invalid http request received|http: tls handshake error|http request (was sent )?to an? https (server|port)|uvicorn running on https://",
        "cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements",  # it is asked by HTTP
    ),
    Signature(
        "config-of-proxy",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"\[emerg\]|nginx: configuration file|AH00\d{3}: |(caddy|envoy|haproxy|traefik)[^|]{0,80}(invalid|error|failed)[^|]{0,20} config",
        "nginx.org/en/docs/ngx_core_module.html",
        explains=("network-dns", "code-file"),
    ),
    Signature(
        "startup-port",
        Cause.SLOW_STARTUP,
        FAIR - 0.5,
        r"failed to start and (then )?listen",
        "cloud.google.com/run/docs/troubleshooting",
        symptom=True,
        explains=("startup-load-timeout", "startup-probe"),
    ),
    Signature(
        "config-probe-path",
        Cause.INVALID_CONFIG,
        STRONG,
        r"prob(e|ing)[^|]{0,80}(status ?code|status|got|http)\W{0,3}(401|403|404|405)\b",
        "kubernetes.io/docs/concepts/workloads/pods/probes",
        explains=("startup-probe", "permission-code", "config-404", "batch-404"),
    ),
)
