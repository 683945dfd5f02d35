"""`SOURCE:TARGET?PARAMETER=VALUE&...`, and what to suggest for a wrong name."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from .errors import ModelUnavailable

__all__ = ["Reference", "did_you_mean"]


@dataclasses.dataclass(frozen=True)
class Reference:
    """What names a model.

    Attributes:
        source: "torchvision", "onnx" ...
        target: the source's own name of it, or a file.
        parameters: for what makes the model. Values are JSON (`?num_classes=10&layers=[1,2]`); what is no JSON is text.
    """

    source: str
    target: str
    parameters: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str, sources: Iterable[str]) -> Reference:
        """The parts of a reference.

        Raises:
            ModelUnavailable: there is no such source, or no target.
        """
        source, colon, rest = text.partition(":")
        if not colon or source not in sources:
            raise ModelUnavailable(_unknown(text, source if colon else "", list(sources)))
        target, question, query = rest.partition("?")
        if question and os.path.exists(rest):  # a file whose name has a question mark
            target, query = rest, ""
        if not target:
            raise ModelUnavailable(f"{text!r} names no model: write {source}:NAME")
        return cls(source, target, {key: _value(value) for key, value in parse_qsl(query, keep_blank_values=True)})

    @property
    def short(self) -> str:
        """A name for the model: of a file its stem, else the target's last part; letters, digits, "_", "-", "."."""
        stem = self.target
        if os.path.splitext(stem)[1].lower() in _SUFFIXES:
            stem = os.path.splitext(stem)[0]
        last = re.split(r"[/\\:]", stem.rstrip("/\\"))[-1]
        return re.sub(r"[^\w.-]", "_", last) or self.source


_SUFFIXES = {".pt": "torchscript", ".pth": "torchscript", ".pt2": "export", ".onnx": "onnx"}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _unknown(text: str, source: str, sources: list[str]) -> str:
    suffix = os.path.splitext(text)[1].lower()
    known = f"known are {', '.join(name + ':' for name in sources)}"
    if not source and suffix in _SUFFIXES:
        return f"{text!r} says not what it is: write {_SUFFIXES[suffix]}:{text}"
    if not source:
        return f"{text!r} says not where the model is from: write, for example, torchvision:{text}; {known}"
    return f"there is no source {source!r} of models{did_you_mean(source, sources)}; {known}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """With up to three close matches, to be appended to a message: ": did you mean ...?"; empty if there is none."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f": did you mean {' or '.join(close)}?" if close else ""
