"""`fastpre serve` with pipelines, rungs and cascades: what it builds, and what it refuses in one line."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result

from fastpre.cli import serve as command
from fastpre.serve.pipeline.detections import Detections
from fastpre.serve.pipeline.relay import Relay
from fastpre.serve.service import EngineService

MODELS = ("--model", "det=builtin:detector?rows=2&columns=2", "--model", "cls=builtin:tiny")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command.serve, arguments)


def test_what_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []

    def look(service: EngineService, listen: Any) -> None:
        built.append((service, [model.name for model in service.models()]))
        built.append({name: engine.ready for name, engine in service.engines.items()})

    monkeypatch.setattr(command, "_run", look)
    result = invoke(
        *MODELS,
        *("--pipeline", "spot=det>cls?score=0.25&most=3", "--handover", "cls=threads", "--queue", "64"),
        *("--rung", "low:interpolation=nearest", "--cascade", "low:0.9", "--ladder-down", "70", "--ladder-up", "7"),
    )
    assert result.exit_code == 0, result.output
    (service, names), ready = built
    assert names == ["det", "cls", "spot"]
    assert ready == {"det": True, "cls": True}
    spot, cascade = service._runners["spot"], service._runners["cls"]
    assert isinstance(spot, Relay)
    assert isinstance(cascade, Relay)
    assert isinstance(spot.joint, Detections)
    assert (spot.joint.pipeline.threshold, spot.joint.most) == (0.25, 3)
    assert (cascade.first, cascade.second) == (service.engines["cls"],) * 2
    assert cascade.qualities == ("full", "low")
    settings = service.engines["det"].settings
    assert (settings.ladder_down_ms, settings.ladder_up_ms, settings.queue_limit) == (70.0, 7.0, 64)
    assert [rung.name for rung in settings.ladder] == ["low"]
    assert not any(engine.ready for engine in service.engines.values())  # closed again


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pipeline", "spot"), "a pipeline is NAME=DETECTOR>CLASSIFIER?score=0.5&most=8, got 'spot'"),
        (("--pipeline", "spot=det>dog"), "there is no model 'dog'; give one: --model dog=REF"),
        (("--pipeline", "spot=cls>det"), "'cls' is no detector"),
        (("--rung", "fast"), "a rung is FIELD=VALUE"),
        (("--rung", "crop=16"), "det: rung 'crop=16' has output size (16, 16), and the model takes (64, 64)"),
        (("--cascade", "low:0.5"), "there is no rung 'low' for the cascade"),
        (("--handover", "dog=threads"), "no model is called dog: --model NAME=REF"),
        (
            ("--ladder-down", "5", "--ladder-up", "9"),
            "ladder_up_ms (9) must be at least 0 and below ladder_down_ms (5)",
        ),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], message: str) -> None:
    result = invoke(*MODELS, *arguments)
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output
