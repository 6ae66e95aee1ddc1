"""What a library refuses of the settings that the job passed to it: a value, a choice, a file of credentials.

Owns how a value of the environment or the options is recognised in the user's own line, how a message lists what may
be chosen instead, and which files are credentials. Pure; called by `complaints` and `texts`.
"""

from __future__ import annotations

import re

from remediator.diagnosis.lazy_patterns import Linear
from remediator.domain.late_pattern import late_pattern

_READ = 600  # characters of a complaint; chosen
CALL = late_pattern(r"([A-Za-z_][\w.]*)\(")
"""A call in a line of source, by the name of what is called."""
_CREDENTIAL_FILE = (
    r"(?:/(?:run/)?secrets?/[\w./-]*\w|[\w./-]*(?:credentials?|service[-_]?account|kubeconfig)[\w-]*(?:\.json|\.ya?ml)?"
    r"|[\w./-]*\w\.(?:pem|crt|p12|pfx|jks|keytab)\b|[\w./-]*\bid_(?:rsa|ed25519)\b|[\w./-]*\.(?:netrc|pgpass|boto|kube/config)\b)"
)


def passes_a_setting(below: str, call: str) -> bool:
    """Whether the user's own line passed what raised the exception a value of the environment or the options as its
    first argument, other than a place of data; `below` and `call` as `Raised` holds them.
    """
    function = below.partition(" ")[0].rpartition(".")[2]
    for found in CALL.finditer(call):
        name = found[1].rpartition(".")[2]
        if name == function or (function in _CONSTRUCTORS and name[:1].isupper()):
            passed = _SETTING_VALUE.match(call, found.end())
            if passed and not _PLACE_OF_DATA.search(passed[0]):
                return True
    return False


def offers_choices(message: str) -> bool:
    """Whether a message lists what may be chosen instead."""
    return _CHOICES.is_in(message[:_READ])


_CONSTRUCTORS = frozenset(["__init__", "__new__", "__call__", "__post_init__"])
# A value of the environment, the command line or a configuration, by the names that they go by.
_SETTING_VALUE = late_pattern(
    r"(?:\w{1,40}=)?(?:(?:str|int|float|bool)\()?(?:os\.(?:environ\b(?:\.get\()?|getenv\()\W{0,3}\w*|getenv\(\W?\w*|sys\.argv\b|(?:args?|opts?|options|flags|cfg|conf|config|settings|params|hparams)(?:\.|\[\W?|\.get\(\W?)\w+)",
    re.IGNORECASE,
)
_PLACE_OF_DATA = late_pattern(
    r"data(?!base)|files?\b|path|dir\b|folder|input|source|csv|table|image|corpus|train|shard|index|\bdoc|sample|record|fast[aq]|[bs]am\b|[vb]cf\b",
    re.IGNORECASE,
)
_CHOICES = Linear(
    r"\b(?:available|valid|allowed|supported|known|possible|registered) (?:options|choices|backends|solvers|drivers|modes|methods|models|optimi[sz]ers|engines|schedulers|commands|tasks|keys|names) ?(?:are|is|include|:)"
    r"|\bplease (?:choose|select|use|pick|specify) (?:one )?(?:of|from)\b|\bmust be one of\b",
    needs="available valid allowed supported known possible registered please must",
)


def lacks_credentials(text: str) -> bool:
    """Whether it says that a file of keys, certificates or credentials is not there."""
    return _NO_CREDENTIALS.is_in(text[:_READ])


_NO_CREDENTIALS = Linear(
    rf"\b(?:no such file|not found|cannot find|can't find|could not find|missing)\b[^|]{{0,40}}['\"` ]{_CREDENTIAL_FILE}(?:[^\w.-]|\.(?:\W|$)|$)"
    rf"|{_CREDENTIAL_FILE}['\"`]? (?:was |is )?(?:not found|missing|does ?n[o']t exist|could not be found)",
    needs="no not find missing",
)
