"""benchmarks/pack.py on small made images: what is lossless is equal, and what is smaller is."""

from __future__ import annotations

import pack
import photographs
import pytest

pytestmark = pytest.mark.filterwarnings("default")


def test_rows() -> None:
    images = [photographs.encode(500, 380, seed, subsampling="4:4:4") for seed in range(2)]
    rows = {row["choice"]: row for row in pack.measured(images, (300,), rounds=1)}
    lossless = {name for name, row in rows.items() if row["psnr_db"] is None}
    assert lossless == {"original", *(name for name in rows if name.startswith("--transcode"))}
    assert rows["original"]["bytes_per_image"] == sum(map(len, images)) / 2
    kilobytes = [rows[name]["bytes_per_image"] for name in ("--reencode-all", "--resize 300")]
    assert kilobytes[1] < kilobytes[0]
    assert rows["--reencode-all"]["psnr_db"] > rows["--resize 300"]["psnr_db"] > 25
    about = {"cpu": "a CPU", "libraries": {}, "fastpre": {"libjpeg_turbo": "3"}, "load_average": 0}
    result = {"images": 2, "photos": "made", "rounds": 1, "date": "today", "machine": about, "rows": [*rows.values()]}
    assert pack.table(result).count("| equal |") == len(lossless)
