"""The OpenAPI description, held against the server by schemathesis."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

import http_serving as serving
from fastpre.serve.http import Application, Limits
from fastpre.serve.http.openapi import document
from fastpre.serve.protocol.regions import Regions

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # theirs, at import
    import schemathesis
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
        unsupported_method,
    )

LIMITS = Limits(max_body_bytes=100_000, max_images=4)
schema = schemathesis.openapi.from_dict(document("1", LIMITS, guarded=False))


@pytest.fixture(scope="module")
def address() -> Iterator[serving.Address]:
    with serving.running(Application(serving.FakeService(), regions=Regions(), limits=LIMITS)) as found:
        yield found


@schema.parametrize()
@hypothesis.settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_answers_are_as_described(case: Any, address: serving.Address) -> None:
    case.call_and_validate(
        base_url=address.url,
        checks=[
            schemathesis.checks.not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
            unsupported_method,
        ],
    )
