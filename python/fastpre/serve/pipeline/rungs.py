"""Lower quality, as it is declared: what changes in a model's Spec, or another model; and when it is used."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ...spec import Spec
from ...typing import SpecFields
from ..engine.settings import Rung

__all__ = ["CascadeChoice", "RungChoice"]


@dataclasses.dataclass(frozen=True)
class RungChoice:
    """A rung for every model that is served.

    Attributes:
        name: what responses say.
        changes: fields of the Spec.
        model: a reference to another model with the same outputs, as `models.load` takes it; empty: the model itself.
    """

    name: str
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    model: str = ""

    @classmethod
    def parse(cls, text: str) -> RungChoice:
        """`[NAME:]FIELD=VALUE,...`, such as `fast:fidelity=fast`, or `[NAME:]model=REFERENCE`.

        Values are JSON (`resize=[320,320]`); what is no JSON is text. Without a name it is called by what it changes.

        Raises:
            ValueError: it is written in another way.
        """
        name, rest = _split(text)
        if rest.startswith("model="):
            return cls(name or rest, model=rest.removeprefix("model="))
        changes = {}
        for part in re.split(r",(?![^\[]*\])", rest):  # not the commas of lists
            field, equals, value = part.partition("=")
            if not equals or not field.strip():
                raise ValueError(f"a rung is FIELD=VALUE,..., such as fidelity=fast, or model=REFERENCE; got {text!r}")
            changes[field.strip()] = _value(value.strip())
        return cls(name or rest, changes)

    def rung(self, full: Spec) -> Rung:
        """It, for the model that has this Spec.

        Raises:
            ValueError: the Spec has no such field, or a value does not suit it.
        """
        unknown = self.changes.keys() - {field.name for field in dataclasses.fields(Spec)}
        if unknown:
            raise ValueError(f"rung {self.name!r}: a Spec has no field {', '.join(sorted(unknown))}")
        try:
            rung = Rung(self.name, full.replace(**cast("SpecFields", dict(self.changes))))
        except (TypeError, ValueError) as error:
            raise ValueError(f"rung {self.name!r}: {error}") from error
        rung.check(full)
        return rung


@dataclasses.dataclass(frozen=True)
class CascadeChoice:
    """A cheap pass first, and the full one where it is not sure.

    Attributes:
        cheap: how the first pass differs.
        below: a confidence (the largest softmax of the classes) below it is not enough.
    """

    cheap: RungChoice
    below: float

    def __post_init__(self) -> None:
        if not 0 < self.below <= 1:
            raise ValueError(f"a cascade's confidence is above 0 and at most 1, got {self.below}")

    @classmethod
    def parse(cls, text: str, rungs: Sequence[RungChoice] = ()) -> CascadeChoice:
        """`RUNG:CONFIDENCE`: RUNG is the name of one of `rungs`, or written as `RungChoice.parse` reads it.

        Raises:
            ValueError: it is written in another way, or there is no rung of that name.
        """
        rung, colon, confidence = text.rpartition(":")
        try:
            below = float(confidence)
        except ValueError:
            colon = ""
        if not colon or not rung:
            raise ValueError(f"a cascade is RUNG:CONFIDENCE, such as fidelity=fast:0.8, got {text!r}")
        named = next((each for each in rungs if each.name == rung), None)
        if named is None and "=" not in rung:
            known = ", ".join(each.name for each in rungs) or "none is declared"
            raise ValueError(
                f"there is no rung {rung!r} for the cascade ({known}); declare it: --rung {rung}:FIELD=VALUE"
            )
        return cls(RungChoice.parse(rung) if named is None else named, below)


def _split(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"([\w.-]+):(.*=.*)", text)
    return (match[1], match[2]) if match else ("", text)


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return tuple(value) if isinstance(value, list) else value
