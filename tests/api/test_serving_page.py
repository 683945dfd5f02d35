"""The examples of docs/serving.md run as they stand, against the server that its first lines start."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import streams

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def examples() -> list[str]:
    """Its Python blocks that can run here, in order."""
    if not PAGE.exists():  # an installed package's tests
        return []
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def server() -> str:
    """A server with the page's model at a free port; its address as the page has it."""
    command = [sys.executable, "-m", "fastpre", "serve", "--model", "torchvision:resnet18", "--random-weights"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([*command, "--port", "0", "--no-grpc"], **options) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"at http://(\S+:\d+)", process.stdout.readline())
            assert found is not None
            yield found.group(1)
        finally:
            process.terminate()
            assert process.wait(30) == 0


def test_the_command_is_the_pages() -> None:
    if PAGE.exists():
        assert "fastpre serve --model torchvision:resnet18 --random-weights\n" in PAGE.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the examples leave their file to the garbage collector
@pytest.mark.parametrize("number", range(2))
def test_example(number: int, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = examples()
    if not found:
        pytest.skip("docs/serving.md is not here")
    assert len(found) == 2
    (tmp_path / "cat.jpg").write_bytes(streams.encode(streams.picture("RGB", 400, 300)))
    monkeypatch.chdir(tmp_path)
    exec(compile(found[number].replace("127.0.0.1:8000", server), "serving.md", "exec"), {"__name__": "example"})


def test_curl(server: str, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(streams.encode(streams.picture("RGB", 400, 300)))
    command = ["curl", "--silent", "--data-binary", "@cat.jpg", f"http://{server}/v1/predict"]
    try:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("curl is not installed")
    assert '"predictions":[{"label":' in done.stdout
