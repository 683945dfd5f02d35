"""`fastpre serve` with everything on that shows what it does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pictures
from collector import collector
from fastpre.serve.observing.recorder import REQUEST_STAGES
from live_server import ask


def test_the_command_traces_logs_and_shows_its_page() -> None:
    environment = {**os.environ, "OTEL_SERVICE_NAME": "cats", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with collector() as (url, got):
        command = [sys.executable, "-m", "fastpre", "serve", "--model", "builtin:tiny", "--port", "0", "--no-grpc"]
        command += ["--log-format", "json", "--log-level", "warning", "--otlp", url]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as server:
            try:
                assert server.stdout is not None
                port = next(int(found[1]) for line in server.stdout if (found := re.search(r"http://.*:(\d+)", line)))
                image = pictures.photograph(64, 48, seed=1)
                assert ask(port, "/v1/predict", image)[0] == 200
                assert ask(port, "/v1/predict", image[:200])[0] == 422
                assert b"page/live.js" in ask(port, "/")[2]
                server.send_signal(signal.SIGTERM)
                _, errors = server.communicate(timeout=30)
            finally:
                server.kill()
        assert server.returncode == 0
    (line,) = [json.loads(line) for line in errors.splitlines()]
    assert (line["level"], line["code"], line["model"]) == ("WARNING", "corrupt_image", "tiny")
    spans = [span.name for _, message in got for span in message.resource_spans[0].scope_spans[0].spans]
    assert spans == [*REQUEST_STAGES, "infer tiny", "infer tiny"]
