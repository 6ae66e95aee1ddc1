"""Google's message types and gRPC methods, without the packages that are built around them.

`google.cloud.aiplatform_v1` imports forty services before it gives one message: 0.6 s and 55 MiB of
a cold start. Here only the file that defines a message is imported, and methods are called by their
public path, as the generated clients call them.

That a package has one file of messages for each .proto under `types/` is a layout that Google may
change. It is relied on in this module alone; where it no longer holds, the whole public package is
imported instead, which is slower and otherwise the same. tests/cloud/test_wire.py fails when that
happens. Called by the other files of this folder.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlencode

_lock = threading.RLock()


@cache
def message(package: str, leaf: str, name: str) -> Any:
    """The message type `name` of `package`, defined in `types/{leaf}.py` where the layout holds."""
    with _lock:
        found = _from_leaf(package, leaf, name)
        if found is None:
            found = getattr(importlib.import_module(f"{package}.types"), name)
        return found


@cache
def protobuf(package: str, leaf: str, name: str) -> Any:
    """The protobuf class behind the message type `name`, without proto-plus's class around it.

    What is only sent or read needs none, and it costs a warm event as much as the call (measured).
    """
    return message(package, leaf, name).pb()


def _from_leaf(package: str, leaf: str, name: str) -> Any | None:
    """The type, imported from its own file; None where the package is not laid out like that."""
    try:
        with _unopened(package), _unopened(f"{package}.types"):
            module = importlib.import_module(f"{package}.types.{leaf}")
            return getattr(module, name, None)
    except Exception:  # noqa: BLE001  # protects against any other layout: the public way remains
        return None


@contextmanager
def _unopened(package: str) -> Iterator[None]:
    """The package stands in `sys.modules` without its own code having run, until the end.

    One that is already imported is used as it is. Afterwards nothing is left of it but the files
    that were imported from it, and whoever imports the package itself gets the whole of it.
    """
    if package in sys.modules:
        yield
        return
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        msg = f"no package {package}"
        raise ImportError(msg)
    shell = types.ModuleType(package)
    shell.__path__ = list(spec.submodule_search_locations)
    sys.modules[package] = shell
    try:
        yield
    finally:
        if sys.modules.get(package) is shell:
            del sys.modules[package]


class Methods:
    """The methods of one gRPC service (`google.logging.v2.LoggingServiceV2`) on one channel."""

    def __init__(self, channel: Any, service: str) -> None:
        self._channel = channel
        self._service = service
        self._opened: dict[str, Callable[..., Any]] = {}

    def call(
        self,
        method: str,
        request: Any,
        answer: Any,
        *,
        seconds: float,
        metadata: Sequence[tuple[str, str]] = (),
        streamed: bool = False,
        **routed: str,
    ) -> Any:
        """One call's answer, of the type `answer`; errors are those of google.api_core.

        `routed`: the request's fields that Google routes by, such as `name` or `parent`. A method
        that is `streamed` gives an iterator of answers.
        """
        if routed:
            metadata = (*metadata, ("x-goog-request-params", _routing(tuple(routed.items()))))
        return self._method(method, type(request), answer, streamed=streamed)(
            request, timeout=seconds, metadata=metadata
        )

    def _method(
        self, method: str, request: Any, answer: Any, *, streamed: bool
    ) -> Callable[..., Any]:
        if method not in self._opened:
            channel = self._channel
            bare = (channel.unary_stream if streamed else channel.unary_unary)(
                f"/{self._service}/{method}",
                request_serializer=getattr(request, "serialize", None) or request.SerializeToString,
                response_deserializer=getattr(answer, "deserialize", None) or answer.FromString,
            )
            self._opened[method] = (
                _each_with_google_errors(bare) if streamed else _with_google_errors(bare)
            )
        return self._opened[method]


@lru_cache(maxsize=256)
def _routing(fields: tuple[tuple[str, str], ...]) -> str:
    return urlencode(fields, safe="/")


# `google.api_core.grpc_helpers` wraps methods just so, and loads credentials of every kind for it.


def _with_google_errors(bare: Callable[..., Any]) -> Callable[..., Any]:
    """The method, its errors those of google.api_core."""
    import grpc
    from google.api_core.exceptions import from_grpc_error

    def call(request: Any, **how: Any) -> Any:
        try:
            return bare(request, **how)
        except grpc.RpcError as err:
            raise from_grpc_error(err) from err

    return call


def _each_with_google_errors(bare: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """As `_told` for a method that streams: begun at once, its errors come with the answers."""
    import grpc
    from google.api_core.exceptions import from_grpc_error

    def each(stream: Any) -> Iterator[Any]:
        try:
            yield from stream
        except grpc.RpcError as err:
            raise from_grpc_error(err) from err

    def call(request: Any, **how: Any) -> Iterator[Any]:
        return each(bare(request, **how))

    return call
