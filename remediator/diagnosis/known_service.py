r"""What Vertex AI, and Google's APIs and clients, print when a job fails: rows of `Signature`.

Owns data only (over 700 lines: one table, whose rows name each other). Both of the product's names
occur ("Vertex AI", "Agent Platform", and the older "AI Platform" and "ML Engine"), so no row leans
on the name. Wrappers ("Exceeded retries", "The DAG failed", an exit code) carry at most a symptom:
what is wrapped is found by the other rows, since they look anywhere in the text.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Place, Signature, Tag
from remediator.diagnosis.signs import CERTAIN, DECISIVE, FAIR, HINT, STRONG
from remediator.domain import Cause

_TROUBLE = "cloud.google.com/vertex-ai/docs/general/troubleshooting"
_TRAINING = "cloud.google.com/vertex-ai/docs/training/understanding-training-service"
_BATCH = "cloud.google.com/vertex-ai/docs/predictions/get-batch-predictions"
_CODES = "cloud.google.com/apis/design/errors"
_GCE = "cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability"
_QUOTAS = "cloud.google.com/docs/quotas/troubleshoot"
_IAM = "cloud.google.com/iam/docs/troubleshooting-access"
_STORAGE = "cloud.google.com/storage/docs/troubleshooting"
_BIGQUERY = "cloud.google.com/bigquery/docs/error-messages"
_GENERATIVE = "cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors"
_VPC = "cloud.google.com/vertex-ai/docs/general/vpc-peering"
_REGISTRY = "cloud.google.com/artifact-registry/docs/troubleshooting"
_SPOT = "cloud.google.com/vertex-ai/docs/training/use-spot-vms"
_AUTH = "google.aip.dev/auth"
_HTTP_STATUS = "developer.mozilla.org/en-US/docs/Web/HTTP/Status/504"
_FIELD = "seen in public issue threads"

_TIME = frozenset({Tag.TIMED_OUT})

_CAPACITY = (
    Signature(
        "capacity-region",
        Cause.CAPACITY_STOCKOUT,
        CERTAIN,
        r"resources (are|is) (currently )?(insufficient|unavailable) in (the )?(region|zone)|(insufficient|not enough) resources (are available )?in (the )?(region|zone)|machine type (is )?temporarily (unavailable|not available)",
        _TRAINING,
        explains=("config-region", "config-machine", "capacity-words"),
    ),
    Signature(
        "capacity-zone",
        Cause.CAPACITY_STOCKOUT,
        CERTAIN,
        r"(does|do) not (currently )?have (enough|sufficient) (resources|capacity)|zone_resource_pool_exhausted"
        r"|resource pool (is )?exhausted|scale\.up\.error\.out\.of\.resources|gce out of resources",
        _GCE,
    ),
    Signature(
        "capacity-stockout",
        Cause.CAPACITY_STOCKOUT,
        STRONG,
        r"\bstock-?outs?\b|\bstocked out\b|\bout of ([a-z]+ )?(stock|capacity)\b|_stockout\b",
        _SPOT,
        tags=frozenset({Tag.STOCKOUT}),
        explains=(
            "config-machine",
            "config-field",
            "capacity-words",
        ),
    ),
    Signature(
        "capacity-words",
        Cause.CAPACITY_STOCKOUT,
        STRONG + 0.2,
        r"(insufficient|not enough|no available|lack of|limited) (gpu |tpu |compute |machine |vm |cloud )?(capacity|resources available)"
        r"|no (more )?capacity (is )?(left|available|in)|capacity (is|was) (not|un) ?available"
        r"|(unable|failed|could not|cannot|not able) (to )?(acquire|allocate|obtain|provision|secure) [^.]{0,60}(capacity|resources|accelerators?|gpus?|tpus?|vms?|machines?)"
        r"|not enough resources available|resources (are|is) (temporarily|currently) unavailable"
        r"|(machine type|accelerator|gpu|tpu|vm)s? [^.]{0,60}(is|are) (currently|temporarily) (unavailable|not available)"
        r"|(machine type|accelerator|gpu|tpu|vm|instance)s? [^.]{0,60}(is|are|was) (not available|unavailable) (at (the|this)|right now|now|currently)|there is no more capacity|insufficient(instance)?[_ ]?capacity|waiting for capacity|skunotavailable|sold out\b|not enough (servers|nodes|machines|hosts) to|capacity[-_ ]not[-_ ]available|no (runtime|machine|gpu|instance|accelerator|worker|slot|vm)s?( is| are)? available (right now|at the moment|currently|at this time)|capacity restrictions|currently not available in (location|region|zone)|(due to|because of) (very |unusually )?high demand|no capacity for|insufficient free (nodes|slots|slices|resources)|not enough free (nodes|slots|slices)|(no|not (find|have)( any)?|find no|without) available capacity",
        _GCE,
        explains=(
            "config-machine",
            "config-field",
            "backend-again",
        ),
    ),
    Signature(
        "capacity-unschedulable",
        Cause.CAPACITY_STOCKOUT,
        STRONG,
        r"0/\d+ nodes are available|failedscheduling|\d insufficient (nvidia\.com/gpu|cpu|memory)\b|insufficient nvidia\.com/gpu|(didn't|did not) trigger scale-up|failed scale-up",
        "kubernetes.io/docs/concepts/scheduling-eviction",
        explains=("allocation",),
    ),
    Signature(
        "config-affinity",
        Cause.INVALID_CONFIG,
        FAIR + 0.4,
        r"did(n't| not) match (the )?(pod's |pod )?(node )?(affinity|selector)|node affinity/selector",
        "kubernetes.io/docs/concepts/scheduling-eviction",
        explains=("capacity-unschedulable",),
    ),
    Signature(
        "capacity-max-wait",
        Cause.CAPACITY_STOCKOUT,
        STRONG,
        r"max_?wait_?duration|could not be (provisioned|scheduled) (within|in) [^.]{0,40}(wait|time)",
        "cloud.google.com/vertex-ai/docs/training/schedule-jobs-dws",
    ),
)

_QUOTA = (
    Signature(
        "quota-metrics",
        Cause.QUOTA,
        CERTAIN,
        r"quota metrics? exceeds? quota limits?|quota failure for|request for [^.]{0,60} exceeds the allowed maximum of \d",
        _QUOTAS,
        explains=("too-large-limit",),
    ),
    Signature(
        "quota-words",
        Cause.QUOTA,
        DECISIVE,
        r"quota[^.]{0,80}\b(exceeded|exhausted|exceeds|reached|insufficient|used up|depleted)\b"
        r"|\b(exceed(s|ed|ing)?|exhausted|out of|insufficient|not enough|hit) [^.]{0,60}quota"
        r"|quota[._]?exceeded|requested: ?\d+ allowed: ?\d+|quota ['\"]?[a-z0-9_]+['\"]? exceeded|(request|need|ask for)[^.]{0,30} quota increase"
        r"|resource has been exhausted|check quota|quota (limit )?(is|of|:|=) ?0\b",
        _QUOTAS,
        explains=(
            "too-large-limit",
            "config-field",
            "permission-code",
        ),
    ),
    Signature(
        "quota-maybe",
        None,
        0.0,
        r"quota may (have been|be)|(may|might) (have exceeded|exceed|be out of|be exceeding)[^.]{0,30} quota",
        _FIELD,
        explains=("quota-words", "quota-metrics"),
    ),
    Signature(
        "quota-rate",
        Cause.QUOTA,
        STRONG,
        r"rate_?limit_?exceeded|userratelimitexceeded|ratelimitexceeded|\brate limit(s|ed)?\b"
        r"|too many requests|exceeded (the )?(rate limit|limit of|(max(imum)?|max) (allowed )?number of)"
        r"|too many [^.]{0,60}(outstanding|concurrent(ly)?|in parallel)|the (limit|maximum) (for|of) [a-z0-9_./-]+ [^.]{0,40}(has been|was|is) reached|(limit|maximum)( number)? ?(on|of|for)?( the number of)? concurrent|concurrent [^.]{0,60}limit|(rate|request|quota|usage|api|concurrency|job|connection|user|project)s? limits? (has been |have been |was |were )?reached|reached (the|your) (maximum|limit)|(requests?|calls?|api|was|were|being|been|got|is) throttled|throttl(ed|ing) (by|due|exception|error)|throttlingexception|ratelimiterror",
        _QUOTAS,
        explains=(
            "too-large-query",
            "permission-code",
            "too-large-limit",
            "config-field",
        ),
    ),
    Signature(
        "quota-code",
        Cause.QUOTA,
        STRONG,
        r"\bresource[_ ]?exhausted\b|\b(error|code|status|http)\W{0,4}429\b|\b429 (resource|client|too|the|quota)"
        r"|non-ok result 429|\bcode\W{0,3}8\b|StatusCode\.RESOURCE_EXHAUSTED",
        _CODES,
        symptom=True,
    ),
)

_PERMISSION = (
    Signature(
        "permission-named",
        Cause.PERMISSION,
        CERTAIN,
        r"permission ['\"`]?[a-z]+(\.[a-z]+)+['\"`]? (was )?denied"
        r"|does not have ['\"`]?[a-z]+\.[a-z.]+['\"`]?( permission)? (access|permission|for|on|to)"
        r"|(missing|lacks?|requires?|required|needs?)( the)?( iam)?( permissions?)?:? ['\"`\[]*(aiplatform|artifactregistry|bigquery|cloudkms|compute|dataflow|iam|logging|monitoring|pubsub|resourcemanager|secretmanager|serviceusage|storage|notebooks|ml)\.[a-z]+\.[a-z]+"
        r"|iam\.serviceaccounts\.(actas|getaccesstoken|signblob)|iam_permission_denied",
        _IAM,
    ),
    Signature(
        "tenant-project",
        Cause.USER_CODE_ERROR,
        DECISIVE,
        r"\b[a-z0-9]{8,30}-tp\b",
        _TROUBLE,  # the code lets the client guess its project, and it guesses Google's own
        explains=(
            "permission-named",
            "permission-words",
            "permission-code",
            "permission-api-disabled",
        ),
    ),
    Signature(
        "permission-words",
        Cause.PERMISSION,
        DECISIVE,
        r"\blacks? [^.]{0,40}(access|permissions?|role)\b|(does|do|did) not have( the| any| sufficient| enough| required| adequate)* ?(permissions?|access|privileges?|authorization|role)"
        r"|(do|does) ?n[o']t have permissions?|(lacks?|missing|insufficient|without|not have the) (the )?(required |necessary |iam |sufficient )*(permissions?|privileges?)\b"
        r"|permission to act as service account|(unable|not able|failed) to access (the )?(bucket|object|dataset|table|repository|image|secret|key)\b|make sure (that )?(the |your )?[^.]{0,60}(service agent|service account)[^.]{0,40} has|does not have [^|]{0,200}\bpermissions?\b(\(s\))?|not authorized to|is not authorized|caller (does not|lacks)"
        r"|please (grant|give) [^.]{0,120}(role|permission|access)|grant (the )?[^.]{0,80}(role|permission)s?(\(s\))? (to|on)"
        r"|failed to add iam policy|(may|might|could) be missing (the )?(role|permission)|active account selected|[a-z]+\.[a-z]+\.[a-z]+ (access )?(is |was )?denied|anonymous caller|insufficientpermissions|insufficient authentication scopes"
        r"|access_token_scope_insufficient|user does not have|request is prohibited by organization'?s? policy|vpc service controls"
        r"|violates? (the )?(org(anization)? )?polic|constraints?/[a-z]+\.[a-z]|denied by (the )?(org|organization|iam|vpc)",
        _IAM,
    ),
    Signature(
        "config-org-constraint",
        Cause.INVALID_CONFIG,
        STRONG,
        r"constraints/(compute|gcp|storage)\.",
        "cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints",
        explains=("permission-words", "config-precondition"),
    ),
    Signature(
        "permission-code",
        Cause.PERMISSION,
        STRONG,
        r"\bpermission_?denied\b|access ?denied|\baccess_denied\b|\b403 (forbidden|post|get|client|permission|access|caller|request|the|error|vertex|user|cannot)"
        r"|(code|status|error|http|non-ok result)\W{0,4}403\b|\bforbidden\b|exceptions\.forbidden"
        r"|\bunauthori[sz]ed\b|\bunauthenticated\b|\b401 (client|unauthorized|request|post|get|error)|(code|status|error|http|non-ok result)\W{0,4}401\b|permission denied",
        _CODES,
    ),
    Signature(
        "permission-credentials",
        Cause.PERMISSION,
        STRONG,
        r"refresherror|invalid_scope|invalid_grant|invalid authentication credentials|defaultcredentialserror"
        r"|could not automatically determine credentials|default credentials were not found|reauthentication (is )?(needed|required)"
        r"|could not refresh access token|(access|id) token (has )?expired|unable to (get|acquire|retrieve|refresh|impersonate)[^.]{0,30}(credential|token)"
        r"|invalid (api key|credentials|token|jwt)|api key not valid|account (has been |is )?(disabled|deleted)|service account [^ ]{0,120} does not exist|unable to (acquire impersonated|locate) credentials|could not read username|token is required|no token found|api[_ -]?key (is |was )?(not (configured|set|found|provided)|missing|required)",
        _AUTH,
        explains=("config-not-found", "code-exception"),
    ),
    Signature(
        "permission-api-disabled",
        Cause.PERMISSION,
        DECISIVE,
        r"api has not been used in project|it is disabled\. enable it|service_disabled|accessnotconfigured|has not enabled|billing (account )?(is |to be )?(disabled|not enabled|closed|enabled on)|billing_disabled",
        _CODES,
    ),
    Signature(
        "permission-registry",
        Cause.PERMISSION,
        DECISIVE,
        r"(pull|fetch|registry|artifact|image|manifest)[^.]{0,200}(permission[^.]{0,20}denied|denied:|forbidden|unauthorized|artifactregistry\.repositories\.downloadartifacts)"
        r"|pull access denied|unauthorized: authentication (failed|required)|authentication required|gated repo|access to model [^ ]+ is restricted|cannot access gated",
        _REGISTRY,
    ),
    Signature(
        "metadata-5xx",
        Cause.TRANSIENT_BACKEND,
        FAIR + 0.3,
        r"metadata ?(service|server)[^|]{0,60}(status:? ?5\d\d|\b50[0-4]\b|unavailable|timed out|timeout)|(status:? ?5\d\d|timed out)[^|]{0,60}metadata ?(service|server)",
        _AUTH,
        explains=("permission-credentials", "metadata-jwt", "network-timeout"),
    ),
    Signature(
        "metadata-jwt",
        Cause.USER_CODE_ERROR,
        DECISIVE,
        r"failed to refresh jwt|metadata\.google\.internal/[^ ]*/identity",
        _TROUBLE,
        explains=("permission-credentials", "bad-input-missing", "config-404"),
    ),
)

_CONFIG = (
    Signature(
        "config-machine",
        Cause.INVALID_CONFIG,
        CERTAIN,
        r"machine[ _-]?type[^.]{0,80}(is|are)? ?(not|un|in)(-| )?(supported|allowed|valid|available|compatible|recognized)"
        r"|(un|not )supported machine ?type|invalid machine ?type|only available on the regional endpoint"
        r"|accelerator[^.]{0,80}(is|are) (not|in|un)[ -]?(supported|allowed|valid|compatible|available (in|on|for|with))|accelerator count [^.]{0,40}(not allowed|invalid|must)"
        r"|(unsupported|invalid) accelerator|allowed numbers? of accelerator|machine type [^.]{0,60}(can ?not|does not) (be used|support)"
        r"|unsupported (cpu|gpu|tpu|disk|boot disk) |tpu topology|replica count (must|should|cannot)",
        _TROUBLE,
    ),
    Signature(
        "config-region",
        Cause.INVALID_CONFIG,
        DECISIVE,
        r"must be in the same (region|location|regional|project|zone)|should be in the same (region|location)|cannot read and write in different locations"
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
        r"received http2 header with status: 404|501 (received|method|not)|\bunimplemented\b|methodnotimplemented|operation is not implemented",
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
        r"(unable|failed|cannot|could not) (to )?(parse|decode|convert|deserialize) [`'\"]?[a-z]+(_[a-z]+)*\.[a-z]+_[a-z_.]+[`'\"]?|training_task_inputs",
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
        r"|(is|are) (not|no longer|un) ?(supported|allowed|compatible|permitted)( (in|on|by|for|with|when|together|here|yet)|\.|,|$)|do(es)?(n't| not) support\b|cannot be (used|set|specified|combined|empty|both|changed|updated|null)|mutually exclusive|only supported (for|in|on|with)|no longer supported|can(not|'t| not) specify|do not specify|(spec|job|request|config|configuration|template) is (invalid|malformed)|has no value|(is|are) not available (for|with|under) [a-z-]+ |jobs? must (have|include)|can only be (attached|used|set|specified|applied|combined)|must be (>|<|=){1,2} ?[a-z0-9_]|(has|have) (already )?(deployed|been deployed)|being-?deployed|requires? [a-z_]+ ?(=|to be|set to|['\"`][a-z])|requires [a-z]+_[a-z_]+|must be an? (positive|non-negative|integer|string|lowercase)|\b(uri|image|path|name) must be (in|of|from|one)\b|required (field|parameter|argument)s? (is |are )?(not set|missing|empty)|(less|smaller|lower) than the minimum|persistent resource[^.]{0,80} not (in )?(the )?(running|ready|available)|is immutable|already exists|is not a valid\b",
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

_BATCH_WRAPPERS = (
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
        r"non-ok result (400|405|406|409|415|417|422)\b|\b422 unprocessable|unprocessable (entity|content)|requestvalidationerror",
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
        "batch-502-503",
        None,
        0.0,
        r"non-ok result 50[23]\b",
        _TROUBLE,
        symptom=True,
        explains=("backend-code",),
    ),
)

_TOO_LARGE = (
    Signature(
        "too-large-limit",
        Cause.REQUEST_TOO_LARGE,
        DECISIVE,
        r"(request|payload|body|prompt|response|entity|content[- ]length)s?( payload| body| data| entity| token| context)?('s)?( size| length| count| tokens)?\b[^.]{0,80}(exceeds?|exceeded|exceeding|over|above|(larger|bigger|greater|longer|more) than) [^.]{0,60}(limit|max|allowed|bytes|tokens|\d ?[kmg]i?b\b)"
        r"|(message|input|file|image|instance|prediction|document|video|audio|token|batch)s?( data| token| context| payload)?('s)? (size|length|count|tokens|duration)s?\b[^.]{0,80}(exceeds?|exceeded|exceeding|over|above|(larger|bigger|greater|longer|more) than) [^.]{0,60}(limit|max|allowed|\d)"
        r"|(message|input|file|image|document|video|audio|instance)s?\b[^.]{0,60}(exceeds?|exceeded|exceeding|(larger|bigger|greater|longer) than) [^.]{0,60}(size|length|bytes|tokens|pixels|\d ?[kmg]i?b\b)|size exceeds? (the )?max|content length exceeded|length limit exceeded|row size (limit )?exceeded"
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

_STARTUP = (
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
        r"did not (respond|answer)[^.]{0,40}(health|ready|ping)|did not pass [^.]{0,30}(health|ping)|upstream timed out[^|]{0,300}(get|head) /(ping|healthz?|ready|v1/health)|(startup|start-up|readiness|health|liveness)( |-)?((tcp|http|grpc|exec) )?(probe|check)s? (has |have |had )?(failed|failing|timed out|did not|never|errored|unsuccessful)|failed (the )?(startup|start-up|readiness|health|liveness)( |-)?(probe|check)|(failed|not) (to )?(start|listen|listening)( and listen)? on (the )?port|failed to probe [^|]{0,120}(got 50[0-4]|refused|timed? ?out)",
        "kubernetes.io/docs/concepts/workloads/pods/probes",
        symptom=True,
        explains=(
            "torchserve-slow",
            "upstream-slow",
            "container-start",
        ),
    ),
)

_STARTUP_PATH = (
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

_TRANSIENT = (
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
        r"socket closed|goaway|rst_stream|connection reset by peer|connectionreseterror|connection aborted|remotedisconnected|remote end closed connection|failed to connect to all addresses|transport (is )?clos(ing|ed)|upstream connect error|disconnect/reset before headers|no healthy upstream|connection (was )?(reset|closed by (the )?(peer|remote))|recvmsg:|stream removed|unexpected eof|incompleteread|server disconnected|protocolerror|econnreset",
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

_PREEMPTION = (
    Signature(
        "preempted",
        Cause.PREEMPTION,
        DECISIVE,
        r"(was|is|been|is being|got|were|node|instance|vm|worker|tpu|machine|replica|job) (just )?pre-?empted|(in|state|status)\W{0,4}(is )?preempted\b|compute\.instances\.preempted|termination is imminent|pre-?emption (notice|event|signal|warning|detected|imminent|occurred)"
        r"|(spot|preemptible) (vm|instance|node|machine|capacity|worker)s?[^.]{0,60}(terminat|reclaim|interrupt|shut ?down|stopp|evict|delet|taken)|reclaimed by|(spot|preemptible)[^.]{0,40}reclamation|due to (an? )?(spot|preemptible|pre-?emption)|(because|result) of [^.]{0,30}pre-?emption|instance/preempted|preempted to accommodate|reason\W{1,4}preempted\b|preempted by compute engine|spot interruption|host ec2[^.]{0,40}terminated",
        _SPOT,
    ),
    Signature(
        "preemption-maintenance",
        Cause.PREEMPTION,
        FAIR,
        r"terminate_on_host_maintenance|host maintenance event|hostmaintenance|instance terminated (by|due to)|(node|instance|vm) (is )?(shutting|being shut) down|maintenance[- ]event|lame workers found|acpi[^.]{0,40}(shutdown|power)|power key pressed|system is powering (down|off)",
        "cloud.google.com/compute/docs/instances/host-maintenance-overview",
    ),
    Signature(
        "preemption-node",
        Cause.PREEMPTION,
        STRONG,
        r"imminent node shutdown|node no longer exists|deletionbygcpcontrollermanager|reason\W{0,4}nodeshutdown|papi error code 10\b|(exit code|code|exitcode|status)\W{0,4}50001\b|vm ended unexpectedly",
        "cloud.google.com/kubernetes-engine/docs/concepts/spot-vms",
    ),
    Signature(
        "preemption-maybe",
        None,
        0.0,
        r"may be due to a preemption",
        "github.com/tensorflow/models/issues/5633",
        explains=("preempted", "network-os"),
    ),
)

_DEADLINE = (
    Signature(
        "deadline",
        None,
        0.0,
        r"\bdeadline_?\\?_?exceeded\b|deadline exceeded|\btimed? ?out\b|\btime ?limit\b|timeout (exceeded|expired|reached|error)|maximum (run(ning)? ?time|execution time)|exceeded (the |its )?(max(imum)? )?(allowed )?(time|runtime|run time|timeout|deadline|duration)|\b504\b|gateway time-?out|timeouterror|job_state_expired|ran out of time|has been running for (more|longer) than",
        _CODES,
        symptom=True,
        tags=_TIME,
    ),
)

_EXIT = (
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

_INPUT = (
    Signature(
        "input-import",
        Cause.BAD_INPUT,
        DECISIVE,
        r"(target|label|column)s? [^.]{0,60}(has to|have to|must|should) contain|(example|row|line|record|instance|document) \d+ of \d+|failed to import data|invalid (training |input |test |validation )data\b|data error|(only|but) \d+ (rows|examples|items|images|documents) (were|was)|too (few|many) (rows|examples|columns|labels|images|documents|records)|at least \d+ (rows|examples|images|documents|labels|instances|records)|failed to process element|(row|line|record) \d+ (has|have|contains)|(input|instances?|data|dataset|row|record|line|csv|jsonl?|tfrecord|avro|parquet|table|example)s? [^.]{0,60}((could|can) ?not be|cannot be|failed to( be)?|unable to( be)?) (pars|read|import|convert|decod|process|load|deserializ|coerc)(ed?)?"
        r"|(failed|unable|cannot|could not|error|fails) (to |while |in )?(pars|decod|deserializ|convert|coerc|import|interpret)(e|ing|es)? [^.]{0,80}(instance|input|data|row|record|line|csv|json|file|value|string|example|image|request|schema|tfrecord|avro)"
        r"|input (data|file|dataset|instances?|uri|source|format|path|table)s? [^.]{0,80}(invalid|empty|missing|not (found|valid|exist|accessible|enough)|does ?n[o']t|malformed|corrupt)",
        _BATCH,
        explains=(
            "code-exception",
            "config-argument",
            "config-field",
        ),
    ),
    Signature(
        "bad-input-missing",
        Cause.BAD_INPUT,
        DECISIVE,
        r"no such object|(gs://|/gcs/|s3://|bq://|https?://storage\.)[^ ]* ?[^.]{0,60}(not found|does ?n[o']t exist|no such file|not exist|matched no|is empty|unreadable|not match|could not be found|missing)"
        r"|(not found|does ?n[o']t exist|no such file|no files?|could not find|cannot find|unable to find|missing|failed to (open|read|find))[^.]{0,80}(gs://|/gcs/|s3://|storage\.googleapis\.com)"
        r"|\b(no|zero|0) (valid |input |usable )?(files|objects|input files|records|rows|examples|instances|samples|images|data)( were| was)? (found|match|matched|in|at|to)|match(ed|es)? no (files|objects)|(does|did) not match any (files|objects)|404 (get|post) https://storage\.googleapis\.com|specified bucket does not exist|nosuchkey|nosuchbucket|not found: (table|dataset|job|uri|files?)|file ?pattern [^.]{0,80}(no|not|match)",
        _STORAGE,
        explains=(
            "config-not-found",
            "config-404",
            "code-file",
            "config-region",
            "code-exception",
            "config-field",
        ),
    ),
    Signature(
        "bigquery-sql",
        Cause.BAD_INPUT,
        STRONG,
        r"syntax error: (expected|unexpected|unclosed|illegal)|unrecognized name: |no matching signature for|invalidquery|name [`'\"]?\w+[`'\"]? not found inside|error while reading (data|table)|csv table (encountered|references)|too many errors, giving up|provided schema does not match|cannot (query|coerce|cast)|bad (int64|double|timestamp|numeric|bool) value|column [^.]{0,80}(not found|is not present|does not exist|missing)|missing (required )?(field|column|feature|key|struct property|property)s?\b|no such field",
        _BIGQUERY,
        explains=(
            "config-field",
            "code-exception",
            "config-argument",
        ),
    ),
    Signature(
        "input-code",
        Cause.BAD_INPUT,
        STRONG,
        r"\b(code|status)\W{0,3}3\b",
        _CODES,
        places=Place.ROW,  # a custom job whose replica exits carries code 3 too
        symptom=True,
    ),
    Signature(
        "input-rows",
        Cause.BAD_INPUT,
        STRONG,
        r"invalid (json|instance|input|row|record|csv|data|image|tfrecord|utf-?8|base64|jsonl)|(json|jsonl|csv) (parse|parsing|decode|decoding) (error|failed)|malformed|not a valid (json|image|csv|instance|jpeg|png|tfrecord)|valid_?instances|unable to (decode|read) image",
        _BATCH,
        places=Place.ROW | Place.ERROR,
        symptom=True,
    ),
)

SERVICE_SIGNATURES: tuple[Signature, ...] = (
    *_CAPACITY,
    *_QUOTA,
    *_PERMISSION,
    *_CONFIG,
    *_BATCH_WRAPPERS,
    *_TOO_LARGE,
    *_STARTUP,
    *_STARTUP_PATH,
    *_TRANSIENT,
    *_PREEMPTION,
    *_DEADLINE,
    *_EXIT,
    *_INPUT,
)
"""What Vertex AI and Google's APIs say, grouped by what it means."""
