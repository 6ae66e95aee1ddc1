"""Values that are no secrets though they stand under a secret's name. Pure.

A reference says where a secret is; a placeholder, a switch or a state says nothing; under the name of a
key or token stand also numbers, paths and addresses; and in a line of source the value is an expression.
Called by the passes over texts and by the one over JSON.
"""

from __future__ import annotations

import re

from remediator.domain.late_pattern import late_pattern
from remediator.redaction.names import Named, named, names_a_webhook, word_set

MARK = "[redacted]"
"""What stands in a secret's place."""

_REFERENCES = (
    "env:", "secret:", "secret://", "secrets:", "vault:", "sm://", "ssm:", "op://", "kms:", "keyring:", "file:",
    "projects/", "arn:aws:secretsmanager", "arn:aws:ssm", "arn:aws:kms", "secretKeyRef", "valueFrom", "gs://",
    "s3://", "hdfs://", "abfss://", "file://", MARK,
)  # fmt: skip
_NOTHING = word_set(
    "none null nil nan undefined true false yes no on off unset empty default redacted hidden"
    " masked removed omitted required optional missing str int bool bytes float string any object"
    " dict list secretstr number boolean basic bearer digest oauth oauth2 iam adc auto anonymous"
    " enabled disabled"
)
_STATES = word_set(
    "invalid expired incorrect wrong set not is was has had rejected denied revoked unknown ok valid failed"
    " authentication authorization and or the a an for from in to of by with mismatch needed provided"
    " found must please enter must cannot could should will does did this that it at as on you your"
    " error exception if when where which but"
)
_PLACEHOLDER = late_pattern(
    r"\$\{.*|\$\(.*|\$\$?[A-Za-z_]\w*|\{\{.*|\{[A-Za-z_0-9.!:]*\}|%\(?\w+\)?s?%?|%s|<[^<>]*>?|\*+|x{3,}|X{3,}|\.{2,}"
    r"|…+|•+|#+|-+|@\w+@|\[[A-Za-z_ ]+\]|_+|YOUR[-_ ]\S*|your[-_ ]\S*|&[a-z]*|[\[\](){}<>,;]+"
)
_EXPRESSION = late_pattern(
    r"(?:await |not |new )?[A-Za-z_]\w*(?:\.\w+)*(?:\(|\[).*"
    r"|(?:self|cls|args|settings|config|cfg|opts|options|os|env|params|kwargs|conf|flags|FLAGS|hparams|secrets"
    r"|request|credentials|google|process|this|ctx|context)\.[\w.]+\(?.*",
    re.DOTALL,
)
_LETTERS = late_pattern(r"[\w-]{1,255}\Z")
_IDENTIFIER = late_pattern(r"[A-Za-z_][A-Za-z_0-9]*\Z")
_NUMBER = late_pattern(
    r"[-+]?(?:\d{1,7}|\d{1,12}\.\d*|\d*\.\d+|\d+(?:\.\d+)?e[-+]?\d+)[smhd%]?\Z", re.IGNORECASE
)
_SMALL = late_pattern(r"[-+]?\d{1,3}(?:\.\d{1,3})?\Z")
_PATH = late_pattern(
    r"(?:~|\.{1,2})/[\w./@ -]*\Z"
    r"|/(?:etc|var|run|root|home|tmp|mnt|gcs|opt|usr|app|secrets?|workspace|data|srv|Users|dev|proc|bin|lib|code"
    r"|src|config|certs?|keys?|models?|content|kaggle|credentials)(?:/[\w.@ -]*)*\Z"
    r"|[A-Za-z]:\\[\w.\\ -]*\Z"
    r"|[\w.-]+(?:/[\w.-]+)*/?\.?[\w-]+\.(?:json|pem|key|crt|cer|p12|pfx|jks|ya?ml|txt|csv|parquet|npy|npz|pkl|pt|pth"
    r"|bin|h5|onnx|safetensors|tfrecord|avro|jsonl|py|toml|ini|cfg|conf|env|xml|gz|zip|png|jpe?g)\Z"
)  # fmt: skip
_ADDRESS = late_pattern(
    r"[A-Za-z][\w+.-]*://[^\s@]*\Z|[\w.+-]+@[\w-]+(?:\.[\w-]+)+\Z|[a-z][a-z_]*(?:\.[a-z_]+)+\Z"
    r"|[a-z][a-z_]*(?:\.[a-z_]+)*\.[A-Z][A-Za-z]+\Z"
)
_DIGEST = late_pattern(r"(?:sha(?:1|256|384|512)|md5)[:-][0-9a-fA-F]{16,}\Z")


def is_plain(value: str, under: Named, name: str, *, quoted: bool, spaced: bool = False) -> bool:
    """Whether `value`, found under `name`, is no secret.

    `quoted`: it stands in quotes or is a whole JSON text. `spaced`: unquoted, with a space or a
    colon before it, as in a sentence or a line of source.
    """
    if len(value) > _LONGEST:
        return value.startswith(_REFERENCES)
    bare = value.strip().rstrip(".,;:!?") if not quoted else value.strip()
    if not bare or bare.startswith(_REFERENCES) or _PLACEHOLDER.fullmatch(bare):
        return True
    lower = bare.lower()
    if name == "secret" and not quoted and not spaced and _LETTERS.match(bare):
        return True  # `secret:NAME` says where one is
    if lower in _NOTHING or _SMALL.match(bare):
        return True
    if not quoted:
        if spaced and lower in _STATES:
            return True
        if _EXPRESSION.fullmatch(bare) or (not _is_of_shell(name) and _is_variable(bare, name)):
            return True
    if under is Named.PASSWORD or (names_a_webhook(name) and "://" in bare):
        return False
    return bool(
        _NUMBER.match(bare)
        or _PATH.match(bare)
        or _ADDRESS.match(bare)
        or _DIGEST.match(bare)
        or (len(bare) <= 4 and bare.isalpha() and name.lower() == "token")  # noqa: PLR2004  # a tokeniser's
    )


_LONGEST = 300  # characters that a reference, a path or an expression may have, chosen
_RANDOM = late_pattern(r"[\w.~+/=!@#$%^&*:-]{6,}\Z")
_WORDY = late_pattern(
    r"[A-Za-z]?[a-z]*(?:[-_./:][A-Za-z]?[a-z]*)*\Z|[A-Z]+(?:_[A-Z]+)*\Z|[A-Z]?[a-z]+(?:[A-Z][a-z]+)+\Z"
    r"|[A-Za-z]?[a-z]+(?:\.[A-Za-z]?[a-z]+)*(?:\.[A-Za-z]+)\Z"
)
_VERSION = late_pattern(
    r"v?\d+(?:[.:/-]\d+)*(?:(?:rc|a|b|\.?dev|\.?post)\d+|[a-z]{1,3})?\Z|[A-Za-z]{1,12}\d{1,2}\Z"
)


def looks_random(value: str) -> bool:
    """Whether a bare word in a sentence is no word: letters with digits or signs, no version, no path."""
    bare = value.strip(".,;:!?()[]")
    if len(bare) > _LONGEST:
        return True
    if _RANDOM.match(bare) is None or _PATH.match(bare) or _ADDRESS.match(bare):
        return False
    if _VERSION.match(bare) and not re.match(r"[a-z]+\d\d?\Z", bare):
        return False
    return _WORDY.match(bare) is None and any(c.isalpha() for c in bare)


_SHORTEST_KEY = 10  # characters, chosen
_COLUMN = late_pattern(r"[a-z]+\d*(?:[_.-][a-z0-9]+)*\Z")


def follows_key_flag(value: str) -> bool:
    """Whether what a bare `--key` is given is a key of access: to sort or join by, one names a column."""
    bare = value.strip()
    return (
        len(bare) >= _SHORTEST_KEY
        and any(map(str.isdigit, bare))
        and _COLUMN.match(bare) is None
        and looks_random(bare)
    )


def _is_of_shell(name: str) -> bool:
    """`NAME=value` as an environment has it: what follows is no variable of a program."""
    return name.upper() == name and any(char.isalpha() for char in name)


def _is_variable(value: str, name: str) -> bool:
    """`password=db_password` in a line of source: the value's own name is a secret's."""
    if _IDENTIFIER.match(value) is None or any(char.isdigit() for char in value):
        return False
    last = name.lower().replace("-", "_").rpartition("_")[2].rpartition(".")[2]
    return value.lower() == last or (
        "_" in value and named(value) is not None and value.lower().endswith(last)
    )
