"""Values of secrets: `env:NAME` from the environment, `secret:NAME` from Secret Manager.

Owns the Secret Manager client. A value is never logged and never part of an error. Called by `app`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from remediator.cloud.connect import DEFAULT_TIMEOUT_SECONDS, answered, open_channel
from remediator.domain import Refused

_HOST = "secretmanager.googleapis.com"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_VERSION = re.compile(r"projects/[a-z0-9.:-]+/secrets/[A-Za-z0-9_-]+/versions/(?:[0-9]+|latest)")


def resolve(
    reference: str,
    *,
    project: str,
    environ: Mapping[str, str],
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> str:
    """The secret's text. `secret:NAME` is the latest version; a version's full name is that one.

    Raises Refused where the reference is none or the variable is not set, Gone or Forbidden where
    Secret Manager says so.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = environ.get(name, "")
        if not value:
            msg = f"the environment variable {name} is not set"
            raise Refused(msg)
        return value
    if kind == "secret" and (_NAME.fullmatch(name) or _VERSION.fullmatch(name)):
        full = name if "/" in name else f"projects/{project}/secrets/{name}/versions/latest"
        return _access(full, timeout_seconds)
    msg = "a secret is named by env:NAME or secret:NAME"
    raise Refused(msg)


def _access(name: str, timeout_seconds: float) -> str:
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
        SecretManagerServiceGrpcTransport,
    )

    channel = open_channel(_HOST, None)
    try:
        client: Any = SecretManagerServiceClient(
            transport=SecretManagerServiceGrpcTransport(channel=channel)
        )
        found = answered(
            f"reading the secret {name}",
            lambda seconds: client.access_secret_version(name=name, retry=None, timeout=seconds),
            timeout_seconds=timeout_seconds,
        )
        return bytes(found.payload.data).decode("utf-8").strip()
    finally:
        channel.close()
