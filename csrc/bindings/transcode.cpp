// One image's coefficients to another stream; for fastpre.transcode.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>

#include "bindings/call.h"
#include "bindings/register.h"
#include "bindings/sources.h"
#include "core/file.h"
#include "jpeg/transcode.h"

namespace py = pybind11;

namespace fastpre::bindings {
namespace {

TranscodeOptions::Metadata MetadataNamed(const std::string& name) {
  if (name == "none") return TranscodeOptions::Metadata::kNone;
  if (name == "icc") return TranscodeOptions::Metadata::kIcc;
  if (name == "all") return TranscodeOptions::Metadata::kAll;
  throw py::value_error("unknown metadata '" + name + "'");
}

py::bytes RunTranscode(const py::object& image, std::optional<std::pair<int, int>> crop, bool optimize,
                       int restart_rows, const std::string& metadata, int64_t max_pixels, int64_t max_bytes,
                       int64_t max_work, const Cancellation* cancellation) {
  TranscodeOptions options;
  options.crop_height = crop ? crop->first : 0;
  options.crop_width = crop ? crop->second : 0;
  options.optimize = optimize;
  options.restart_rows = restart_rows;
  options.metadata = MetadataNamed(metadata);
  options.limits.max_pixels = max_pixels;
  options.limits.max_bytes = max_bytes;
  options.limits.max_work = max_work;
  py::list one;
  one.append(image);
  const Sources sources(one);
  Call call(std::nullopt, cancellation);
  Buffer file;
  // Safe: `sources` holds the buffer, and nothing in there touches a Python object.
  const WrittenStream written = WithoutGil(&call, [&] {
    const CallContext::Scope scope(call.context());
    return Transcode(ReadSource(sources.list()[0], max_bytes, &file), options);
  });
  return {reinterpret_cast<const char*>(written.data.get()), written.size};
}

}  // namespace

void register_transcode(py::module_& m) {
  m.def("transcode", &RunTranscode, py::arg("image"), py::kw_only(), py::arg("crop"), py::arg("optimize"),
        py::arg("restart_rows"), py::arg("metadata"), py::arg("max_pixels"), py::arg("max_bytes"), py::arg("max_work"),
        py::arg("cancellation") = py::none());
}

}  // namespace fastpre::bindings
