"""What a request can be refused for: each with its HTTP status, its gRPC status code and a word for machines."""

from __future__ import annotations

from .. import errors as images

__all__ = [
    "BadRequest",
    "BodyTooLarge",
    "DeadlinePassed",
    "Draining",
    "ImageRefused",
    "ModelFailed",
    "NotFound",
    "Overloaded",
    "ServeError",
    "TooSlow",
    "Unauthorized",
    "UnsupportedMediaType",
    "WorkerLost",
]


class ServeError(Exception):
    """A request that gets an error as its answer. Other requests know nothing of it.

    Attributes:
        status: of the HTTP response.
        grpc: name of the gRPC status code.
        code: the kind of error as a word that clients may compare with; it does not change.
        reason: what is wrong, for people.
        index: which image of the request, where one is at fault.
        retry_after_s: seconds after which the same request may do better; None: it will not, or that is unknown.
        recorded: it has been counted: each failure is, once, wherever it is seen first.
    """

    status = 500
    grpc = "INTERNAL"
    code = "internal"
    recorded = False

    def __init__(self, reason: str, *, index: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.index = index
        self.retry_after_s = retry_after_s


class BadRequest(ServeError):
    """The request itself is malformed: header, names, shapes, datatypes, sizes."""

    status, grpc, code = 400, "INVALID_ARGUMENT", "invalid_request"


class Unauthorized(ServeError):
    """The API key is missing or wrong."""

    status, grpc, code = 401, "UNAUTHENTICATED", "unauthorized"


class NotFound(ServeError):
    """There is no such model, version, shared memory region or path."""

    status, grpc, code = 404, "NOT_FOUND", "not_found"


class TooSlow(ServeError):
    """The request's body did not arrive in time."""

    status, grpc, code = 408, "DEADLINE_EXCEEDED", "body_too_slow"


class BodyTooLarge(ServeError):
    """The request's body has more bytes than the server takes, or grows to more when it is decompressed."""

    status, grpc, code = 413, "RESOURCE_EXHAUSTED", "body_too_large"


class UnsupportedMediaType(ServeError):
    """The body's Content-Type or Content-Encoding is none that the path takes."""

    status, grpc, code = 415, "INVALID_ARGUMENT", "unsupported_media_type"


class ImageRefused(ServeError):
    """One image of the request is at fault; `status` and `code` say how.

    | the library's error | status | code |
    |---|---|---|
    | CorruptImage | 422 | corrupt_image |
    | UnsupportedImage | 415 | unsupported_image |
    | LimitExceeded | 413 | image_too_large |
    """

    status, grpc, code = 422, "INVALID_ARGUMENT", "corrupt_image"

    @classmethod
    def of(cls, error: images.ImageError, index: int | None = None) -> ServeError:
        """What the library said of an image, as the answer to its request."""
        if isinstance(error, images.DeadlineExceeded):
            return DeadlinePassed("the deadline passed before the image's turn came", index=index)
        refused = cls(error.reason, index=index)
        if isinstance(error, images.UnsupportedImage):
            refused.status, refused.code = 415, "unsupported_image"
        elif isinstance(error, images.LimitExceeded):
            refused.status, refused.code = 413, "image_too_large"
        return refused


class Overloaded(ServeError):
    """There is no room in the queue, or the wait would be longer than the request can bear. Sent at once."""

    status, grpc, code = 503, "RESOURCE_EXHAUSTED", "overloaded"


class Draining(ServeError):
    """The server is shutting down and takes no new requests."""

    status, grpc, code = 503, "UNAVAILABLE", "draining"


class DeadlinePassed(ServeError):
    """The request's own deadline passed before its answer was ready."""

    status, grpc, code = 504, "DEADLINE_EXCEEDED", "deadline_exceeded"


class ModelFailed(ServeError):
    """The model raised; the reason says what."""

    code = "model_failed"


class WorkerLost(ServeError):
    """The process that ran the model died, twice for the same batch."""

    status, grpc, code = 503, "UNAVAILABLE", "worker_lost"
