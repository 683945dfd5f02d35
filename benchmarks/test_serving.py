"""The pure parts of the server's benchmarks: tables, checks, ceiling, page; and torchvision in fastpre's place."""

from __future__ import annotations

import io
import json
import pathlib
import sys
from typing import Any

import added
import answers
import ceiling_model as ceiling
import energy
import numpy as np
import overhead_cases
import overhead_charts
import overhead_page
import overhead_parts
import overhead_summary
import photographs
import pytest
import rivals
import serving_table
import torch
import torchvision_preprocessor
from PIL import Image

from fastpre import Preprocessor, Spec
from fastpre.serve.engine import Engine, Settings
from fastpre.serve.engine.filling import Filler
from fastpre.serve.errors import ImageRefused
from fastpre.serve.models import load

MACHINE = {"cpu": "a core", "cores": 2, "commit": "abc"}

# --- answers ---

REFERENCE = np.random.default_rng(0).normal(size=(8, 10))


def test_the_same_answers_are_taken() -> None:
    agreed = answers.agreement(REFERENCE + 1e-4, REFERENCE)
    assert agreed.refusal is None
    assert (agreed.images, agreed.same_class) == (8, 1.0)


def test_answers_of_another_photograph_are_refused() -> None:
    assert "another best class" in str(answers.agreement(REFERENCE[::-1], REFERENCE).refusal)


def test_answers_that_are_off_are_refused() -> None:
    refusal = answers.agreement(REFERENCE * 1.05, REFERENCE).refusal
    assert "of the deviation between photographs" in str(refusal)
    assert answers.agreement(REFERENCE[:, :5], REFERENCE).refusal is not None
    assert answers.agreement(np.full_like(REFERENCE, np.nan)[:, :9], REFERENCE).refusal is not None


def test_scores_are_compared_with_the_reference_s_softmax() -> None:
    scores = answers.softmax(REFERENCE)
    assert scores.sum(axis=1) == pytest.approx(1)
    best = np.where(scores >= np.sort(scores, axis=1)[:, -3:-2], scores, np.nan)
    assert answers.agreement(best, REFERENCE, "scores").refusal is None
    assert answers.agreement(best[::-1], REFERENCE, "scores").refusal is not None
    near = 1e-4 * REFERENCE  # a network of random weights answers nearly the same to every photograph
    assert answers.agreement(answers.softmax(near).round(6), near, "scores").refusal is None
    assert answers.agreement(answers.softmax(near).round(6), near).refusal is not None


# --- rivals ---


def test_a_rival_that_is_not_installed_is_named_with_what_to_install(tmp_path: pathlib.Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'mosec'\" >&2\nexit 1\n")
    python.chmod(0o755)
    mosec = next(rival for rival in rivals.RIVALS if rival.key == "mosec")

    def start(path: pathlib.Path) -> None:
        with rivals.running(mosec, str(path), "builtin:tiny", b"", []):
            pass

    with pytest.raises(rivals.Absent, match=r"No module named 'mosec'.*pip install mosec, and --python mosec=PATH"):
        start(python)
    with pytest.raises(rivals.Absent, match="FileNotFoundError"):
        start(tmp_path / "nothing")


def test_every_rival_has_its_script_and_routes() -> None:
    keys = [route.key for rival in rivals.RIVALS for route in rival.routes]
    assert len(keys) == len(set(keys))
    for rival in rivals.RIVALS:
        assert not rival.script or (rivals.HERE / "serving_rivals" / rival.script).is_file()
    server = rivals.Running(rivals.RIVALS[0], 8000, 8001)
    assert [server.url(route) for route in rivals.RIVALS[0].routes] == [
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8000/v1/predict",
        "grpc://127.0.0.1:8001",
    ]


def test_a_server_that_ends_at_once_says_why() -> None:
    command = [sys.executable, "-c", "raise SystemExit('there is no port')"]

    def first() -> None:
        raise ConnectionRefusedError

    with pytest.raises(rivals.Absent, match="ended: there is no port"), rivals.served(command, {}, first):
        pass


def test_a_binary_request_says_its_lengths() -> None:
    head, _, rest = added._v2(b"jpeg").partition(b"\r\n\r\n")
    lengths = dict(line.split(b": ") for line in head.split(b"\r\n")[1:])
    assert len(rest) == int(lengths[b"Content-Length"])
    document = json.loads(rest[: int(lengths[b"Inference-Header-Content-Length"])])
    assert document["inputs"][0]["parameters"]["binary_data_size"] == 8
    assert rest.endswith(b"\x04\0\0\0jpeg")


# --- the table ---


def found(rate: float, p50: float | None = 2.0, p99: float | None = 9.0, **more: Any) -> dict[str, Any]:
    return {
        "images_s": rate, "p50_ms": p50, "p99_ms": p99, "requests": 9, "error_share": 0.0, "client_cpu": 0.1,
        "client_fell_behind": False, "stages_ms": {}, "others": 0.0, **more,
    }  # fmt: skip


def served(key: str, role: str, *rates: float, **more: Any) -> dict[str, Any]:
    rounds = {"8": [found(rate, **more) for rate in rates], "1": [found(rate / 2, **more) for rate in rates]}
    return {
        "key": key,
        "role": role,
        "routes": {"http" if role == "fastpre" else key: {"label": key, "rounds": rounds}},
    }


def compared(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    way = {"p50_ms": 1.9, "added_ms": 0.25, "added_quartiles_ms": [0.2, 0.3]}
    ways = {"alone": {"p50_ms": 1.0}, "HTTP": way, "HTTP echo": way, "gRPC": {**way, "added_ms": 0.7}, "gRPC echo": way}
    return {
        "title": "serving", "date": "2026-01-01", "machine": MACHINE, "photos": "made", "model_ms": "0.34",
        "rounds": 3, "seconds": 2, "rows": list(rows), "absent": {"litserve": "not installed"},
        "ceiling": [{"images_s": 1000.0, "others": 0.0}] * 3, "added": {"images": 4, "rounds": 2, "ways": ways}, **more,
    }  # fmt: skip


def test_ratios_are_to_the_best_rival_and_to_the_ceiling() -> None:
    result = compared(
        served("fastpre", "fastpre", 900, 950, 1000),
        served("mosec", "rival", 240, 250, 260),
        served("ray", "rival", 60, 61, 62),
        served("sketch", "sketch", 700, 700, 700),
        served("echo", "floor", 5000, 5000, 5000),
    )
    assert serving_table.best(result) == ("mosec", 250)
    lines = serving_table.table(result).splitlines()
    ours = next(line for line in lines if line.startswith("  fastpre"))
    assert ours.split()[1:8] == ["950", "(900", "to", "1000)", "3.80", "95%", "2.00"]
    floor = next(line for line in lines if line.startswith("  echo"))
    assert floor.split()[5:7] == ["-", "-"]
    assert "  skipped: litserve: not installed" in lines
    assert [line.rpartition(", ")[2] for line in serving_table.targets(result)] == ["reached"] * 5 + ["MISSED"]


def test_with_the_slow_model_the_target_is_the_best_rival() -> None:
    result = compared(served("fastpre", "fastpre", 24.0), served("mosec", "rival", 25.0), model_ms="75")
    assert serving_table.targets(result) == ["no worse than the best rival (mosec, 25.0 images/s): 24.0, MISSED"]
    assert "no rival was measured" in serving_table.targets(compared(served("f", "fastpre", 24.0), model_ms="75"))[0]


def test_what_makes_a_figure_worth_less_is_said() -> None:
    busy = served("fastpre", "fastpre", 900, p50=None, p99=None, others=0.4, error_share=0.02, client_fell_behind=True)
    text = serving_table.table(compared(busy, ceiling=[{"images_s": 1000.0, "others": 0.4}]))
    assert "up to 2.0% of the requests of a round failed" in text
    assert "in 2 of 2 measurements the client fell behind" in text
    assert "busy machine: other processes had 40% of the cores" in text


def test_stored_results_can_be_read() -> None:
    for path in sorted((rivals.HERE / "results" / "serving").glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        assert result["title"] in serving_table.table(result)
    for path in sorted((rivals.HERE / "results" / "overheads").glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        assert result["date"] in overhead_page.page(result)


# --- the ceiling ---

PARTS = ceiling.Parts(
    megapixels=0.2,
    megapixels_s=400,
    bytes_in=100e3,
    bytes_moved=2e6,
    request_s=0.2e-3,
    byte_s=1e-9,
    inference_core_s=0.2e-3,
    inference_s=0.25e-3,
)


def test_the_ceiling_is_the_least_bound() -> None:
    host = ceiling.Host(cores=2, memory_bytes_s=20e9)
    assert ceiling.core_s(PARTS) == pytest.approx({"request": 0.3e-3, "preprocessing": 0.5e-3, "inference": 0.2e-3})
    assert ceiling.bounds(PARTS, host) == pytest.approx(
        {"cores": 2000, "model": 4000, "memory": 10_000, "link": float("inf")}
    )
    assert ceiling.ceiling(PARTS, host) == ("cores", pytest.approx(2000))
    assert ceiling.ceiling(PARTS, ceiling.Host(8, 20e9))[0] == "model"
    assert ceiling.ceiling(PARTS, ceiling.Host(8, 1e9)) == ("memory", pytest.approx(500))
    assert ceiling.ceiling(PARTS, ceiling.Host(8, 20e9, 10e6)) == ("link", pytest.approx(100))


def test_fixed_and_proportional_costs_of_two_measurements() -> None:
    assert ceiling.line((10, 3.0), (30, 5.0)) == pytest.approx((2.0, 0.1))
    with pytest.raises(ValueError, match="give no slope"):
        ceiling.line((10, 3.0), (10, 5.0))


def test_a_batch_between_and_past_the_measured_ones() -> None:
    curve = {1: 2.0, 8: 9.0}  # one for the batch, one for each image
    assert [size * ceiling.per_image(curve, size) for size in (1, 4.5, 8, 16)] == pytest.approx([2.0, 5.5, 9.0, 17.0])
    assert ceiling.per_image({4: 8.0}, 2) == 2.0
    with pytest.raises(ValueError, match="batches of 0"):
        ceiling.per_image(curve, 0)


@pytest.mark.parametrize("size", [0, 2_000, 400_000])
def test_an_image_of_nothing_has_the_size_that_was_asked_for(size: int) -> None:
    data = overhead_parts.null_image(size)
    assert len(data) == pytest.approx(max(size, len(overhead_parts.null_image(0))), abs=4)
    header = Preprocessor(Spec()).header(data)
    assert (header.height, header.width) == (16, 16)
    assert Image.open(io.BytesIO(data)).convert("RGB").size == (16, 16)


# --- energy ---


def zone(root: pathlib.Path, name: str, label: str, used: int) -> pathlib.Path:
    folder = root / name
    folder.mkdir()
    for file, text in (("name", label), ("energy_uj", str(used)), ("max_energy_range_uj", "1000000")):
        (folder / file).write_text(text + "\n")
    return folder / "energy_uj"


def test_energy_is_of_packages_and_survives_a_counter_that_begins_anew(tmp_path: pathlib.Path) -> None:
    first, second = (
        zone(tmp_path, "intel-rapl:0", "package-0", 100),
        zone(tmp_path, "intel-rapl:1", "package-1", 900_000),
    )
    zone(tmp_path, "intel-rapl:0:0", "core", 5)

    def run() -> str:
        first.write_text("300100\n")
        second.write_text("100000\n")  # past the range of a million
        return "done"

    assert energy.joules(run, tmp_path) == ("done", pytest.approx(0.5))


def test_energy_that_is_not_reported_is_none(tmp_path: pathlib.Path) -> None:
    assert energy.joules(lambda: 3, tmp_path / "nothing") == (3, None)


# --- the study ---


def study(**more: Any) -> dict[str, Any]:
    def row(preprocessing: str, rate: float, preprocess: float) -> dict[str, Any]:
        stages = {"queue": 0.1, "preprocess": preprocess, "inference": 1.0}
        one = {"images_s": rate / 2, "p50_ms": preprocess + 1.5, "p99_ms": 9.0, "stages_ms": stages, "batch": 1.0,
               "joules": None, "error_share": 0.0, "client_cpu": 0.1, "others": 0.0}  # fmt: skip
        return {"task": "quick", "size": "medium", "preprocessing": preprocessing,
                "rounds": {"1": [one], "8": [{**one, "images_s": rate}]},
                "inference_alone_s": {"1": [800.0], "8": [1000.0]}}  # fmt: skip

    rows = [row("fastpre", 500.0, 0.5), row("torchvision", 200.0, 2.5)]
    rounds = rows[0]["rounds"]
    core_s = {"request": 1e-3, "preprocessing": 2e-3, "inference": 1e-3}
    each = {"task": "quick", "size": "medium", "bound_by": "cores", "predicted": 520.0, "achieved": 500.0,
            "achieved_of_predicted": 500 / 520, "core_s": core_s}  # fmt: skip
    return {
        "date": "2026-01-01", "machine": MACHINE, "rounds": 1, "seconds": 2.0, "quick": False,
        "photos": {"medium": "made, 2"}, "sizes": {"medium": {"megapixels": 0.2, "kilobytes": 100.0}},
        "tasks": {"quick": {"reference": "builtin:tiny", "about": "a small CNN", "instances": 1}},
        "rows": rows, "handovers": [{"handover": "threads", "rounds": rounds}, {"handover": "redis", "rounds": rounds}],
        "pipelines": None, "ceilings": [each], "absent": {"nats": "nats-server is not installed"},
        "needs_gpu": ["models on CUDA"], **more,
    }  # fmt: skip


def test_shares_and_losses() -> None:
    result = study()
    ours, theirs = result["rows"]
    assert overhead_summary.stages(ours) == pytest.approx({"preprocess": 0.5, "inference": 1.0, "around": 0.5})
    assert overhead_summary.added_share(ours) == pytest.approx(0.5)
    assert overhead_summary.added_share(theirs) == pytest.approx(0.75)
    assert (overhead_summary.lost(ours), overhead_summary.lost(theirs)) == pytest.approx((0.5, 0.8))
    text = overhead_summary.summary(result)
    assert "within 10%: reached" in text
    assert "needs a GPU: models on CUDA" in text
    assert "nats-server is not installed" in text


def test_the_page_has_the_numbers_and_says_what_they_are_worth() -> None:
    text = overhead_page.page(study())
    assert "| quick | medium | 1000 | 200 | 80% | 500 | 50% | 2.50 times |" in text
    assert "| quick, medium | 1.00 | 2.00 | 1.00 | cores | 520 | 500 | 96% |" in text
    assert "| of a medium image's latency, not inference | up to 56% | 75% | 50% |" in text
    assert "| throughput lost with large images | about 80% | - | - |" in text
    assert "2.50 to 2.50 times torchvision's" in text
    assert "| throughput without a broker | | | 1.00 times that with Redis |" in text
    assert "Energy: not reported" in text
    assert "busy machine" not in text
    quick = overhead_page.page(study(quick=True))
    assert "Not measured yet" in quick
    assert "images/s" not in quick
    busy = study()
    busy["rows"][0]["rounds"]["1"][0]["others"] = busy["rows"][0]["rounds"]["8"][0]["others"] = 0.5
    assert "**A busy machine:** other processes had" in overhead_page.page(busy)
    assert all(len(line) <= 100 for line in text.splitlines() if not line.startswith("|"))


def test_pipelines_and_energy_are_on_the_page_where_there_are_any() -> None:
    row = {"kind": "threads", "images_per_s": {"median": 300.0}, "times_redis": {"median": 2.5},
           "p50_ms": {"median": 20.0}, "alone_ms": {"median": 3.0}}  # fmt: skip
    result = study(pipelines={"crops": 4, "rows": [row]})
    result["rows"][0]["rounds"]["8"][0]["joules"] = 0.25
    text = overhead_page.page(result)
    assert "| threads | 300 | 2.50 | 20.0 | 3.00 |" in text
    assert "| quick | medium | fastpre | 0.250 |" in text


def test_charts_are_drawn(tmp_path: pathlib.Path) -> None:
    paths = overhead_charts.draw(study(), tmp_path)
    assert sorted(path.name for path in paths) == sorted(path.name for path in tmp_path.iterdir())
    assert all(path.stat().st_size > 2000 for path in paths)


def test_the_newest_result_is_taken_and_a_quick_one_only_for_want_of_another(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SystemExit, match=r"run benchmarks/overheads\.py first"):
        overhead_page.newest(tmp_path)
    for name in ("2026-01-03-overheads-quick", "2026-01-01-overheads", "2026-01-02-overheads"):
        (tmp_path / f"{name}.json").write_text("{}")
    assert overhead_page.newest(tmp_path).name == "2026-01-02-overheads.json"


# --- torchvision in the place of fastpre ---


@pytest.mark.parametrize(
    "spec",
    [
        Spec(),
        Spec(resize=(64, 80), crop=None, mean=None, std=None, memory_format="channels_last"),
        Spec(resize=(70, 70), crop=None, interpolation="bicubic"),
    ],
)
def test_torchvision_writes_the_same_bits(spec: Spec) -> None:
    images = [photographs.encode(150, 100), photographs.encode(90, 120)]
    want = Preprocessor(spec)(images)
    out = torch.empty_like(want)
    result = torchvision_preprocessor.TorchvisionPreprocessor(spec).run(images, out=out, on_error="fill")
    assert torch.equal(out, want)
    assert [record.ok for record in result.images] == [True, True]


def test_an_engine_preprocesses_with_torchvision_in_the_block_alone() -> None:
    image = photographs.encode(150, 100)
    model = load("builtin:tiny")
    with Engine(model, Settings(threads=1)) as engine:
        want = engine.run(image).outputs["logits"]
    with torchvision_preprocessor.replaced(), Engine(model, Settings(threads=1)) as engine:
        got = engine.run(image).outputs["logits"]
        made = engine._live.filler._preprocessors[False]  # type: ignore[union-attr]
        with pytest.raises(ImageRefused):
            engine.run(image[: len(image) // 2])
    assert all(type(each) is torchvision_preprocessor.TorchvisionPreprocessor for each in made)
    assert np.array_equal(got, want)
    plain = Filler([model.spec], "cpu", torch.zeros(1, 3, 224, 224))
    assert all(type(each) is Preprocessor for each in plain._preprocessors[False])


def test_answers_are_equal_in_every_bit_or_not() -> None:
    first = [{"logits": np.array([1.0, 2.0])}]
    assert overhead_cases.equal(first, [{"logits": np.array([1.0, 2.0])}])
    assert not overhead_cases.equal(first, [{"logits": np.array([1.0, np.nextafter(2.0, 3)])}])
    assert not overhead_cases.equal(first, [{"scores": np.array([1.0, 2.0])}])
