"""A line for each failed request: what stands in it, how many there are at most, and that no client can forge one."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from fastpre.serve.errors import BadRequest, Overloaded
from fastpre.serve.observing import logs
from fastpre.serve.observing.failure_log import BURST, LINES_PER_S, FailureLog
from live_server import ask, running, served


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the root logger's handler writes; the handlers of before are back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    try:
        yield io.StringIO()
    finally:
        root.handlers = handlers
        root.setLevel(level)


def lines(written: io.StringIO, form: str = "text", level: str = "info") -> io.StringIO:
    logs.configure(level, form)
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    return written


def test_a_failed_request_is_one_line(written: io.StringIO) -> None:
    lines(written)
    with served() as service, running(service) as server:
        assert ask(server.port, "/v2/models/means/infer", b'{"id":"r-7","inputs":[]}')[0] == 400
        assert ask(server.port, "/v1/predict", b"\xff\xd8\xff\xd9")[0] == 422
        assert ask(server.port, "/v2/models/no/infer", b"{}")[0] == 404
    found = [line.split(" ", 2)[2] for line in written.getvalue().splitlines() if "request failed" in line]
    assert len(found) == 3
    assert found[0].startswith("WARNING fastpre.serve.requests: request failed: code=invalid_request model=means id=")
    assert " code=corrupt_image model=means id=" in found[1]
    assert ' model="" ' in found[2]


def test_as_json_each_line_is_an_object_with_the_fields(written: io.StringIO) -> None:
    lines(written, "json")
    FailureLog().failed("m", BadRequest('a "reason"\nof two lines'), "r\u202e7")
    try:
        raise ValueError("trace")
    except ValueError:
        logging.getLogger("x").exception("%s failed", "it")
    first, second = map(json.loads, written.getvalue().splitlines())
    assert (first["level"], first["code"], first["model"]) == ("WARNING", "invalid_request", "m")
    assert (first["request"], first["reason"]) == ("r\u202e7", 'a "reason"\nof two lines')
    assert first["time"].endswith("+00:00")
    assert second["message"] == "it failed"
    assert "ValueError: trace" in second["exception"]


def test_no_client_can_write_a_line_or_a_field_of_its_own(written: io.StringIO) -> None:
    lines(written)
    forged = 'x code=ok\n2026-01-01 WARNING all is "well"\x1b[2J\u2028\u202e'
    FailureLog().failed("m", BadRequest(forged * 100), forged)
    text = written.getvalue()
    assert text.count("\n") == 1
    assert text[:-1].isprintable()
    assert text.count(" code=") == 1 + text.count("x code=ok")
    assert '\\"well\\"' in text
    assert len(text) < 3000


def test_an_attack_does_not_fill_the_disk(written: io.StringIO) -> None:
    lines(written)
    now = 0.0
    log = FailureLog(lambda: now)
    for _ in range(10_000):
        log.failed("m", Overloaded("full"), "")
        now += 1e-3
    count = len(written.getvalue().splitlines())
    assert BURST < count <= BURST + 2 * 10 * LINES_PER_S + 2
    now += 60
    log.failed("m", BadRequest("the one to find"), "")
    last = written.getvalue().splitlines()[-2:]
    assert "not logged since the last line: overloaded: " in last[0]
    assert "the one to find" in last[1]


def test_the_level_is_obeyed(written: io.StringIO) -> None:
    lines(written, level="error")
    FailureLog().failed("m", Overloaded("full"), "")
    assert written.getvalue() == ""
