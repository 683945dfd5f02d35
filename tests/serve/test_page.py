"""The live page in a real browser: what it shows is what the server says, whatever happens to the server."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import browser
import pictures
from fastpre.serve.errors import ServeError
from live_server import ask, live, running, served, until
from serving import Gate, Means

pytestmark = pytest.mark.skipif(
    browser.command() is None, reason="NOT TESTED: there is no Chromium (Debian: apt install chromium)"
)

IMAGE = pictures.photograph(64, 48, seed=1)
HOSTILE = "</td><img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>\u202e"
MODEL = "document.querySelector('article.model')"


@pytest.fixture(scope="module")
def page() -> Iterator[browser.Browser]:
    with browser.running() as found:
        yield found


def url(server: Any) -> str:
    return f"http://127.0.0.1:{server.port}/"


def tile(page: browser.Browser, name: str) -> str:
    return str(
        page.evaluate(
            f"[...document.querySelectorAll('.tiles > div')].find((one) => one.children[0].textContent === '{name}')"
            "?.children[1].textContent ?? ''"
        )
    )


def test_without_any_request_the_page_says_so(page: browser.Browser) -> None:
    with served() as service, running(service) as server:
        page.console.clear()
        page.open(url(server))
        page.wait(f"{MODEL} !== null")
        assert page.text("article h2") == "means"
        assert page.text(".verdict .title") == "No requests"
        assert page.text(".bar") == ""
        assert page.text(".totals") == "None since the start."
        assert page.text("#state") == "ready"
        assert tile(page, "p99") == "\N{EN DASH}"
        # One line for each of six charts that has nothing to show, and no error in the console.
        assert page.evaluate("document.querySelectorAll('.nothing').length") >= 3
        assert page.console == []


def test_the_numbers_are_those_of_the_server_and_follow_it(page: browser.Browser) -> None:
    with served() as service, running(service) as server:
        page.open(url(server))
        for _ in range(20):
            assert ask(server.port, "/v1/predict", IMAGE)[0] == 200
        assert ask(server.port, "/v1/predict", IMAGE[:300])[0] == 422
        page.wait("document.querySelector('.totals')?.textContent.includes('corrupt_image 1')")
        page.wait("document.querySelector('.failures .code')?.textContent === 'corrupt_image'")
        page.wait("document.querySelector('.bar').children.length >= 5")
        shown = page.evaluate("fetch('v1/live').then((answer) => answer.json())")
        said = live(server.port)
        assert shown["run"] == said["run"]
        assert sum(row["models"]["means"].get("answered", 0) for row in said["history"]) == 20
        # What stands on the page is what its script heard last, to the digit.
        assert page.evaluate(
            """import('./page/charts.js').then(async ({ ms }) => {
                const row = [...document.querySelectorAll('.stages li')].map((one) => one.children[2].textContent);
                for (let tries = 0; tries < 50; tries++) {
                    const { stages_ms: stages } = (await (await fetch('v1/live')).json()).models.means;
                    const wanted = [stages.receive, stages.parse + stages.respond, stages.queue, stages.preprocess,
                        stages.batch, stages.inference].map(ms);
                    const now = [...document.querySelectorAll('.stages li')].map((one) => one.children[2].textContent);
                    if (`${wanted}` === `${now}`) return true;
                    await new Promise((resolve) => setTimeout(resolve, 100));
                }
                return false;
            })"""
        )
        before = page.text("#process")
        page.wait(f"document.querySelector('#process').textContent !== {orjson.dumps(before).decode()}")


def test_overload_is_seen_at_once(page: browser.Browser) -> None:
    gate = Gate()
    model = Means()
    with served(model, queue_limit=8, batch=2, threads=1) as service, running(service) as server:
        model.hook = gate
        threads = [threading.Thread(target=ask, args=(server.port, "/v1/predict", IMAGE)) for _ in range(40)]
        for thread in threads:
            thread.start()
        until(lambda: service.recorders["means"].outcomes["overloaded"] >= 10)
        page.open(url(server))
        page.wait("document.querySelector('.verdict.is-overloaded') !== null")
        assert page.text(".verdict .mark") == "✕"
        page.wait("document.title.includes('overloaded')")
        page.wait("document.querySelector('.failures .code')?.textContent === 'overloaded'")
        gate.open()
        for thread in threads:
            thread.join()


def test_what_clients_write_stays_text(page: browser.Browser) -> None:
    with served() as service, running(service) as server:
        request = {
            "id": HOSTILE,
            "inputs": [{"name": HOSTILE, "shape": [1], "datatype": "BYTES", "data": ["x"]}],
        }
        assert ask(server.port, "/v2/models/means/infer", orjson.dumps(request))[0] == 400
        service.recorders["means"].failed(ServeError(HOSTILE * 100), 0.0, HOSTILE * 100)
        page.console.clear()
        page.open(url(server))
        page.wait("document.querySelectorAll('.failures .reason').length >= 2")
        assert HOSTILE[:40] in page.text(".failures")
        assert page.evaluate("document.querySelectorAll('.failures img, .failures script, article script').length") == 0
        assert "taken" not in page.evaluate("document.title")
        assert len(live(server.port)["models"]["means"]["failures"][0]["reason"]) <= 300
        assert page.console == []


def test_the_policy_lets_nothing_else_run_or_load(page: browser.Browser) -> None:
    with served() as service, running(service) as server:
        page.open(url(server))
        page.wait(f"{MODEL} !== null")
        assert page.evaluate("performance.getEntriesByType('resource').every((one) => one.name.startsWith(origin))")
        blocked = """new Promise((resolve) => {
            document.addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective));
            %s
        })"""
        image = "document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:9/x.png' }))"
        assert page.evaluate(blocked % image) == "img-src"
        html = "try { document.body.innerHTML = '<p>'; } catch {}"
        assert page.evaluate(blocked % html) == "require-trusted-types-for"


def test_the_page_survives_a_restart(page: browser.Browser) -> None:
    with served() as service:
        with running(service) as server:
            port = server.port
            page.open(url(server))
            ask(port, "/v1/predict", IMAGE)
            page.wait("document.querySelector('.bar').children.length > 0")
        page.wait("!document.querySelector('#notice').hidden")
        assert "No answer from the server since" in page.text("#notice")
        assert page.evaluate("document.body.classList.contains('stale')")
        first = service.recorders["means"]
        service.draining = False
        for engine in service.engines.values():
            engine.start()
        with running(service, port=port):
            page.wait("document.querySelector('#notice').hidden")
            page.wait("document.querySelectorAll('article.model').length === 1")
            page.wait("document.querySelector('#process').textContent.includes('up')")
            # The new server's history begins with its start, and no old point is drawn.
            assert first.outcomes["ok"] == 1
            page.wait("document.querySelector('.verdict .title').textContent === 'No requests'")


def test_with_an_api_key_the_page_asks_for_it(page: browser.Browser) -> None:
    with served() as service, running(service, api_key="secret") as server:
        assert ask(server.port, "/")[0] == 200
        assert ask(server.port, "/v1/live")[0] == 401
        page.open(url(server))
        page.wait("!document.querySelector('#ask').hidden")
        for key in ("wrong", "secret"):
            page.evaluate(
                f"document.querySelector('#key').value = '{key}'; document.querySelector('#ask button').click()"
            )
            if key == "wrong":
                page.wait("document.querySelector('#notice').textContent.includes('does not take this API key')")
        page.wait(f"{MODEL} !== null && document.querySelector('#ask').hidden")
        page.evaluate("sessionStorage.clear()")


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1600, False)])
def test_it_fits_the_screen(page: browser.Browser, tmp_path: Path, width: int, dark: bool) -> None:
    with served() as service, running(service) as server:
        ask(server.port, "/v1/predict", IMAGE)
        ask(server.port, "/v1/predict", IMAGE[:300])
        page.open(url(server), width, 800, dark=dark, mobile=width < 600)
        page.wait("document.querySelector('.failures .code') !== null")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # Text is dark on light, or light on dark.
        ink = page.evaluate("getComputedStyle(document.body).color.match(/\\d+/g).slice(0, 3).map(Number)")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
        assert (sum(ink) > sum(paper) + 450) if dark else (sum(ink) + 450 < sum(paper))
        page.screenshot(tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size > 5000


def test_draining_is_shown(page: browser.Browser) -> None:
    with served() as service, running(service) as server:
        page.open(url(server))
        page.wait("document.querySelector('#state').textContent === 'ready'")
        service.draining = True
        page.wait("document.querySelector('#state').textContent.startsWith('draining')")
        page.wait("document.title.includes('not ready')")


def test_pointing_at_a_chart_shows_that_moment(page: browser.Browser) -> None:
    with served() as service, running(service) as server:
        page.open(url(server))
        page.wait("document.querySelectorAll('.chart .area').length > 0")
        box = "document.querySelector('.chart svg').getBoundingClientRect()"
        x, y = page.evaluate(f"[{box}.right - 5, {box}.top + 20]")
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        page.wait("document.querySelector('.chart .cursor') !== null")
        assert re.search(r"at \d\d:\d\d:\d\d", page.text(".chart ul"))
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
        page.wait("document.querySelector('.chart .cursor') === null")
