"""Values of secrets: from the environment or from Secret Manager.

Owns the three ways to name one (`env:NAME`, `secret:NAME`, a full version name). A value is handed
to whoever asked and to nobody else: no log line, no error and no cache file holds it. Called by `app`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.cloud.connection import DEFAULT_TIMEOUT_SECONDS, answered, open_channel
from remediator.domain import PermanentError, VariableNotSet
from remediator.domain.late_pattern import late_pattern

HOST = "secretmanager.googleapis.com"
_VERSION = late_pattern(
    r"projects/[a-z0-9.:-]{1,100}/secrets/[\w-]{1,255}/versions/(latest|[\w-]{1,63})"
)
_NAME = late_pattern(r"[\w-]{1,255}")
_VARIABLE = late_pattern(r"[A-Za-z_][A-Za-z0-9_]*")


def resolve(
    reference: str,
    *,
    project: str,
    environ: Mapping[str, str],
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> str:
    """The value behind `env:NAME`, `secret:NAME` (newest version), or a version by its full name.

    A variable may hold `secret:NAME` in place of the value: so one policy file serves a laptop, where
    the value stands in the environment, and a deployment, where no value should.
    Raises VariableNotSet where the environment lacks it; PermanentError where the reference is none of
    these; NotFound or PermissionDenied, naming the secret, where Secret Manager does not give it. A trailing line end, as
    files and `echo` leave one, is no part of a value.
    """
    scheme, _, name = reference.partition(":")
    if scheme == "env" and _VARIABLE.fullmatch(name):
        value = environ.get(name)
        if not value:
            msg = f"the environment variable {name} is not set"
            raise VariableNotSet(msg)
        if not value.startswith("secret:"):
            return value.rstrip("\r\n")
        reference = value.strip()
    return _read_version(_version(reference, project), timeout_seconds)[0].rstrip("\r\n")


def read_version(
    reference: str, *, project: str, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> tuple[str, str]:
    """The text of a secret as it is kept, and the number of its version; raises as `resolve`."""
    text, version = _read_version(_version(reference, project), timeout_seconds)
    return text, version.rpartition("/")[2]


def _version(reference: str, project: str) -> str:
    scheme, _, name = reference.partition(":")
    version = name if scheme == "secret" else reference
    if scheme == "secret" and _NAME.fullmatch(name):
        version = f"projects/{project}/secrets/{name}/versions/latest"
    if not _VERSION.fullmatch(version):
        # What stands here may be the secret itself, so it is not repeated.
        msg = "a secret is named as env:NAME, secret:NAME or projects/P/secrets/S/versions/V"
        raise PermanentError(msg)
    return version


def _read_version(version: str, timeout_seconds: float) -> tuple[str, str]:
    """Text and full name of a version; `latest` is answered by the number that it stands for."""
    from google.cloud.secretmanager_v1.services.secret_manager_service import (
        SecretManagerServiceClient,
    )
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
        SecretManagerServiceGrpcTransport,
    )

    channel = open_channel(HOST, None)
    try:
        client = SecretManagerServiceClient(
            transport=SecretManagerServiceGrpcTransport(channel=channel)
        )
        found: Any = answered(
            f"reading {version}",
            lambda seconds: client.access_secret_version(name=version, retry=None, timeout=seconds),
            timeout_seconds=timeout_seconds,
            permission="secretmanager.versions.access",
        )
    finally:
        channel.close()
    try:
        return bytes(found.payload.data).decode("utf-8"), str(found.name)
    except UnicodeDecodeError:
        msg = f"{version} is not UTF-8 text"
        raise PermanentError(msg) from None  # the error's own text would show the bytes
