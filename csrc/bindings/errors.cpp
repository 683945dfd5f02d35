// The core's error kinds, mapped to Python once. Per-image failures travel as records; this
// translator is for calls about one image (header, plan).
#include <pybind11/pybind11.h>

#include "bindings/errors.h"
#include "bindings/register.h"
#include "core/call_context.h"
#include "cuda/runtime.h"

namespace py = pybind11;

namespace fastpre::bindings {

const char* ErrorName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kCorrupt: return "CorruptImage";
    case ErrorKind::kUnsupported: return "UnsupportedImage";
    case ErrorKind::kLimit: return "LimitExceeded";
    case ErrorKind::kIo: return "ImageReadError";
    case ErrorKind::kDeadline: return "DeadlineExceeded";
    case ErrorKind::kInternal: return "InternalError";
  }
  return "InternalError";
}

void register_errors(py::module_&) {
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const Error& e) {
      py::object type = py::module_::import("fastpre.errors").attr(ErrorName(e.kind()));
      py::set_error(type, e.what());
    } catch (const Cancelled& e) {
      py::set_error(py::module_::import("fastpre.errors").attr("CancelledError"), e.what());
    } catch (const cuda::CudaError& e) {
      py::set_error(py::module_::import("fastpre.errors").attr("CudaError"), e.what());
    }
  });
}

}  // namespace fastpre::bindings
