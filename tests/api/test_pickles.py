"""What pickles keep: an object that was stored can be loaded by later versions."""

from __future__ import annotations

import pickle

import pytest
import torch

import fastpre
import fastpre.data
from fastpre.transforms import DecodeResizeNormalize

SPEC = fastpre.Spec(resize=40, crop=32, dtype="float16", color="BGR")


def old(pickled: bytes) -> bytes:
    """A pickle of protocol 0, which is text, with the modules that fastpre 0.1 named."""
    return (
        pickled.replace(b"fastpre._backend.cpu", b"fastpre._devices")
        .replace(b"fastpre._backend.cuda", b"fastpre._devices")
        .replace(b"fastpre.data.decoder", b"fastpre.data.collate")
        .replace(b"fastpre.data.compressed", b"fastpre.data.collate")
    )


@pytest.mark.parametrize("age", ["new", "old"])
def test_whatever_holds_a_device_can_be_stored(age: str, photo: bytes) -> None:
    for stored in (
        fastpre.Preprocessor(SPEC, num_threads=2),
        fastpre.Preprocessor(SPEC, "emulated"),
        DecodeResizeNormalize(SPEC),
        fastpre.data.collate(SPEC, on_error="fill", fill=3),
        fastpre.data.Loader([photo], SPEC, batch_size=4),
    ):
        pickled = pickle.dumps(stored, protocol=0)
        assert b"_backend" in pickled
        loaded = pickle.loads(pickled if age == "new" else old(pickled))
        assert repr(loaded) == repr(stored)
        if isinstance(loaded, fastpre.Preprocessor):
            assert torch.equal(loaded([photo]), fastpre.Preprocessor(SPEC)([photo]))


def test_a_spec_names_no_private_module() -> None:
    pickled = pickle.dumps(SPEC, protocol=0)
    assert b"fastpre._" not in pickled
    assert pickle.loads(pickled) == SPEC
