"""Signatures of accounts that may not do what they must.

Owns data only: rows of `Signature`. Interpreted by `matching`, put together by `known`.
"""

from __future__ import annotations

from remediator.diagnosis.signatures import Signature
from remediator.diagnosis.signs import CERTAIN, DECISIVE, FAIR, STRONG
from remediator.domain import Cause

_TROUBLE = "cloud.google.com/vertex-ai/docs/general/troubleshooting"
_CODES = "cloud.google.com/apis/design/errors"
_IAM = "cloud.google.com/iam/docs/troubleshooting-access"
_REGISTRY = "cloud.google.com/artifact-registry/docs/troubleshooting"
_AUTH = "google.aip.dev/auth"

PERMISSION: tuple[Signature, ...] = (
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
        r"(should|must|needs? to) be granted (access|the role|permission)|\blacks? [^.]{0,40}(access|permissions?|role)\b|(does|do|did) not have( the| any| sufficient| enough| required| adequate)* ?(permissions?|access|privileges?|authorization|role)"
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
        r"|invalid (api key|credentials|token|jwt)|api key not valid|authentication failed\b|login failed\b|bad credentials|incorrect (password|username)|invalid (password|username)|account (has been |is )?(disabled|deleted)|service account [^ ]{0,120} does not exist|unable to (acquire impersonated|locate) credentials|could not read username|token is required|no token found|api[_ -]?key (is |was )?(not (configured|set|found|provided)|missing|required)",
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
        r"|pull access denied|unauthorized: authentication (failed|required)|authentication required|gated ?repo|is gated\b|gated (model|dataset)|access to model [^ ]+ is restricted|cannot access gated",
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
