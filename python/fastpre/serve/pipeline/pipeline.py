"""What a pipeline is: `Pipeline`, declared once and read from the command line."""

from __future__ import annotations

import dataclasses
import math
import re
from urllib.parse import parse_qsl

__all__ = ["Pipeline"]


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """A detector, and a model that looks at each of its boxes.

    Attributes:
        name: what clients call it.
        first, second: the models' names.
        threshold: boxes with a lower score are left out.
        most: boxes of one image, the best ones; M in the outputs' shapes.
        join: what the second model's outputs begin with in the answer.
    """

    name: str
    first: str
    second: str
    threshold: float = 0.5
    most: int = 8
    join: str = "crop_"

    def __post_init__(self) -> None:
        for what in ("name", "first", "second"):
            if not getattr(self, what):
                raise ValueError(f"a pipeline needs a {what}")
        if not math.isfinite(self.threshold):
            raise ValueError(f"the threshold of pipeline {self.name!r} must be a number, got {self.threshold}")
        if self.most < 1:
            raise ValueError(f"pipeline {self.name!r} must take at least 1 box of an image, got {self.most}")

    @classmethod
    def parse(cls, text: str) -> Pipeline:
        """`NAME=FIRST>SECOND?score=0.5&most=8&join=crop_`; what stands after the ? has these defaults.

        Raises:
            ValueError: it is written in another way.
        """
        match = re.fullmatch(r"([^=>?]+)=([^=>?]+)>([^=>?]+)(?:\?(.*))?", text)
        if match is None:
            raise ValueError(f"a pipeline is NAME=DETECTOR>CLASSIFIER?score=0.5&most=8, got {text!r}")
        name, first, second, query = (part and part.strip() for part in match.groups())
        given = dict(parse_qsl(query or "", keep_blank_values=True))
        unknown = given.keys() - {"score", "most", "join"}
        if unknown:
            raise ValueError(f"pipeline {name!r} has score, most and join, and no {', '.join(sorted(unknown))}")
        try:
            threshold, most = float(given.get("score", cls.threshold)), int(given.get("most", cls.most))
        except ValueError:
            raise ValueError(f"pipeline {name!r}: score is a number and most a whole one, got {query!r}") from None
        return cls(name, first, second, threshold, most, given.get("join", cls.join))
