"""HTML from templates: the mail's page and the report are drawn by it. Pure.

Owns how a template is read: each value is escaped where it is put in, and a name that nothing was
handed in for is an error. The templates lie beside the code that draws them and come along with it.
jinja2 is installed with Flask; it is imported when the first page is drawn, so that a command or an
event that draws none does not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

_NO_FILTERS: Mapping[str, Callable[..., object]] = {}


class Templates:
    """The templates of one folder, with the filters that they use beside jinja2's own."""

    def __init__(
        self, folder: Path, filters: Mapping[str, Callable[..., object]] = _NO_FILTERS
    ) -> None:
        self._folder = folder
        self._filters = filters

    def draw(self, name: str, **values: object) -> str:
        """The page of the template `name`, its values escaped."""
        return self._environment.get_template(name).render(**values)

    def text(self, name: str) -> str:
        """A file of the folder as it stands: a style sheet, a script."""
        return (self._folder / name).read_text(encoding="utf-8")

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  # late

        made = Environment(
            loader=FileSystemLoader(self._folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        made.filters.update(self._filters)
        return made
