"""Where this runs: the project, its number, the regions that are served, and the account it runs as.

Owns the order of asking: the settings, then the metadata server, for the number Resource Manager
last. Asked when first needed, once a process. Called by `app`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from remediator.cloud import metadata
from remediator.cloud.deployment import Deployment
from remediator.domain import PermanentError, RemediatorError, TransientError
from remediator.settings import Settings

_DEFAULT_LOCATION = "us-central1"


class Runtime:
    """`deployment` gives the project's own APIs, opened late."""

    def __init__(self, settings: Settings, deployment: Callable[[], Deployment]) -> None:
        self._settings = settings
        self._deployment = deployment

    @cached_property
    def project(self) -> tuple[str, str]:
        """The project's id and number; what the settings do not say, the metadata server does.

        Outside Google's cloud, where there is none, Resource Manager knows the number.
        """
        return self.project_id, self._settings.project_number or self._project_number

    @cached_property
    def project_id(self) -> str:
        if self._settings.project:
            return self._settings.project
        try:
            return metadata.project_id()
        except (TransientError, PermanentError) as err:
            # Until it is known, no event can be called somebody else's.
            msg = (
                f"GOOGLE_CLOUD_PROJECT is not set (a command takes --project ID as well), and {err}"
            )
            raise TransientError(msg) from err

    @property
    def _project_number(self) -> str:
        try:
            return metadata.project_number()
        except RemediatorError as err:
            if self._settings.is_local:
                return ""
            if self._settings.on_cloud:
                raise TransientError(str(err)) from err
        try:
            return self._deployment().project_number()
        except RemediatorError as err:
            msg = f"GOOGLE_CLOUD_PROJECT_NUMBER is not set, and cannot be looked up: {err}"
            raise TransientError(msg) from err

    @cached_property
    def locations(self) -> tuple[str, ...]:
        """The regions served and swept."""
        if self._settings.locations:
            return self._settings.locations
        try:
            return (metadata.region() or _DEFAULT_LOCATION,)
        except RemediatorError:
            return (_DEFAULT_LOCATION,)

    @cached_property
    def own_account(self) -> str:
        """The e-mail of the account this runs as; empty where there is none."""
        try:
            return metadata.service_account()
        except RemediatorError:
            return ""
