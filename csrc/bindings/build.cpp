// What this build is made of, for `fastpre doctor`.
#include <pybind11/pybind11.h>

#include "bindings/register.h"
#include "cuda/backend.h"
#include "jpeg/decoder.h"

#include <hwy/base.h>
#if __has_include(<hwy/highway.h>)
#include <hwy/highway.h>
#endif

#define FASTPRE_STRINGIZE_(x) #x
#define FASTPRE_STRINGIZE(x) FASTPRE_STRINGIZE_(x)

namespace py = pybind11;

namespace fastpre::bindings {

void register_build(py::module_& m) {
  m.attr("__version__") = FASTPRE_VERSION;
  m.def("build_info", [] {
    py::dict d;
    d["version"] = FASTPRE_VERSION;
    d["libjpeg_turbo"] = TurboVersion();
    d["highway"] = FASTPRE_STRINGIZE(HWY_MAJOR) "." FASTPRE_STRINGIZE(HWY_MINOR) "." FASTPRE_STRINGIZE(HWY_PATCH);
    d["compiler"] = FASTPRE_COMPILER;
    d["cuda"] = CudaCompiled();
    d["cuda_missing"] = CudaMissing();
    return d;
  });
}

}  // namespace fastpre::bindings
