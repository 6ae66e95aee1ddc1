"""Who runs a command: the account that Google knows, by the credentials that the command uses.

For what a person answers on the command line, which is recorded with their name. An environment
variable or a line of a file is no name: anybody can write it. Called by `app`.
"""

from __future__ import annotations

import json
import logging
import os
import pwd
import socket
from typing import Any

from remediator.cloud import metadata
from remediator.domain import PermanentError, RemediatorError

_SCOPES = (
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/userinfo.email",
)
_TOKEN_INFO = "https://oauth2.googleapis.com/tokeninfo"  # noqa: S105  # an address
_NAMED_BY = ("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST")


def caller(*, is_local: bool) -> str:
    """The account's e-mail; else the operating system's user and machine, and said to be that.

    `is_local`: the ledger or the cloud is on this machine, so that Google's credentials are looked for
    only where the environment names them.
    """
    if not is_local or any(os.environ.get(name) for name in _NAMED_BY):
        try:
            return _google_account()
        except RemediatorError:  # nobody is signed in to Google here
            pass
    return f"{_login()} on {socket.gethostname()}"


def _login() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without an entry
        return f"user {os.getuid()}"


def _google_account() -> str:
    """Raises PermanentError where there are no credentials, or they do not say whose they are."""
    import google.auth
    from google.auth import exceptions as auth

    logging.getLogger("google.auth._default").setLevel(
        logging.ERROR
    )  # that there is none is no news
    try:
        found, _ = google.auth.default(scopes=_SCOPES)
        named = str(getattr(found, "service_account_email", None) or "")
        if named == "default":  # of this machine
            return metadata.service_account()
        return named or _of_token(found)
    except (auth.GoogleAuthError, OSError) as err:
        msg = f"no Google account is known: {err}"
        raise PermanentError(msg) from err


def _of_token(found: Any) -> str:
    """Whose token it is, as Google says: a person's credentials hold no name that proves anything."""
    from google.auth.transport.requests import Request
    from requests import RequestException, Session

    try:
        with Session() as session:
            found.refresh(Request(session=session))
            answer = session.post(_TOKEN_INFO, data={"access_token": found.token}, timeout=10)
            body = json.loads(answer.text)
    except (RequestException, ValueError) as err:
        msg = f"Google did not say whose token it is: {type(err).__name__}"
        raise PermanentError(msg) from err
    email = body.get("email") if isinstance(body, dict) else None
    if not email:
        msg = "the token does not say whose it is"
        raise PermanentError(msg)
    return str(email)
