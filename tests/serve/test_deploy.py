"""The files in deploy/: that they parse, and that the options, paths, ports and metrics in them are the server's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from fastpre.cli import main
from fastpre.serve.http.access import OPEN_PATHS

DEPLOY = Path(__file__).parents[2] / "deploy"


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def options() -> set[str]:
    text = CliRunner().invoke(main, ["serve", "--help"]).output
    return set(re.findall(r"--[a-z0-9-]+", text))


def kubernetes() -> dict[str, Any]:
    return {document["kind"]: document for document in documents("kubernetes.yaml")}


def container() -> Any:
    return kubernetes()["Deployment"]["spec"]["template"]["spec"]["containers"][0]


def seconds(arguments: list[str], option: str) -> float:
    return next(float(argument.partition("=")[2]) for argument in arguments if argument.startswith(option + "="))


def test_options_are_the_servers(options: set[str]) -> None:
    compose = documents("compose.yaml")[0]["services"]["fastpre"]
    used = {argument for argument in compose["command"] if argument.startswith("--")}
    used |= {argument.partition("=")[0] for argument in container()["args"]}
    assert used <= options
    variables = [name for name in compose["environment"] if name.startswith("FASTPRE_SERVE_")]
    assert {"--" + name.removeprefix("FASTPRE_SERVE_").lower().replace("_", "-") for name in variables} <= options
    assert variables


def test_what_was_begun_is_finished_before_the_kill() -> None:
    arguments = container()["args"]
    drains = seconds(arguments, "--drain") + seconds(arguments, "--drain-delay")
    assert kubernetes()["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > drains
    compose = documents("compose.yaml")[0]["services"]["fastpre"]
    drain = float(compose["command"][compose["command"].index("--drain") + 1])
    assert float(compose["stop_grace_period"].removesuffix("s")) > drain


def test_probes_need_no_key_and_ask_what_there_is() -> None:
    probes = [container()[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert {probe["path"] for probe in probes} <= set(OPEN_PATHS)
    assert {probe["port"] for probe in probes} == {"http"}
    assert container()["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert re.search(r"8000(/v2/health/live)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))


def test_ports_and_selectors_fit() -> None:
    kinds = kubernetes()
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert ports == {"http": 8000, "grpc": 8001}
    assert {port["targetPort"] for port in kinds["Service"]["spec"]["ports"]} == set(ports)
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert kinds["Service"]["spec"]["selector"] == labels
    assert kinds["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "fastpre"
    scraped = documents("prometheus.yml")[0]["scrape_configs"][0]["static_configs"][0]["targets"]
    assert scraped == ["fastpre:8000"]


def test_metrics_that_are_named_exist() -> None:
    from fastpre.serve.observing.loop_lag import LoopLag
    from fastpre.serve.observing.prometheus import metrics, registry

    text = (DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")
    names = set(re.findall(r"fastpre_[a-z_]+", text))
    assert names
    body = metrics(registry({}, {}, LoopLag()), "text/plain")[0].decode()
    assert all(f"# TYPE {name} " in body for name in names)
