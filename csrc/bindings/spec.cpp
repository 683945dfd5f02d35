// fastpre.Spec's fields, already validated in Python, as the core's Spec.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <utility>
#include <vector>

#include "bindings/register.h"
#include "bindings/spec.h"
#include "core/error.h"

namespace py = pybind11;

namespace fastpre::bindings {
namespace {

template <class T>
T Choose(const std::string& name, std::initializer_list<std::pair<const char*, T>> options) {
  for (const auto& [key, value] : options) {
    if (name == key) return value;
  }
  throw py::value_error("unknown value '" + name + "'");
}

using Size = std::pair<int, int>;  // height, width

CompiledSpec Compile(std::optional<int> shorter_side, std::optional<Size> exact_size, std::optional<int> max_size,
                     std::optional<Size> crop, const std::string& interpolation,
                     std::optional<std::pair<std::vector<float>, std::vector<float>>> mean_std,
                     const std::string& dtype, const std::string& color, const std::string& rescale,
                     const std::string& pass_order, bool exif_orientation, const std::string& fidelity,
                     const std::string& truncated, int64_t max_pixels, int64_t max_output_pixels, int64_t max_bytes,
                     int64_t max_work) {
  CompiledSpec c;
  Spec& s = c.spec;
  s.resize = exact_size ? Spec::Resize::kExact : shorter_side ? Spec::Resize::kShorterSide : Spec::Resize::kNone;
  s.resize_height = exact_size ? exact_size->first : shorter_side.value_or(0);
  s.resize_width = exact_size ? exact_size->second : shorter_side.value_or(0);
  s.max_size = max_size.value_or(0);
  s.crop_height = crop ? crop->first : 0;
  s.crop_width = crop ? crop->second : 0;
  s.filter = FilterOf(interpolation);
  s.color = Choose<Color>(color, {{"RGB", Color::kRGB}, {"BGR", Color::kBGR}, {"L", Color::kL}});
  s.dtype = Choose<DType>(
      dtype, {{"float32", DType::kF32}, {"float16", DType::kF16}, {"bfloat16", DType::kBF16}, {"uint8", DType::kU8}});
  s.rescale = Choose<Rescale>(rescale, {{"divide", Rescale::kDivide}, {"multiply", Rescale::kMultiply}});
  s.pass_order = Choose<PassOrder>(
      pass_order, {{"horizontal_first", PassOrder::kHorizontalFirst}, {"adaptive", PassOrder::kAdaptive}});
  s.normalize = mean_std.has_value();
  s.mean.fill(0.0f);
  s.std.fill(1.0f);
  if (mean_std) {
    for (int i = 0; i < s.channels(); ++i) {
      s.mean[i] = mean_std->first.at(i);
      s.std[i] = mean_std->second.at(i);
    }
  }
  s.exif_orientation = exif_orientation;
  s.exact = fidelity == "exact";
  s.partial = Choose<bool>(truncated, {{"error", false}, {"partial", true}});
  s.limits.max_pixels = max_pixels;
  s.limits.max_output_pixels = max_output_pixels;
  s.limits.max_bytes = max_bytes;
  s.limits.max_work = max_work;
  c.affine = ComputeAffine(s);
  return c;
}

}  // namespace

Filter FilterOf(const std::string& name) {
  return Choose<Filter>(name, {{"nearest", Filter::kNearest},
                               {"box", Filter::kBox},
                               {"bilinear", Filter::kBilinear},
                               {"hamming", Filter::kHamming},
                               {"bicubic", Filter::kBicubic},
                               {"lanczos", Filter::kLanczos}});
}

void register_spec(py::module_& m) {
  py::class_<CompiledSpec>(m, "CompiledSpec")
      .def(py::init(&Compile), py::kw_only(), py::arg("shorter_side"), py::arg("exact_size"), py::arg("max_size"),
           py::arg("crop"), py::arg("interpolation"), py::arg("mean_std"), py::arg("dtype"), py::arg("color"),
           py::arg("rescale"), py::arg("pass_order"), py::arg("exif_orientation"), py::arg("fidelity"),
           py::arg("truncated"), py::arg("max_pixels"), py::arg("max_output_pixels"), py::arg("max_bytes"),
           py::arg("max_work"));
}

}  // namespace fastpre::bindings
