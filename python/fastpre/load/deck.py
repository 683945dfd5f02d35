"""The requests of a measurement: encoded once, and dealt out in an order that a seed decides."""

from __future__ import annotations

import dataclasses
import fractions
import itertools
import random
from collections.abc import Callable, Iterator, Sequence

from .images import SIZE_CLASSES, LoadImage, damaged, size_class
from .plan import Plan

__all__ = ["Deck", "Request"]

MOST_BAD = 32  # different damaged requests kept in memory


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What is sent, again and again.

    Attributes:
        payload: all bytes of the request, or of the gRPC message.
        size_class: of its images: a folder's name, or small, medium or large; "mixed" where they are not of one class.
        bad: one of its images is damaged.
    """

    payload: bytes
    size_class: str
    bad: bool


class Deck:
    """Deals out requests without end.

    Each has `plan.batch` images, with a mix of one size class. The order is the seed's; all of a class have been sent
    before one is sent again.

    Args:
        plan: its `mix`, `batch`, `bad_fraction` and `seed`.
        images: all that there are.
        encode: from a request's images to what is sent.

    Raises:
        ValueError: the mix names a class without images.
    """

    def __init__(self, plan: Plan, images: Sequence[LoadImage], encode: Callable[[Sequence[bytes]], bytes]) -> None:
        if not images:
            raise ValueError("there are no images to send")
        self._random = random.Random(plan.seed)
        self._bad = fractions.Fraction(plan.bad_fraction).limit_denominator(1_000_000)
        classes = _classes(plan, images)
        self._weights = list(plan.mix.values()) or [1.0]
        self._requests: list[Iterator[Request]] = []
        self._bad_requests: list[Iterator[Request]] = []
        self.images_by_class: dict[str, list[int]] = {}  # sizes in bytes
        for members in classes:
            groups = self._groups(members, plan.batch)
            good = [Request(encode([image.data for _, image in group]), _class_of(group), False) for group in groups]
            self._requests.append(itertools.cycle(good))
            if plan.bad_fraction:
                self._bad_requests.append(itertools.cycle(self._damaged(groups, encode)))
            for name, image in members:
                self.images_by_class.setdefault(name, []).append(len(image.data))

    def __iter__(self) -> Iterator[Request]:
        for number in itertools.count():
            place = 0
            if len(self._weights) > 1:
                (place,) = self._random.choices(range(len(self._weights)), self._weights)
            # Evenly spread: of the first n requests exactly floor(n x fraction) are bad.
            bad = int((number + 1) * self._bad) > int(number * self._bad)
            yield next((self._bad_requests if bad else self._requests)[place])

    def _groups(self, members: list[tuple[str, LoadImage]], batch: int) -> list[list[tuple[str, LoadImage]]]:
        """The images of each request: every image is in one of them, some in two if the numbers ask for it."""
        shuffled = self._random.sample(members, len(members))
        endless = itertools.cycle(shuffled)
        return [list(itertools.islice(endless, batch)) for _ in range(-(-len(members) // batch))]

    def _damaged(
        self, groups: list[list[tuple[str, LoadImage]]], encode: Callable[[Sequence[bytes]], bytes]
    ) -> list[Request]:
        found = []
        for turn in range(max(2, min(MOST_BAD, len(groups)))):
            group = groups[turn % len(groups)]
            datas = [image.data for _, image in group]
            place = self._random.randrange(len(datas))
            datas[place] = damaged(datas[place], turn)
            found.append(Request(encode(datas), _class_of(group), True))
        return found


def _class_of(group: list[tuple[str, LoadImage]]) -> str:
    names = {name for name, _ in group}
    return names.pop() if len(names) == 1 else "mixed"


def _classes(plan: Plan, images: Sequence[LoadImage]) -> list[list[tuple[str, LoadImage]]]:
    """The images that each share of the mix is dealt from, with the names of their size classes."""
    if not plan.mix:
        return [[(size_class(len(image.data)), image) for image in images]]
    folders = {folder for image in images for folder in image.folders}
    by_folder = set(plan.mix) <= folders
    if not by_folder and not set(plan.mix) <= set(SIZE_CLASSES):
        wrong = sorted(set(plan.mix) - folders)
        raise ValueError(
            f"mix: {', '.join(wrong)} is neither a folder ({', '.join(sorted(folders)) or 'there is none'}) "
            f"nor one of {', '.join(SIZE_CLASSES)}"
        )
    found: dict[str, list[tuple[str, LoadImage]]] = {name: [] for name in plan.mix}
    for image in images:
        names = image.folders if by_folder else [size_class(len(image.data))]
        name = next((name for name in names if name in found), None)
        if name is not None:
            found[name].append((name, image))
    for name, members in found.items():
        if not members:
            raise ValueError(f"mix: there is no {name} image")
    return list(found.values())
