"""Functions that take the fields of a `Spec` show them one by one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from ..typing import SpecFields

F = TypeVar("F", bound=Callable[..., Any])


def shows_fields_of(spec_class: type, *, defaults: bool = True) -> Callable[[F], F]:
    """Shows a function's `**fields: Unpack[SpecFields]` one by one in `help()`, `inspect.signature` and editors.

    Args:
        spec_class: whose signature has the fields, in order.
        defaults: False where a field that is not given does not have the class's default.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        *own, _ = signature.parameters.values()
        hints = get_type_hints(SpecFields)
        fields = [
            parameter.replace(annotation=hints[name], default=parameter.default if defaults else ...)
            for name, parameter in inspect.signature(spec_class).parameters.items()
        ]
        first = next((i for i, p in enumerate(own) if p.kind is p.KEYWORD_ONLY), len(own))
        parameters = [*own[:first], *fields, *own[first:]]
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return function

    return decorate
