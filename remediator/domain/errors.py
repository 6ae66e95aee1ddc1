"""The errors that the product raises on purpose, by what the caller does about them."""

from __future__ import annotations


class RemediatorError(Exception):
    """Anything this product raises on purpose."""


class TransientError(RemediatorError):
    """Come back later. `retry_after_seconds` is the service's own wish, where it told one."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknown(TransientError):
    """A create was sent and its outcome is unknown: the job may exist."""


class PermanentError(RemediatorError):
    """The service will never accept this as asked; the message is the service's own."""


class NotFound(PermanentError):
    """The job, model, object or bucket does not exist (any more)."""


class VariableNotSet(PermanentError):
    """An environment variable that a secret is read from is not set; elsewhere it may be."""


class NotServed(PermanentError):
    """The service does not know the call (UNIMPLEMENTED): it has nothing of that kind."""


class PermissionDenied(PermanentError):
    """A permission is missing. The message names it and the resource where the service did."""

    def names(self, permission: str) -> bool:
        """Whether the service said that it is this permission (`iam.serviceAccounts.actAs`)."""
        return permission in str(self)


class InvalidInput(RemediatorError):
    """Bad input: it is acknowledged and logged, and changes nothing."""


# --- the contract's vocabulary -----------------------------------------------------------------
