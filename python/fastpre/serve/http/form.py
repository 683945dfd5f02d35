"""Files of a multipart form, parsed as the body comes in."""

from __future__ import annotations

from typing import NamedTuple

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from ..errors import BadRequest

__all__ = ["FormFiles", "Upload"]

_MAX_HEADER_BYTES = 16 << 10  # of all headers of one part
_MAX_FIELDS = 64  # parts that are no files
_MAX_BOUNDARY = 200


class Upload(NamedTuple):
    """A file of a form: its name as the client gave it, and its bytes."""

    name: str
    data: bytes | memoryview


class FormFiles:
    """Takes a multipart body in pieces.

    Args:
        content_type: the header, with the boundary.
        max_files: that the form may have.

    Raises:
        BadRequest: here and in both methods: the form is malformed, or has more files.
    """

    def __init__(self, content_type: bytes, max_files: int) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary or len(boundary) > _MAX_BOUNDARY:
            raise BadRequest(f"the form's Content-Type names no boundary of 1 to {_MAX_BOUNDARY} bytes")
        self._max_files = max_files
        self._files: list[Upload] = []
        self._fields = 0
        self._ended = False
        self._begin()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._finished,
            },
        )

    def feed(self, data: bytes) -> None:
        """The body's next piece."""
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise BadRequest(f"the form is malformed: {error}") from None

    def finish(self) -> list[Upload]:
        """The files, once the body is complete."""
        if not self._ended:
            raise BadRequest("the form is truncated: its last boundary is missing")
        if not self._files:
            hint = "; with curl, a file is -F image=@NAME" if self._fields else ""
            raise BadRequest(f"the form has no file{hint}")
        return self._files

    def _begin(self) -> None:
        self._name = b""
        self._value = b""
        self._header_bytes = 0
        self._disposition = b""
        self._image_type = False
        self._file: str | None = None
        self._parts: list[bytes] = []

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += self._header(data, start, end)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += self._header(data, start, end)

    def _header(self, data: bytes, start: int, end: int) -> bytes:
        self._header_bytes += end - start
        if self._header_bytes > _MAX_HEADER_BYTES:
            raise BadRequest(f"a part of the form has headers of more than {_MAX_HEADER_BYTES} bytes")
        return data[start:end]

    def _header_end(self) -> None:
        name = self._name.lower()
        if name == b"content-disposition":
            self._disposition = self._value
        elif name == b"content-type":
            self._image_type = self._value.strip().lower().startswith(b"image/")
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        options = parse_options_header(self._disposition)[1]
        if b"filename" in options or self._image_type:
            name = options.get(b"filename") or options.get(b"name", b"")
            self._file = name.decode("utf-8", "replace")
            if len(self._files) >= self._max_files:
                raise BadRequest(f"the form has more than the {self._max_files} images that are taken")
        else:
            self._fields += 1
            if self._fields > _MAX_FIELDS:
                raise BadRequest(f"the form has more than {_MAX_FIELDS} fields that are no files")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._parts.append(data[start:end])

    def _end(self) -> None:
        if self._file is not None:
            self._files.append(Upload(self._file, b"".join(self._parts)))
            self._parts = []

    def _finished(self) -> None:
        self._ended = True
