"""The metadata server of a machine in Google's cloud, for `GCE_METADATA_HOST`.

It knows the project, the place and the service account, and hands out tokens that the twin's IAM
maps back to that account.
"""

from __future__ import annotations

from collections.abc import Mapping

from twin.http import Answer, HttpServer, Request, Route
from twin.rpc import Desk

_FLAVOUR = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}


class Metadata:
    """The server; `token` is what it hands out."""

    def __init__(self, desk: Desk, *, project: str, number: str, region: str, account: str) -> None:
        self.token = "twin-access-token-of-the-function"
        desk.iam.tokens[self.token] = account
        zone = f"projects/{number}/zones/{region}-1"
        base = "instance/service-accounts"
        self._texts: Mapping[str, str] = {
            "": "computeMetadata/\n",
            "project/project-id": project,
            "project/numeric-project-id": number,
            "instance/region": f"projects/{number}/regions/{region}",
            "instance/zone": zone,
            "instance/id": "4312345678901234567",
            f"{base}": f"{account}/\ndefault/\n",
            "universe/universe-domain": "googleapis.com",
            "universe/universe_domain": "googleapis.com",
        }
        for name in ("default", account):
            self._texts = {
                **self._texts,
                f"{base}/{name}/email": account,
                f"{base}/{name}/scopes": "https://www.googleapis.com/auth/cloud-platform\n",
                f"{base}/{name}/aliases": "default\n",
            }
        self._account = account
        self._server = HttpServer(
            desk,
            [
                Route(
                    "GET",
                    r"/computeMetadata/v1/instance/service-accounts/[^/]+/token",
                    self._give_token,
                    "metadata.token",
                ),
                Route(
                    "GET",
                    r"/computeMetadata/v1/instance/service-accounts/(?P<who>[^/]+)/?",
                    self._describe,
                    "metadata.account",
                ),
                Route("GET", r"/?(computeMetadata/v1)?/?(?P<path>.*)", self._text, "metadata"),
            ],
        )
        self.port = self._server.port
        self.host = f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Ends the server."""
        self._server.stop()

    def _give_token(self, request: Request) -> Answer:
        if not _asked_properly(request):
            return Answer(403, b"Missing required header", _FLAVOUR)
        body = {"access_token": self.token, "expires_in": 3599, "token_type": "Bearer"}
        return Answer(200, body, {**_FLAVOUR, "Content-Type": "application/json"})

    def _describe(self, request: Request) -> Answer:
        if request.query.get("recursive") != "true":
            return self._text(request)
        body = {
            "aliases": ["default"],
            "email": self._account,
            "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        }
        return Answer(200, body, {**_FLAVOUR, "Content-Type": "application/json"})

    def _text(self, request: Request) -> Answer:
        path = request.groups.get("path", "").strip("/")
        if path and not _asked_properly(request):
            return Answer(403, b"Missing Metadata-Flavor:Google header.", _FLAVOUR)
        found = self._texts.get(path)
        if found is None:
            return Answer(404, b"Not Found", _FLAVOUR)
        return Answer(200, found.encode(), {**_FLAVOUR, "Content-Type": "application/text"})


def _asked_properly(request: Request) -> bool:
    return request.headers.get("metadata-flavor") == "Google"
