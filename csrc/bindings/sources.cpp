#include "bindings/sources.h"

#include "bindings/errors.h"

namespace py = pybind11;

namespace fastpre::bindings {

namespace {

std::string PathOf(const py::object& item, size_t index) {
  const auto encoded = py::reinterpret_steal<py::bytes>(PyUnicode_EncodeFSDefault(item.ptr()));
  if (!encoded) throw py::error_already_set();
  const std::string path = encoded.cast<std::string>();
  if (path.find('\0') != std::string::npos) {
    throw py::value_error("image " + std::to_string(index) + ": the path has a null byte in it");
  }
  return path;
}

Bytes BytesOf(const py::object& item, size_t index, Views* views) {
  const std::string where = "image " + std::to_string(index) + ": expected ";
  const Py_buffer* view = views->Borrow(item.ptr());
  if (!view) {
    throw py::type_error(where + "contiguous bytes, a 1-D uint8 array or a path, got " +
                         std::string(py::str(py::type::handle_of(item).attr("__name__"))));
  }
  if (view->itemsize != 1 || view->ndim > 1) {
    throw py::type_error(where + "bytes or a 1-D uint8 array, got a " + std::to_string(view->ndim) + "-D buffer of " +
                         std::to_string(view->itemsize) + "-byte items");
  }
  return {static_cast<const uint8_t*>(view->buf), static_cast<size_t>(view->len)};
}

// An error of fastpre's that Python has met already, by its class.
ErrorKind KindOf(const std::string& name) {
  for (const ErrorKind kind : {ErrorKind::kCorrupt, ErrorKind::kUnsupported, ErrorKind::kLimit}) {
    if (name == ErrorName(kind)) return kind;
  }
  return ErrorKind::kIo;
}

}  // namespace

Sources::Sources(const py::sequence& items) {
  const size_t count = py::len(items);
  list_.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const py::object item = items[i];
    Source source;
    source.is_path = py::isinstance<py::str>(item);
    if (item.is_none()) {
      source.missing = "there is no image (None)";
    } else if (PyExceptionInstance_Check(item.ptr())) {  // why it could not be had
      source.missing = py::str(item);
      source.missing_kind = KindOf(py::type::handle_of(item).attr("__name__").cast<std::string>());
    } else if (source.is_path) {
      source.path = PathOf(item, i);
    } else {
      source.bytes = BytesOf(item, i, &views_);
    }
    list_.push_back(std::move(source));
  }
}

}  // namespace fastpre::bindings
