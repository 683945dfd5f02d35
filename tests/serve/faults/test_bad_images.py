"""A bad image is an error of its own request, with a reason; all others are answered."""

from __future__ import annotations

import collections
import concurrent.futures
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

import faulty
import grpc_calls
import pictures
import streams
from faulty import GOOD
from server_process import ServerProcess

WHOLE = pictures.photograph(96, 64, seed=1)
# Image, status, code, and a word of the reason.
BAD = [
    (WHOLE[: len(WHOLE) // 2], 422, "corrupt_image", "truncated"),
    (b"no image at all", 422, "corrupt_image", "not a JPEG"),
    (streams.resized_frame(WHOLE, 65500, 65500), 413, "image_too_large", "max_pixels"),
    (streams.laborious(), 413, "image_too_large", "max_work"),
    (streams.patched(WHOLE, streams.frame(WHOLE) + 4, b"\x0c"), 415, "unsupported_image", "12-bit"),
]


def by_http(server: ServerProcess, _: Any, image: bytes) -> tuple[int, str, str]:
    response = server.infer([image])
    document = {} if response.status_code == 200 else response.json()
    return response.status_code, document.get("code", ""), document.get("error", "")


def by_predict(server: ServerProcess, _: Any, image: bytes) -> tuple[int, str, str]:
    response = server.predict(image)
    document = response.json()
    return response.status_code, document.get("code", ""), document.get("error", "")


def by_grpc(_: ServerProcess, calls: Any, image: bytes) -> tuple[int, str, str]:
    try:
        grpc_calls.infer(calls, grpc_calls.request([image]))
    except grpc.RpcError as error:
        code = grpc_calls.trailers(error)["error-code"]
        statuses = {"corrupt_image": 422, "image_too_large": 413, "unsupported_image": 415}
        status = statuses[code] if error.code() is grpc.StatusCode.INVALID_ARGUMENT else 0
        return status, code, error.details()
    return 200, "", ""


@pytest.fixture
def calls(server: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc_calls.channel(server.grpc_port) as found:
        yield found


@pytest.mark.parametrize("way", [by_http, by_predict, by_grpc])
@pytest.mark.parametrize("clients", [1, 8, 32])
def test_one_bad_image_in_sixteen(
    server: ServerProcess, calls: grpc.Channel, way: Callable[..., Any], clients: int
) -> None:
    images = [BAD[i // 16 % len(BAD)][0] if i % 16 == 5 else GOOD for i in range(320)]
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(lambda image: way(server, calls, image), images))
    failed = [i for i, answer in enumerate(answers) if answer[0] != 200]
    assert failed == [i for i in range(320) if i % 16 == 5]
    assert len(failed) / len(images) == 0.0625
    for i in failed:
        _, status, code, word = BAD[i // 16 % len(BAD)]
        assert answers[i][:2] == (status, code)
        assert word in answers[i][2]


def test_a_request_with_many_images_says_which_one(server: ServerProcess, calls: grpc.Channel) -> None:
    images = [GOOD] * 16
    images[11] = BAD[0][0]
    response = server.infer(images)
    assert (response.status_code, response.json()["code"], response.json()["index"]) == (422, "corrupt_image", 11)
    with pytest.raises(grpc.RpcError) as caught:
        grpc_calls.infer(calls, grpc_calls.request(images))
    assert grpc_calls.trailers(caught.value)["image-index"] == "11"
    images[11], images[3] = GOOD, BAD[2][0]  # one that is refused by its header
    response = server.infer(images)
    assert (response.status_code, response.json()["code"], response.json()["index"]) == (413, "image_too_large", 3)


def test_a_form_says_what_became_of_each(server: ServerProcess) -> None:
    images = [GOOD] * 16
    images[5] = BAD[0][0]
    response = server.client.post("/v1/predict", files=[("image", (f"{i}.jpg", data)) for i, data in enumerate(images)])
    document = response.json()
    assert (response.status_code, document["failed"], len(document["images"])) == (200, 1, 16)
    assert [image["index"] for image in document["images"] if "error" in image] == [5]
    assert document["images"][5]["code"] == "corrupt_image"


@pytest.mark.parametrize("way", [by_http, by_predict])
def test_a_model_that_raises_answers_its_own_request_alone(server: ServerProcess, way: Callable[..., Any]) -> None:
    poison = faulty.colour(faulty.POISON)
    images = [poison if i % 16 == 5 else GOOD for i in range(160)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda image: way(server, None, image), images))
    assert collections.Counter(answer[:2] for answer in answers) == {(200, ""): 150, (500, "model_failed"): 10}
    assert {i for i, answer in enumerate(answers) if answer[0] == 500} == {i for i in range(160) if i % 16 == 5}
    assert {answer[2] for answer in answers if answer[0] == 500} == {"the model raised ValueError: poison"}


def test_an_error_of_one_request_leaves_no_trace_in_another(server: ServerProcess) -> None:
    poison = faulty.colour(faulty.POISON)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        many = [pool.submit(server.infer, [GOOD, poison]) for _ in range(10)]
        single = [pool.submit(server.infer, [poison]) for _ in range(10)]
    for future in many + single:
        assert (future.result().status_code, future.result().json().get("index")) == (500, None)
