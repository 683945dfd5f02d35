"""An upload that was cut off: an error, or an answer from what arrived, if the request asks for it."""

from __future__ import annotations

import grpc
import numpy as np
import pytest

import fastpre
import faulty
import grpc_calls
import pictures
from server_process import ServerProcess

WHOLE = pictures.photograph(320, 240, seed=2)
CUT = WHOLE[: len(WHOLE) * 2 // 3]


def expected() -> np.ndarray:  # type: ignore[type-arg]
    spec = fastpre.Spec(resize=faulty.SIZE, crop=faulty.SIZE, mean=(0, 0, 0), std=(1, 1, 1), truncated="partial")
    return fastpre.Preprocessor(spec)([CUT]).mean(dim=(2, 3)).numpy()[0]


def test_by_the_open_inference_protocol(server: ServerProcess) -> None:
    assert server.infer([CUT]).status_code == 422
    response = server.infer([CUT], parameters={"truncated": "partial"})
    assert response.status_code == 200
    document = response.json()
    assert document["parameters"]["truncated"] is True
    np.testing.assert_allclose(document["outputs"][0]["data"], expected(), rtol=1e-6)
    document = server.infer([WHOLE], parameters={"truncated": "partial"}).json()
    assert "parameters" not in document  # nothing was missing


def test_by_predict(server: ServerProcess) -> None:
    assert server.predict(CUT).status_code == 422
    response = server.predict(CUT, truncated="partial")
    assert response.status_code == 200
    assert response.json()["parameters"]["truncated"] is True
    np.testing.assert_allclose(response.json()["outputs"]["mean"]["data"], expected(), rtol=1e-6)
    response = server.predict(CUT, truncated="maybe")
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert "'partial' or not there" in response.json()["error"]


def test_by_grpc(server: ServerProcess) -> None:
    with grpc_calls.channel(server.grpc_port) as channel:
        with pytest.raises(grpc.RpcError):
            grpc_calls.infer(channel, grpc_calls.request([CUT]))
        response = grpc_calls.infer(channel, grpc_calls.request([CUT], truncated="partial"))
        assert response.parameters["truncated"].bool_param
        mean = np.frombuffer(response.raw_output_contents[0], np.float32)
        np.testing.assert_allclose(mean, expected(), rtol=1e-6)


def test_by_a_form(server: ServerProcess) -> None:
    files = [("image", ("cut.jpg", CUT)), ("image", ("whole.jpg", WHOLE))]
    images = server.client.post("/v1/predict", files=files, params={"truncated": "partial"}).json()["images"]
    assert [image.get("parameters", {}).get("truncated", False) for image in images] == [True, False]


@pytest.mark.parametrize("length", [0, 1, 2, 20, 300, 600])
def test_too_little_of_it_is_no_image(server: ServerProcess, length: int) -> None:
    response = server.infer([WHOLE[:length]], parameters={"truncated": "partial"})
    assert (response.status_code, response.json()["code"]) == (422, "corrupt_image")
