"""Plans are checked, requests are what the protocols say, and they are dealt out as asked."""

from __future__ import annotations

import collections
import email
import itertools
import json
import pickle
import struct
from typing import Any

import numpy as np
import pytest

import fastpre
import pictures
from fastpre.load import LoadImage, Plan, Target, damaged
from fastpre.load.deck import Deck
from fastpre.load.encoding import encoder
from fastpre.load.images import size_class

HTTP = "http://127.0.0.1:8000"
GRPC = "grpc://127.0.0.1:8001"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "ftp://host:1"}, "neither http://host:port nor grpc"),
        ({"url": "https://host:1"}, "neither http://host:port nor grpc"),
        ({"url": "host:8000"}, "neither http://host:port nor grpc"),
        ({"url": "http://host:99999"}, "[Pp]ort"),
        ({"url": "grpc://host"}, "has no port"),
        ({"protocol": "v3"}, "none of v2-http, v2-grpc, predict"),
        ({"url": GRPC, "protocol": "predict"}, "does not go with grpc://"),
        ({"protocol": "v2-grpc"}, "does not go with http://"),
        ({"rate": 1, "concurrency": 1}, "give one of them"),
        ({"arrivals": "a.csv", "concurrency": 1}, "give one of them"),
        ({"arrivals": "uniform"}, "none of constant, poisson, gamma, nor a .csv file"),
        ({"rate": 0}, "rate must be above 0, not 0"),
        ({"rate": float("nan")}, "rate must be above 0"),
        ({"rate": float("inf")}, "rate must be above 0"),
        ({"concurrency": 0}, "concurrency must be above 0"),
        ({"cv": -1}, "cv must be above 0"),
        ({"duration_s": 0}, "duration_s must be above 0"),
        ({"requests": 0}, "requests must be above 0"),
        ({"timeout_s": 0}, "timeout_s must be above 0"),
        ({"warmup_s": -1}, "warmup_s must be 0 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"batch": 0}, "batch must be above 0"),
        ({"bad_fraction": 1.5}, "bad_fraction must be between 0 and 1"),
        ({"mix": {"small": 0}}, "mix of small must be above 0"),
        ({"concurrency": 9, "max_outstanding": 8}, "concurrency 9 is more than max_outstanding 8"),
        ({"headers": (("a b", "c"),)}, "header 'a b'"),
        ({"headers": (("a", "b\r\nc: d"),)}, "header 'a'"),
        ({"api_key": "x\n"}, "header 'authorization'"),
    ],
)
def test_wrong_plans_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(**{"url": HTTP, **options})


def test_what_is_left_open_is_filled_in() -> None:
    plan = Plan(url=HTTP)
    assert (plan.protocol, plan.concurrency, plan.duration_s, plan.open_loop) == ("v2-http", 1, 10.0, False)
    assert Plan(url=GRPC).protocol == "v2-grpc"
    plan = Plan(url="http://[::1]", rate=5, requests=10)
    assert (plan.address, plan.concurrency, plan.duration_s, plan.open_loop) == (("::1", 80), None, None, True)
    assert Plan(url=HTTP, arrivals="a.csv").open_loop
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert "secret" not in repr(Plan(url=HTTP, api_key="secret"))


def encoded(images: list[bytes], shape: list[int], **options: Any) -> tuple[str, dict[str, str], bytes]:
    plan = Plan(**{"url": HTTP, **options})
    target = Target(model="m", input="image", rank=len(shape), path="/v2/models/m/infer")
    message = encoder(plan, target)(images)
    head, _, body = message.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    assert int(headers["content-length"]) == len(body)
    return first, headers, body


@pytest.mark.parametrize("shape", [[1], [3], [1, 1], [3, 1]])
def test_the_v2_body_is_what_tritons_client_sends(shape: list[int]) -> None:
    import tritonclient.http as triton

    images = [bytes([65 + i]) * (1000 + i) for i in range(shape[0])]
    first, headers, body = encoded(images, shape, headers=(("X-Y", "z"),), api_key="k")
    assert first == "POST /v2/models/m/infer HTTP/1.1"
    assert headers["host"] == "127.0.0.1:8000"
    assert (headers["x-y"], headers["authorization"]) == ("z", "Bearer k")
    theirs = triton.InferInput("image", shape, "BYTES")
    theirs.set_data_from_numpy(np.array(images, np.object_).reshape(shape))
    expected, length = triton.InferenceServerClient.generate_request_body([theirs])
    ours = int(headers["inference-header-content-length"])
    assert json.loads(body[:ours])["inputs"] == json.loads(expected[:length])["inputs"]
    assert json.loads(body[:ours])["parameters"] == {"binary_data_output": True}
    assert body[ours:] == expected[length:]


@pytest.mark.parametrize("shape", [[1], [2, 1]])
def test_the_grpc_message_is_what_tritons_client_reads(shape: list[int]) -> None:
    from tritonclient.grpc import service_pb2

    images = [b"abc", b"defg"][: shape[0]]
    message = encoder(Plan(url=GRPC), Target(model="m", input="image", rank=len(shape)))(images)
    request = service_pb2.ModelInferRequest.FromString(message)
    assert request.model_name == "m"
    (tensor,) = request.inputs
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("image", "BYTES", shape)
    assert list(request.raw_input_contents) == [b"".join(struct.pack("<I", len(i)) + i for i in images)]
    assert not request.ListFields()[-1][0].name.startswith("unknown")


def test_predict_sends_the_image_itself_or_a_form() -> None:
    _, headers, body = encoded([b"image"], [1], protocol="predict")
    assert (headers["content-type"], body) == ("image/jpeg", b"image")
    _, headers, body = encoded([b"one\r\n", b"two"], [1], protocol="predict")
    form = email.message_from_bytes(f"content-type: {headers['content-type']}\r\n\r\n".encode() + body)
    parts = form.get_payload()
    assert isinstance(parts, list)
    assert [part.get_param("name", header="content-disposition") for part in parts] == ["image", "image"]
    assert [part.get_content_type() for part in parts] == ["image/jpeg", "image/jpeg"]
    assert body.count(b"one\r\n\r\n--") == 1


def deck(images: list[LoadImage], **options: Any) -> Deck:
    return Deck(Plan(url=HTTP, **options), images, lambda group: b"|".join(group))


def named(count: int, size: int = 10, folder: str = "") -> list[LoadImage]:
    return [LoadImage(f"{folder}{i}.jpg", bytes([i]) * size) for i in range(count)]


def test_all_images_are_sent_before_one_is_sent_again() -> None:
    images = named(7)
    dealt = [r.payload for r in itertools.islice(deck(images, seed=3), 21)]
    assert sorted(dealt[:7]) == sorted(image.data for image in images)
    assert dealt[:7] == dealt[7:14] == dealt[14:]
    assert dealt != [r.payload for r in itertools.islice(deck(images, seed=4), 21)]
    assert dealt == [r.payload for r in itertools.islice(deck(images, seed=3), 21)]


def test_batches_hold_every_image() -> None:
    requests = list(itertools.islice(deck(named(10), batch=4), 3))
    groups = [r.payload.split(b"|") for r in requests]
    assert [len(group) for group in groups] == [4, 4, 4]
    assert len({image for group in groups for image in group}) == 10


@pytest.mark.parametrize(
    ("fraction", "count", "bad"), [(0.01, 1000, 10), (1 / 16, 1600, 100), (0.29, 100, 29), (1, 5, 5)]
)
def test_the_share_of_bad_requests_is_exact(fraction: float, count: int, bad: int) -> None:
    requests = list(itertools.islice(deck(named(5, 100), bad_fraction=fraction), count))
    assert sum(r.bad for r in requests) == bad
    good = {image.data for image in named(5, 100)}
    assert all((r.payload in good) != r.bad for r in requests)


def test_one_image_of_a_bad_request_is_damaged() -> None:
    good = {image.data for image in named(5, 100)}
    for request in itertools.islice(deck(named(5, 100), bad_fraction=1, batch=3), 4):
        assert sum(image not in good for image in request.payload.split(b"|")) == 1


def test_no_decoder_takes_damaged_images() -> None:
    for seed, (width, height) in enumerate([(320, 240), (64, 64), (900, 500)]):
        image = pictures.photograph(width, height, seed)
        pre = fastpre.Preprocessor(num_threads=1)
        errors = [type(r.error) for r in pre.run([damaged(image, 0), damaged(image, 1)], on_error="fill").images]
        assert errors == [fastpre.CorruptImage, fastpre.UnsupportedImage]


def test_the_mix_is_by_size_or_by_folder() -> None:
    images = [*named(3, 100), *named(3, 50_000), *named(3, 2_000_000)]
    found = deck(images, mix={"small": 1, "large": 3}, seed=1)
    counts = collections.Counter(r.size_class for r in itertools.islice(found, 4000))
    assert set(counts) == {"small", "large"}
    assert counts["large"] / 4000 == pytest.approx(0.75, abs=0.03)
    assert {name: len(sizes) for name, sizes in found.images_by_class.items()} == {"small": 3, "large": 3}
    folders = [*named(2, folder="a/deep/"), *named(2, folder="photos/b/")]
    counts = collections.Counter(
        r.size_class for r in itertools.islice(deck(folders, mix={"a": 1, "b": 1}, batch=2), 1000)
    )
    assert counts["a"] / 1000 == pytest.approx(0.5, abs=0.06)
    mixed = next(iter(deck([*named(1, 100), *named(1, 50_000)], batch=2)))
    assert mixed.size_class == "mixed"


def test_a_mix_of_what_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mix: c is neither a folder \(a\) nor one of small, medium, large"):
        deck(named(2, folder="a/"), mix={"a": 1, "c": 1})
    with pytest.raises(ValueError, match="mix: there is no large image"):
        deck(named(2), mix={"small": 1, "large": 1})
    with pytest.raises(ValueError, match="no images"):
        deck([])


def test_size_classes() -> None:
    assert [size_class(n) for n in (0, 31_999, 32_000, 999_999, 1_000_000)] == [
        "small",
        "small",
        "medium",
        "medium",
        "large",
    ]
