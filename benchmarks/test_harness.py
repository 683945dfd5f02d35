"""The harness itself, on small made images: checks before timing, parts of decoding, targets, stored results."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import charts
import comparison
import loader
import numpy as np
import overhead
import photographs
import pytest
import report
import targets
import torch
from difference import Difference, joined, psnr_db, reference
from implementations import BY_KEY, able, parts
from implementations.base import Implementation, Run
from tasks import BASELINE, ENTROPY, RGB, SKIP, TASKS, TURBO_ENTROPY, Job

pytestmark = pytest.mark.filterwarnings("default")

BASELINES = {
    "420": photographs.encode(101, 67, subsampling="4:2:0"),
    "444": photographs.encode(64, 48, quality=95, subsampling="4:4:4"),
    "restarts": photographs.encode(90, 50, restart_marker_blocks=3),
    "gray": photographs.encode(33, 45, mode="L"),
}
PROGRESSIVE = photographs.encode(80, 60, progressive=True)
DECODE = TASKS["decode"].job


def entry(implementation: Implementation, job: Job) -> comparison.Entry:
    return comparison.Entry(implementation.key, "", implementation, implementation.make(job, "cpu", 1))


@pytest.mark.parametrize("key", [i.key for i in able(Job())[0]])
def test_every_implementation_does_the_job(key: str) -> None:
    image = photographs.encode(300, 280)
    found = comparison.check(Job(), [entry(BY_KEY[key], Job())], [[image]])[key]
    assert (found.images, found.refusal) == (1, None)


@pytest.mark.parametrize("data", BASELINES.values(), ids=[*BASELINES])
@pytest.mark.parametrize("key", [i.key for i in parts.ALL])
def test_a_part_agrees(key: str, data: bytes) -> None:
    found = comparison.check(DECODE, [entry(BY_KEY[key], DECODE)], [[data]])[key]
    assert (found.images, found.equal, found.refusal) == (1, 1, None)


def test_other_pixels_are_noticed() -> None:
    data = BASELINES["420"]
    run, right = BY_KEY[RGB].make(DECODE, "cpu", 1), reference(DECODE, [data])
    changed = right.pixels.clone()
    changed[0, 1, 40, 50] ^= 1
    found = Difference(required_db=math.inf)
    run.check(found, [data], right)
    run.check(found, [data], dataclasses.replace(right, pixels=changed))
    assert (found.images, found.equal) == (2, 1)
    assert found.refusal == "1 of 2 results differ from the reference"


def test_probe() -> None:
    assert len({parts.probe(data, TURBO_ENTROPY, True) for data in BASELINES.values()}) == len(BASELINES)
    with pytest.raises(ValueError, match="idct/fastpre"):
        parts.probe(BASELINES["420"], "idct/fastpre")
    for key in (ENTROPY, SKIP, RGB):
        with pytest.raises(RuntimeError):
            parts.probe(PROGRESSIVE, key)
    assert parts.declined([BASELINES["444"], PROGRESSIVE]) == {1: "progressive"}


def test_parts_are_timed_without_what_fastpre_declines() -> None:
    task = TASKS["decode"]
    photos = photographs.Photographs("here", ["a.jpg", "b.jpg"], [BASELINES["420"], PROGRESSIVE])
    outcome = comparison.compare(task, photos.images, 1, 1, [*(i.key for i in parts.ALL), "fastpre-exact"])
    assert outcome["absent"] == {}
    images = {row["key"]: row.get("images") for row in outcome["rows"]}
    assert images == {**{i.key: 1 for i in parts.ALL}, "fastpre-exact": None}
    text = report.table(report.record(task, "1", photos, 1, outcome))
    assert "without 1 of the images" in text
    assert "b.jpg (progressive)" in text
    assert "target: entropy decoding" in text
    outcome = comparison.compare(task, [PROGRESSIVE], 1, 1, [ENTROPY, "fastpre-exact"])
    assert [row["key"] for row in outcome["rows"]] == ["fastpre-exact"]
    assert ENTROPY in outcome["absent"]
    with pytest.raises(comparison.NotBatchable):
        comparison.compare(task, [PROGRESSIVE], 2, 1, None)


@pytest.mark.parametrize(("name", "names"), [("large-one", ("x1", "x2")), ("scaling", ("x1", "xall"))])
def test_threads(name: str, names: tuple[str, str]) -> None:
    outcome = comparison.compare(TASKS[name], list(BASELINES.values()), 2, 1, ["fastpre-exact"])
    assert [row["key"] for row in outcome["rows"]] == [f"fastpre-exact {n}" for n in names]
    judged = targets.judge(targets.TARGETS[name, "all"], outcome | {"images": 4})
    assert judged[0]["value"] is not None


@pytest.mark.parametrize("name", ["loader", "loader-memory"])
def test_loader(name: str) -> None:
    images = [photographs.encode(60 + i, 50) for i in range(9)]
    outcome = loader.compare(TASKS[name], images, 1, None)
    assert outcome["absent"] == {}
    equal = {row["key"]: row["agreement"]["equal"] for row in outcome["rows"]}
    ours = {"fastpre-exact": 9, "fastpre-here": 9, "fastpre-threads": 9}
    assert equal == {**ours, "torchvision-tensor": 0, "torchvision-pil": 9}
    judged = targets.judge(targets.TARGETS[name, "all"], outcome | {"images": 9})
    assert len([record for record in judged if record["value"] is not None]) == 4


def test_overhead(capsys: pytest.CaptureFixture[str]) -> None:
    images = [photographs.encode(60 + i, 50) for i in range(3)]
    assert overhead.overheads(images, 2).keys() == overhead.LOADERS.keys()
    assert "bare loop" in capsys.readouterr().out
    assert overhead.seconds({"a": "print(2.5)"}, b"", 2) == {"a": [2.5, 2.5]}


class Wrong(Run):
    """The right pixels with one bit flipped in each: 36.1 dB."""

    def __call__(self, images: list[bytes]) -> Any:
        return reference(DECODE, images).pixels ^ 4


class Broken(Run):
    def __call__(self, images: list[bytes]) -> Any:
        return torch.zeros(1, 2)


@pytest.mark.parametrize(
    ("kind", "required", "refusal"),
    [
        (Wrong, 34.0, None),
        (Wrong, 37.0, "mean PSNR of an image 36.1 dB to the reference, below 37"),
        (Wrong, math.inf, "1 of 1 results differ from the reference"),
        (Broken, None, "ValueError: torch.float32(1, 2) on cpu instead of torch.uint8(1, 3, 67, 101) on cpu"),
    ],
)
def test_wrong_results_are_refused(kind: type[Run], required: float | None, refusal: str | None) -> None:
    implementation = Implementation("wrong", "wrong", lambda *_: kind(), required_db=required)
    found = comparison.check(DECODE, [entry(implementation, DECODE)], [[BASELINES["420"]]])["wrong"]
    assert found.refusal == refusal
    if kind is Wrong:
        assert found.mean_psnr_db == pytest.approx(20 * math.log10(255 / 4))


def test_what_is_refused_has_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Implementation("wrong", "wrong", lambda *_: Wrong(), required_db=math.inf)
    monkeypatch.setattr(comparison, "able", lambda job, only=None: ([wrong, BY_KEY["pillow"]], {"x": "is missing"}))
    outcome = comparison.compare(TASKS["decode"], [BASELINES["420"]], 1, 1, None)
    assert [row["key"] for row in outcome["rows"]] == ["pillow"]
    assert outcome["absent"] == {"x": "is missing", "wrong": "refused: 1 of 1 results differ from the reference"}


@pytest.mark.parametrize(("labels", "add", "refused"), [([0], 0.0, False), ([3], 0.0, True), ([0], 0.01, True)])
def test_a_loader_is_checked(labels: list[int], add: float, refused: bool) -> None:
    images = [photographs.encode(60, 50)]
    batch = reference(Job(), images).result + add
    found = loader._check(Job(), "fastpre-here", [[batch, torch.tensor(labels)]], images)
    assert (found.refusal is not None) == refused


def test_difference() -> None:
    right = torch.tensor([10, 20, 30, 40], dtype=torch.uint8).reshape(1, 1, 2, 2)
    d = Difference()
    d.add(right, right, ["same"])
    d.add(np.array([10, 22, 27, 50], np.uint8).reshape(1, 1, 2, 2), right, ["other"])  # 0, 2, 3 and 10 steps
    found = d.as_json()
    assert (found["images"], found["equal"], found["max_difference"], found["worst_image"]) == (2, 1, 10, "other")
    assert (found["within_2_percent"], found["mean_difference"]) == (75.0, 15 / 8)
    assert found["psnr_db"] == pytest.approx(10 * math.log10(255**2 * 8 / 113), abs=0.01)
    assert found["worst_psnr_db"] == pytest.approx(10 * math.log10(255**2 * 4 / 113), abs=0.01)
    assert joined([d, d]).as_json() == found | {"images": 4, "equal": 2}
    d = Difference()
    d.add(torch.zeros(1, 1, 3, 2, dtype=torch.uint8), torch.full((1, 1, 3, 2), 255, dtype=torch.uint8))
    assert d.refusal == "PSNR 0.0 dB to the reference"  # steps do not wrap around
    assert math.isinf(psnr_db(0, 5))


def test_normalized_values_are_compared_in_steps_of_pixels() -> None:
    right = torch.zeros(2, 3, 4, 5)
    got = right.clone()
    got[1, 0] = 3 / (255 * 0.229)  # three steps of red
    d = Difference()
    d.add(got.permute(0, 2, 3, 1).contiguous(), right)
    assert (d.images, d.equal, round(d.largest, 3)) == (2, 1, 3.0)
    assert d.psnr_db == pytest.approx(10 * math.log10(255**2 * 6 / 9), abs=1e-4)
    d.add(-right, right)  # minus zero is other bits
    assert d.equal == 1


def test_targets() -> None:
    def result(**ms: float) -> dict[str, Any]:
        return {"images": 11, "rows": [{"key": key, "ms": {"median": value}} for key, value in ms.items()]}

    keys = {"fastpre-exact": 19.0, "fastpre-fast": 13.0, BASELINE: 38.0, "pillow-draft": 20.0, ENTROPY: 11.0}
    judged = targets.judge(targets.TARGETS["large", "1"], result(**keys))
    assert {(t["bound"], t["value"]): t["verdict"] for t in judged} == {
        (0.55, 0.5): "met",
        (0.6, 0.65): "MISSED",
        (1.25, 1.1818): "met",
    }
    mixed = result(**keys)
    mixed["rows"][-1]["images"] = 10  # of different images, so there is nothing to judge
    assert targets.judge(targets.TARGETS["large", "1"], mixed)[-1]["verdict"] == "not measured"
    (t, _) = targets.judge(targets.TARGETS["decode", "1"], result(**{TURBO_ENTROPY: 1.0, ENTROPY: 0.5}))
    assert targets.line(t).split()[-4:] == ["0.5", "met", "(better", "0.45)"]


def test_stored_results_can_be_read() -> None:
    found = report.latest()
    assert {task for task, _ in found} == set(TASKS)
    assert all(result["title"] in report.table(result) for result in found.values())
    charts.faceted([result for (_, threads), result in found.items() if threads == "1"])
