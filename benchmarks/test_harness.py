"""The harness itself, on small generated images: checks before timing, parts of decoding, targets."""

from __future__ import annotations

import io
import math
from typing import Any

import check
import images
import numpy as np
import parts
import photographs
import pytest
import report
import single
import targets
from check import Agreement
from measure import Timing
from outcome import BASELINE, Outcome, Row
from PIL import Image
from tasks import ENTROPY, TASKS, TURBO_ENTROPY, Job

pytestmark = pytest.mark.filterwarnings("default")


def encoded(width: int, height: int, mode: str = "RGB", **options: Any) -> bytes:
    small = np.random.default_rng(width).integers(0, 256, (9, 9, len(mode)), np.uint8).squeeze()
    stream = io.BytesIO()
    Image.fromarray(small, mode).resize((width, height), Image.Resampling.BICUBIC).save(stream, "JPEG", **options)
    return stream.getvalue()


BASELINES = {
    "420": encoded(101, 67, subsampling="4:2:0"),
    "444": encoded(64, 48, quality=95, subsampling="4:4:4"),
    "restarts": encoded(90, 50, restart_marker_blocks=3),
    "gray": encoded(33, 45, "L"),
}
PROGRESSIVE = encoded(80, 60, progressive=True)


@pytest.mark.parametrize("data", BASELINES.values(), ids=[*BASELINES])
@pytest.mark.parametrize("cls", parts.PARTS, ids=lambda cls: cls.key)
def test_a_part_agrees(cls: type[parts.Part], data: bytes) -> None:
    job = TASKS["decode"].job
    assert cls.enters(job)
    agreement = check.agreements(job, [cls(job)], [data])[cls.key]
    assert (agreement.images, agreement.equal, agreement.refusal) == (1, 1, None)


def test_other_pixels_are_noticed() -> None:
    data = BASELINES["420"]
    pixels = check.reference(TASKS["decode"].job, data).pixels
    part = parts.Rgb(TASKS["decode"].job)
    assert part.agrees(data, pixels)
    assert not part.agrees(data, pixels[::-1])
    changed = pixels.copy()
    changed[1, 40, 50] ^= 1
    assert not part.agrees(data, changed)
    refusal = Agreement(images=2, equal=1, required_db=math.inf).refusal
    assert refusal == "1 of 2 results differ from the reference"


def test_other_coefficients_are_noticed() -> None:
    from fastpre import _core

    sums = {_core.probe(data, TURBO_ENTROPY, True) for data in BASELINES.values()}
    assert len(sums) == len(BASELINES)


def test_probe_refuses() -> None:
    from fastpre import _core

    with pytest.raises(ValueError, match="idct/fastpre"):
        _core.probe(BASELINES["420"], "idct/fastpre")
    for key in (ENTROPY, "skip/fastpre", "rgb/fastpre"):
        with pytest.raises(RuntimeError):
            _core.probe(PROGRESSIVE, key)
    assert parts.declined([BASELINES["444"], PROGRESSIVE]) == {1: "progressive"}


def test_parts_are_timed_without_what_fastpre_declines() -> None:
    task = TASKS["decode"]
    photos = photographs.Photos("here", ["a.jpg", "b.jpg"], [BASELINES["420"], PROGRESSIVE])
    outcome = images.run(task, photos.images, 1, 1, [*(cls.key for cls in parts.PARTS), "fastpre-exact"])
    assert outcome.absent == {}
    assert {row.key: row.images for row in outcome.rows} == {
        **{cls.key: 1 for cls in parts.PARTS},
        "fastpre-exact": 2,
    }
    text = report.table(report.record(task, "1", photos, 1, outcome))
    assert "without 1 of the images" in text
    assert "b.jpg (progressive)" in text
    assert "target: entropy decoding" in text
    outcome = images.run(task, [PROGRESSIVE], 1, 1, [ENTROPY, "fastpre-exact"])
    assert [row.key for row in outcome.rows] == ["fastpre-exact"]
    assert ENTROPY in outcome.absent


def test_one_image_at_a_time_on_two_threads() -> None:
    outcome = single.run(TASKS["large-one"], list(BASELINES.values()), 2, 1, None)
    assert outcome.absent == {}
    assert [row.key for row in outcome.rows] == [
        f"{key} {threads}" for key in ("fastpre-exact", "fastpre-fast") for threads in ("x1", "x2")
    ]
    assert [t["bound"] for t in targets.judge("large-one", "all", outcome)] == [1.6]


def test_fast_is_held_to_a_mean_psnr() -> None:
    def agreement(*psnr_db: float) -> Agreement:
        return Agreement(len(psnr_db) + 1, 1, psnr_sum_db=sum(psnr_db), required_db=34.0)

    assert agreement(33.0, 36.0).refusal is None
    assert agreement().refusal is None
    assert agreement(33.0, 34.0).refusal == "mean PSNR of an image 33.5 dB to the reference, below 34"
    row = Row("fastpre-fast", "fast", Timing([1.0]), agreement(36.0)).as_json()
    assert row["agreement"]["mean_psnr_db"] == 36.0
    assert "34 dB or more to the exact result: 36.0 dB" in "\n".join(report._fidelity_lines([row]))


def test_fast_is_compared_with_the_exact_result() -> None:
    class Noisy(check.Competitor):
        key = label = "noisy"
        required_db = 34.0

        def one(self, data: bytes) -> Any:
            pixels = check.reference(self.job, data).pixels
            return pixels ^ np.uint8(4)  # 36.1 dB

    agreement = check.agreements(Job(None, None), [Noisy(Job(None, None))], [BASELINES["420"]])["noisy"]
    assert agreement.mean_psnr_db == pytest.approx(20 * math.log10(255 / 4))
    assert agreement.refusal is None


def test_targets() -> None:
    def rows(**ms: float) -> Outcome:
        return Outcome([Row(key, key, Timing([value]), images=11) for key, value in ms.items()], {})

    keys = {"fastpre-exact": 19.0, "fastpre-fast": 13.0, BASELINE: 38.0, "pillow-draft": 20.0, ENTROPY: 11.0}
    found = {(t["bound"], t["value"]): t["met"] for t in targets.judge("large", "1", rows(**keys))}
    assert found == {(0.55, 0.5): True, (0.6, 0.65): False, (1.25, 1.1818): True}
    assert targets.judge("large", "all", rows(**keys)) == []
    found = targets.judge("decode", "1", rows(**{TURBO_ENTROPY: 1.0, ENTROPY: 0.5}))
    assert [(t["bound"], t["stretch"], t["met"]) for t in found] == [(0.55, 0.45, True)]
    # Of different images, so there is nothing to judge.
    mixed = [Row("fastpre-fast", "", Timing([1.0]), images=11), Row(ENTROPY, "", Timing([1.0]), images=10, part=True)]
    assert targets.judge("large", "1", Outcome(mixed, {})) == []
