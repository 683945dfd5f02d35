"""API key and TLS."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tritonclient.utils import InferenceServerException

from fastpre.serve.protocol.schema import message
from grpc_serving import served, until

Client = triton.InferenceServerClient


@pytest.mark.parametrize(
    "headers",
    [{"authorization": "Bearer s3cret"}, {"authorization": "bearer s3cret"}, {"x-api-key": "s3cret"}],
)
def test_the_key_opens(headers: dict[str, str]) -> None:
    with served(api_key="s3cret") as server, Client(server.url) as client:
        assert client.get_model_metadata("net", headers=headers).name == "net"
        image = triton.InferInput("image", [1], "BYTES")
        image.set_data_from_numpy(np.array([b"x"], np.object_))
        assert client.infer("net", [image], headers=headers).as_numpy("sizes").tolist() == [1]


@pytest.mark.parametrize(
    "headers",
    [None, {"authorization": "Bearer wrong"}, {"authorization": "s3cret"}, {"x-api-key": ""}, {"x-api-key": "s3cret "}],
)
def test_without_the_key_nothing_is_told(headers: dict[str, str] | None) -> None:
    with served(api_key="s3cret!") as server, Client(server.url) as client:
        for ask in (
            lambda: client.get_model_metadata("net", headers=headers),
            lambda: client.infer("net", [], headers=headers),
            lambda: client.get_system_shared_memory_status(headers=headers),
        ):
            with pytest.raises(InferenceServerException, match="the API key is missing or wrong") as caught:
                ask()
            assert caught.value.status() == "StatusCode.UNAUTHENTICATED"
        assert server.service.requests == []
        errors: list[InferenceServerException] = []
        client.start_stream(lambda result, error: errors.append(error), headers=headers)
        until(lambda: len(errors) == 1)
        client.stop_stream()
        assert [error.status() for error in errors] == ["StatusCode.UNAUTHENTICATED"]


def test_probes_need_no_key() -> None:
    with served(api_key="s3cret") as server, Client(server.url) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        with grpc.insecure_channel(server.url) as channel:
            asked = message("grpc.health.v1.HealthCheckRequest")().SerializeToString()
            assert channel.unary_unary("/grpc.health.v1.Health/Check")(asked) == b"\x08\1"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Files of a certificate for 127.0.0.1 that signs itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, private


def test_tls(certificate: tuple[Path, Path]) -> None:
    with served(tls=certificate) as server:
        with Client(server.url, ssl=True, root_certificates=str(certificate[0])) as client:
            assert client.is_server_ready()
        with Client(server.url) as client, pytest.raises(InferenceServerException):
            client.is_server_ready(client_timeout=2)


def test_files_that_are_no_certificate(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for files, kind in (
        ((tmp_path / "absent", certificate[1]), FileNotFoundError),
        ((empty, certificate[1]), ValueError),
        ((certificate[1], certificate[1]), ValueError),
        ((certificate[0], certificate[0]), ValueError),
    ):
        with pytest.raises(kind), served(tls=files):
            pass
