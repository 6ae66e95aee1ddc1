"""The metadata server of the machine this runs on: project, region, service account, its tokens.

Asked over plain HTTP at `GCE_METADATA_HOST` (default `metadata.google.internal`), never through a
proxy, only when a setting does not say it. Called by `app`, and for tokens by `machine_account`.
"""

from __future__ import annotations

import http.client
import json
import os
import re
from collections.abc import Iterable
from urllib.parse import quote

from remediator.domain import NotFound, TransientError

_DEFAULT_HOST = "metadata.google.internal"
_TIMEOUT_SECONDS = 3.0
_MOST_BYTES = 10_000


def project_id() -> str:
    """The project's id; raises TransientError where there is no metadata server."""
    return _ask("project/project-id")


def project_number() -> str:
    """The project's number, in digits; raises TransientError where there is no metadata server."""
    return _ask("project/numeric-project-id")


def region() -> str:
    """The region this runs in (`us-central1`); a machine that names only its zone has that one's."""
    try:
        return _ask("instance/region").rpartition("/")[2]
    except NotFound:
        return re.sub(r"-[a-z0-9]$", "", _ask("instance/zone").rpartition("/")[2])


def service_account() -> str:
    """The e-mail of the account this runs as; raises NotFound where it runs as none."""
    return _ask("instance/service-accounts/default/email")


def access_token(scopes: Iterable[str]) -> tuple[str, float]:
    """A token of the account this runs as, and for how many seconds it is good.

    Raises TransientError where there is no metadata server or its answer is none, NotFound where it runs as
    no account.
    """
    text = _ask(
        f"instance/service-accounts/default/token?scopes={quote(','.join(scopes), safe='')}"
    )
    try:
        body = json.loads(text)
        return str(body["access_token"]), float(body["expires_in"])
    except (ValueError, TypeError, KeyError) as err:
        msg = "the metadata server gave something else for a token"  # which is not repeated here
        raise TransientError(msg) from err


def _ask(path: str) -> str:
    host = os.environ.get("GCE_METADATA_HOST") or _DEFAULT_HOST
    try:
        try:
            status, flavour, text = _get(host, path)
        except TimeoutError:  # a server that has just started; a refused connection stays refused
            status, flavour, text = _get(host, path)
    except (OSError, http.client.HTTPException) as err:
        msg = f"no metadata server answers at {host}: {err}"
        raise TransientError(msg) from err
    if status == http.HTTPStatus.NOT_FOUND:
        msg = f"the metadata server at {host} does not know {path}"
        raise NotFound(msg)
    # Whoever answers without the flavour is no metadata server, whatever its DNS name says.
    if status != http.HTTPStatus.OK or flavour != "Google":
        msg = f"the metadata server at {host} answered {status} to {path}"
        raise TransientError(msg)
    return text


def _get(host: str, path: str) -> tuple[int, str | None, str]:
    connection = http.client.HTTPConnection(host, timeout=_TIMEOUT_SECONDS)
    try:
        headers = {"Metadata-Flavor": "Google"}
        connection.request("GET", f"/computeMetadata/v1/{path}", headers=headers)
        answer = connection.getresponse()
        text = answer.read(_MOST_BYTES).decode("utf-8", "replace").strip()
        return answer.status, answer.getheader("Metadata-Flavor"), text
    finally:
        connection.close()
