"""The metadata server: which project, region and service account this runs as.

Owns its few questions, asked in plain HTTP as the server wants it, at `GCE_METADATA_HOST` where that
is set. Each raises Transient where no metadata server answers. Called by `app`.
"""

from __future__ import annotations

import http.client
import os

from remediator.domain import Transient

_HOST = "metadata.google.internal"
_TIMEOUT_SECONDS = 3.0
_TRIES = 3


def project_id() -> str:
    """The project's id."""
    return _ask("project/project-id")


def project_number() -> str:
    """The project's number, as Vertex writes it into resource names."""
    return _ask("project/numeric-project-id")


def region() -> str:
    """The region this runs in (`us-central1`); of a zone, its region."""
    try:
        place = _ask("instance/region")
    except Transient:
        place = _ask("instance/zone").rpartition("-")[0]
    return place.rpartition("/")[2]


def service_account() -> str:
    """The e-mail of the account this runs as."""
    return _ask("instance/service-accounts/default/email")


def _ask(path: str) -> str:
    host = os.environ.get("GCE_METADATA_HOST") or _HOST
    reason = ""
    for _ in range(_TRIES):
        connection = http.client.HTTPConnection(host, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(
                "GET", f"/computeMetadata/v1/{path}", headers={"Metadata-Flavor": "Google"}
            )
            answer = connection.getresponse()
            text = answer.read(10_000).decode("utf-8", "replace").strip()
        except (OSError, http.client.HTTPException) as err:
            reason = f"{type(err).__name__}: {err}"
            if isinstance(err, OSError) and not isinstance(err, TimeoutError):
                break  # nobody listens, or the name is unknown: this is no machine of Google's
            continue
        finally:
            connection.close()
        if answer.status == http.client.OK:
            return text
        reason = f"HTTP {answer.status}"
    msg = f"the metadata server did not tell {path} ({reason})"
    raise Transient(msg)
