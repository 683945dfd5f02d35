// Parts of the decoders for the benchmarks; no part of the package calls this.
#include "jpeg/probe.h"

#include <pybind11/pybind11.h>

#include "bindings/register.h"
#include "cpu/kernels.h"

namespace py = pybind11;

namespace fastpre::bindings {
namespace {

uint64_t RunProbe(const py::bytes& image, const std::string& what, bool checksum) {
  const int64_t target = ActiveKernels().target;
  const std::string_view view = image;
  const Bytes bytes(reinterpret_cast<const uint8_t*>(view.data()), view.size());
  // Safe: a bytes object never changes, and the caller's frame holds this one.
  py::gil_scoped_release nogil;
  return Probe(what, bytes, target, checksum);
}

}  // namespace

// RuntimeError with the reason where fastpre's decoder declines the image.
void register_probe(py::module_& m) {
  m.def("probe", &RunProbe, py::arg("image"), py::arg("what"), py::arg("checksum") = false);
}

}  // namespace fastpre::bindings
