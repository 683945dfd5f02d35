#include "bindings/sources.h"

#include "core/error.h"

namespace py = pybind11;

namespace fastpre::bindings {

Sources::Sources(const py::sequence& items) {
  const size_t count = py::len(items);
  views_.reserve(count);
  list_.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    py::object item = items[i];
    Source source;
    if (py::isinstance<py::str>(item)) {
      source.is_path = true;
      source.path = py::reinterpret_steal<py::bytes>(PyUnicode_EncodeFSDefault(item.ptr())).cast<std::string>();
    } else {
      Py_buffer view;
      if (PyObject_GetBuffer(item.ptr(), &view, PyBUF_ND) != 0) {
        PyErr_Clear();
        Release();
        throw py::type_error("image " + std::to_string(i) +
                             ": expected contiguous bytes, a 1-D uint8 array or a path, got " +
                             std::string(py::str(py::type::handle_of(item).attr("__name__"))));
      }
      views_.push_back(view);
      if (view.itemsize != 1 || view.ndim > 1) {
        const std::string what =
            std::to_string(view.ndim) + "-D buffer of " + std::to_string(view.itemsize) + "-byte items";
        Release();
        throw py::type_error("image " + std::to_string(i) + ": expected bytes or a 1-D uint8 array, got a " + what);
      }
      source.bytes = {static_cast<const uint8_t*>(view.buf), static_cast<size_t>(view.len)};
    }
    list_.push_back(std::move(source));
  }
}

void Sources::Release() {
  for (Py_buffer& view : views_) PyBuffer_Release(&view);
  views_.clear();
}

Sources::~Sources() { Release(); }

}  // namespace fastpre::bindings
