"""What becomes of requests over HTTP, whatever the server does."""

from __future__ import annotations

import json
import socket
import sys
import time
from typing import Any

import pytest

from fastpre.load import Plan, Report, Unreachable, run
from misbehaving import METADATA, Answer, Arrived, Server, misbehaving

IMAGES = [bytes([i]) * 300 for i in range(4)]


def loaded(server: Server, images: list[bytes] = IMAGES, **options: Any) -> Report:
    """A short measurement, by default of 20 requests by one client."""
    bounds: dict[str, Any] = {"requests": 20, "warmup_s": 0, "timeout_s": 5}
    return run(Plan(url=server.url, **{**bounds, **options}), images)


def counts(report: Report) -> dict[str, int]:
    return {kind: count for kind, count in report.outcomes.items() if count}


def test_ok() -> None:
    with misbehaving(
        lambda _: Answer(headers=(("Server-Timing", 'queue;dur=0.25, decode;dur=1.5;desc="a, b"'),))
    ) as server:
        report = loaded(server)
    assert counts(report) == {"ok": 20}
    assert (report.due, report.error_share, report.unfinished, report.stopped) == (20, 0, 0, False)
    assert report.target.model == "m"
    assert report.target.server == "misbehaving 1"
    assert [a.path for a in server.arrived] == ["/v2/models/m/infer"] * 20
    assert {a.body[-300:] for a in server.arrived} == set(IMAGES)
    assert report.stages_ms == {"queue": 0.25, "decode": 1.5}
    assert report.stages_from == 20
    assert server.connections == 3 + 1  # metadata, and one that is kept alive
    latency = report.latency_ms["ok"]
    assert 0 < report.service_ms["ok"].p50 <= latency.p50 <= latency.p99 <= latency.max
    assert report.goodput == pytest.approx(20 / report.window_s)
    assert report.json()["outcomes"]["ok"] == 20


def refusing(request: Arrived) -> Answer:
    """Every kind of error, in turn."""
    errors: list[tuple[int, dict[str, Any], tuple[tuple[str, str], ...]]] = [
        (503, {"error": "full", "code": "overloaded"}, (("Retry-After", "1"),)),
        (429, {"error": {"code": "rate_limited"}}, (("retry-after", "soon"),)),
        (422, {"error": "bad", "code": "corrupt_image"}, ()),
        (404, {}, ()),
        (500, {"error": "oh", "code": 5}, ()),
    ]
    status, body, headers = errors[request.number % len(errors)]
    return Answer(status, json.dumps(body).encode() if body else b"no JSON", headers)


def test_errors_are_counted_by_kind_and_code() -> None:
    with misbehaving(refusing) as server:
        report = loaded(server)
    assert counts(report) == {"refused": 8, "client_error": 8, "server_error": 4}
    assert report.codes == {
        "refused": {"overloaded": 4, "rate_limited": 4},
        "client_error": {"corrupt_image": 4, "http_404": 4},
        "server_error": {"http_500": 4},
    }
    assert report.refused_with_retry_after == 4
    assert report.error_share == 1
    assert report.goodput == 0
    assert {kind: p.count for kind, p in report.latency_ms.items()} == counts(report)
    assert server.connections == 4  # errors close nothing


def test_damaged_images_that_get_a_4xx_are_no_errors() -> None:
    def judge(request: Arrived) -> Answer:
        good = request.body[-300:] in IMAGES
        return Answer(200 if good else 422, b'{"code": "corrupt_image"}')

    with misbehaving(judge) as server:
        report = loaded(server, requests=64, bad_fraction=1 / 16)
    assert counts(report) == {"ok": 60, "client_error": 4}
    assert report.bad_images == {"client_error": 4}
    assert report.error_share == 0


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (Answer(body=b'{"a": 1}' * 50, chunked=True), 1),
        (Answer(close=True), 20),
        (Answer(unsized=True), 20),
        (Answer(raw=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), 1),
        (Answer(raw=b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"), 20),
        (Answer(status=204, raw=b"HTTP/1.1 204 No Content\r\n\r\n"), 1),
    ],
)
def test_every_form_of_an_answer_is_understood(answer: Answer, connections: int) -> None:
    with misbehaving(lambda _: answer) as server:
        report = loaded(server)
    assert counts(report) == {"ok": 20}
    assert server.connections == 3 + connections


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (Answer(drop=True), "closed_before_answer"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", drop=True), "closed_within_answer"),
        (Answer(raw=b"HTTP/1.1 20", drop=True), "closed_before_answer"),
        (Answer(raw=b"SSH-2.0-OpenSSH\r\n\r\n"), "malformed_answer"),
        (Answer(raw=b"HTTP/1.1 101 Hm\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), "unexpected_upgrade"),
    ],
)
def test_connections_that_fail_are_errors_and_nothing_is_sent_twice(answer: Answer, word: str) -> None:
    with misbehaving(lambda request: answer if request.number % 2 else Answer()) as server:
        report = loaded(server, requests=6)
    assert report.codes["connection_error"] == {word: 3}
    assert counts(report) == {"ok": 3, "connection_error": 3}
    assert len(server.arrived) == 6


def test_an_answer_that_nothing_asked_for_ends_the_connection() -> None:
    twice = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" * 2
    with misbehaving(lambda _: Answer(raw=twice)) as server:
        report = loaded(server, requests=4)
    assert sum(report.outcomes.values()) == 4
    assert report.outcomes["ok"] == 4
    assert server.connections > 4


def test_timeouts_are_counted_and_the_server_notices() -> None:
    with misbehaving(lambda request: Answer(after_s=0 if request.number % 3 else 30)) as server:
        report = loaded(server, requests=9, timeout_s=0.2, concurrency=3)
        assert counts(report) == {"ok": 6, "timeout": 3}
        assert report.codes["timeout"] == {"timeout": 3}
        assert 200 <= report.latency_ms["timeout"].min <= report.latency_ms["timeout"].max < 3000
        until = time.monotonic() + 5
        while server.gone < 3 and time.monotonic() < until:
            time.sleep(0.01)
    assert server.gone == 3


def test_a_server_that_goes_away_is_not_hammered() -> None:
    with misbehaving() as server:
        plan = Plan(url=server.url, protocol="predict", concurrency=2, duration_s=0.5, warmup_s=0)
    report = run(plan, IMAGES)
    assert counts(report).keys() == {"connection_error"}
    assert report.codes["connection_error"].keys() == {"connection_refused"}
    assert 2 <= report.due <= 2 * 6  # each client waits for a tenth of a second


def test_a_backlog_that_is_full_is_a_connect_timeout() -> None:
    """A listener that never accepts: the handshake succeeds until its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        plan = Plan(url=url, protocol="predict", concurrency=4, requests=4, warmup_s=0, timeout_s=0.2)
        report = run(plan, IMAGES)
    assert report.outcomes["timeout"] == 4
    assert report.codes["timeout"].get("connect_timeout", 0) > 0


def test_an_early_answer_is_taken_and_its_connection_dropped() -> None:
    """The server answers after the head of a large request, and reads no more of it."""
    import threading

    def serve(listener: socket.socket) -> None:
        for _ in range(3):
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(
                    b"HTTP/1.1 413 Too Large\r\ncontent-length: 26\r\n\r\n" + b'{"code": "body_too_large"} '[:26]
                )
                connection.settimeout(5)
                while connection.recv(1 << 16):
                    pass

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        plan = Plan(url=url, protocol="predict", requests=3, warmup_s=0, timeout_s=5)
        report = run(plan, [bytes(20_000_000)])
        thread.join(10)
    assert report.codes == {"client_error": {"body_too_large": 3}}


def test_predict_posts_to_the_urls_path() -> None:
    with misbehaving() as server:
        for url, model, path in [
            (server.url, "", "/v1/predict"),
            (server.url, "m m", "/v1/predict?model=m+m"),
            (f"{server.url}/classify?top=5", "", "/classify?top=5"),
            (f"{server.url}/classify?top=5", "m", "/classify?top=5&model=m"),
        ]:
            run(Plan(url=url, protocol="predict", model=model, requests=1, warmup_s=0, headers=(("X-A", "b"),)), IMAGES)
            assert server.arrived[-1].path == path
            assert server.arrived[-1].headers["x-a"] == "b"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "the server has no model"),
        ({**METADATA, "/v2/repository/index": [{"name": "a"}, {"name": "b"}]}, r"2 models \(a, b\): name one"),
        ({**METADATA, "/v2/models/m": {"name": "m", "inputs": [{"name": "x", "datatype": "FP32"}]}}, "no BYTES input"),
        ({**METADATA, "/v2/models/m": {"inputs": []}}, "does not speak the Open Inference Protocol"),
        ({**METADATA, "/v2/models/m": []}, "does not speak the Open Inference Protocol"),
    ],
)
def test_a_server_without_what_is_needed_is_named(metadata: dict[str, Any], message: str) -> None:
    with misbehaving(metadata=metadata) as server, pytest.raises(Unreachable, match=message):
        loaded(server)


def test_a_name_with_several_addresses_is_tried_at_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """localhost is ::1 first for many resolvers, where a server on 127.0.0.1 does not listen."""
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "two.test":
            return real(host, port, *args, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.9", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setitem(sys.modules, "uvloop", None)  # its resolver is its own
    with misbehaving() as server:
        url = f"http://two.test:{server.port}"
        report = run(Plan(url=url, concurrency=3, requests=9, warmup_s=0, timeout_s=5), IMAGES)
    assert report.outcomes["ok"] == 9
    assert report.machine.event_loop == "asyncio"
    assert server.arrived[0].headers["host"] == f"two.test:{server.port}"
