// The batch call: buffers and pointers in, records out, the GIL released in between.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <optional>

#include "bindings/batch.h"
#include "bindings/call.h"
#include "bindings/draw.h"
#include "bindings/errors.h"
#include "bindings/register.h"
#include "bindings/sources.h"
#include "bindings/spec.h"
#include "core/available_threads.h"
#include "core/file.h"
#include "core/thread_pool.h"
#include "cpu/batch.h"
#include "cpu/kernels/kernels.h"
#include "plan/geometry.h"

namespace py = pybind11;

namespace fastpre::bindings {
namespace {

std::vector<Record> RunBatch(const CompiledSpec& spec, const py::sequence& images, uintptr_t data,
                             std::pair<int, int> size, std::array<ptrdiff_t, 4> strides, int threads, float fill,
                             std::optional<double> deadline_s, const Cancellation* cancellation,
                             const py::object& draws) {
  ActiveKernels();  // an unusable FASTPRE_TARGET is the caller's error, not an image's
  const Sources sources(images);
  RequireMemory(data, sources.list().size() * size.first * size.second);
  Call call(deadline_s, cancellation);
  Batch batch;
  batch.sources = &sources.list();
  batch.spec = &spec.spec;
  batch.affine = &spec.affine;
  batch.draws = DrawsOf(draws, sources.list().size());
  batch.slot = BatchSlots{data, spec.spec, size, strides};
  batch.fill = fill;
  batch.threads = threads;
  batch.context = call.context();
  // Safe: the buffers are held by `sources`, the output by the caller's frame, and nothing in there touches a Python
  // object; signals are polled with the GIL.
  return WithoutGil(&call, [&] { return Run(batch); });
}

// One image that is already decoded: a (height, width, channels) uint8 buffer, any strides.
Record RunPixels(const CompiledSpec& spec, const py::buffer& pixels, uintptr_t data, std::pair<int, int> size,
                 std::array<ptrdiff_t, 3> strides, const Draw* draw) {
  const py::buffer_info info = pixels.request();
  if (info.ndim != 3 || info.itemsize != 1 || (info.shape[2] != 3 && info.shape[2] != 1)) {
    throw py::value_error("pixels must be a uint8 array of shape (height, width, 3 or 1)");
  }
  RequireMemory(data, static_cast<size_t>(size.first) * size.second);
  PixelView view;
  view.data = static_cast<const uint8_t*>(info.ptr);
  view.height = static_cast<int>(info.shape[0]);
  view.width = static_cast<int>(info.shape[1]);
  view.channels = static_cast<int>(info.shape[2]);
  view.stride_y = info.strides[0];
  view.stride_x = info.strides[1];
  view.stride_c = info.strides[2];
  OutputView out{reinterpret_cast<void*>(data),
                 spec.spec.dtype,
                 spec.spec.channels(),
                 size.first,
                 size.second,
                 strides[0],
                 strides[1],
                 strides[2]};
  // Safe: `info` holds the pixels, the caller's frame the output.
  py::gil_scoped_release nogil;
  return fastpre::RunPixels(view, spec.spec, spec.affine, draw, out);
}

using IntPair = std::pair<int, int>;

// What the spec makes of an image of a given size: (height, width) once it is resized, and the output as a window of
// that: (top, left, height, width), which may begin before and end behind it.
std::pair<IntPair, std::array<int, 4>> GeometryFor(const CompiledSpec& spec, int height, int width) {
  ImageInfo image;
  image.height = height;
  image.width = width;
  const Geometry g = ComputeGeometry(image, spec.spec);
  return {{g.resized_height, g.resized_width},
          {g.window_y - g.pad_top, g.window_x - g.pad_left, g.out_height, g.out_width}};
}

// (height, width) of each image, None where it fails; needs headers only. `of`: OutputSizes or ImageSizes.
py::list Sizes(const CompiledSpec& spec, const py::sequence& images, std::optional<double> deadline_s,
               const Cancellation* cancellation, decltype(OutputSizes)* of) {
  const Sources sources(images);
  Call call(deadline_s, cancellation);
  // Safe: `sources` holds the buffers, and nothing in there touches a Python object.
  const auto sizes = WithoutGil(&call, [&] { return of(sources.list(), spec.spec, call.context()); });
  py::list list;
  for (const auto& size : sizes) {
    list.append(size ? py::object(py::make_tuple(size->height, size->width)) : py::object(py::none()));
  }
  return list;
}

// Each path's file as a FileData, read by several threads; what is no path, or cannot be read, as it came.
py::list ReadFiles(const py::sequence& images, int64_t max_bytes, int threads, std::optional<double> deadline_s,
                   const Cancellation* cancellation) {
  const Sources sources(images);
  Call call(deadline_s, cancellation);
  std::vector<std::unique_ptr<FileData>> files(sources.list().size());
  // Safe: as above.
  WithoutGil(&call, [&] {
    ParallelFor(files.size(), threads, [&](size_t i) {
      const Source& source = sources.list()[i];
      if (!source.is_path) return;
      const CallContext::Scope scope(call.context());
      Record failure;  // the call that decodes it meets it again, and says so
      auto file = std::make_unique<FileData>();
      const bool read = Recorded(&failure, [&] { file->bytes = ReadFile(source.path, max_bytes, &file->memory); });
      if (read) files[i] = std::move(file);
    });
    if (call.context()->cancelled()) throw Cancelled();
    return true;
  });
  py::list list;
  for (size_t i = 0; i < files.size(); ++i) {
    list.append(files[i] ? py::cast(std::move(files[i])) : py::object(images[i]));
  }
  return list;
}

}  // namespace

void register_cpu(py::module_& m) {
  py::class_<Record>(m, "Record")
      .def_readonly("ok", &Record::ok)
      .def_readonly("truncated", &Record::truncated)
      .def_property_readonly("error",
                             [](const Record& r) -> py::object {
                               if (r.ok) return py::none();
                               return py::str(ErrorName(r.error_kind));
                             })
      .def_readonly("reason", &Record::reason)
      .def_readonly("width", &Record::width)
      .def_readonly("height", &Record::height)
      .def_property_readonly("decoder", [](const Record& r) { return std::string(r.decoder); })
      .def_readonly("declined", &Record::declined)
      .def_readonly("retried", &Record::retried)
      .def_property_readonly("target", [](const Record& r) { return std::string(r.target); })
      .def_readonly("peak_bytes", &Record::peak_bytes)
      .def_readonly("uploaded_bytes", &Record::uploaded_bytes)
      .def_property_readonly("stages_us", [](const Record& r) {
        py::dict d;
        for (int s = 0; s < kStageCount; ++s) d[kStageNames[s]] = r.stages_us[s];
        return d;
      });
  m.def("run", &RunBatch, py::arg("spec"), py::arg("images"), py::arg("data"), py::arg("size"), py::arg("strides"),
        py::arg("threads"), py::arg("fill"), py::arg("deadline_s") = py::none(), py::arg("cancellation") = py::none(),
        py::arg("draws") = py::none());
  m.def("run_pixels", &RunPixels, py::arg("spec"), py::arg("pixels"), py::arg("data"), py::arg("size"),
        py::arg("strides"), py::arg("draw") = nullptr);
  m.def("geometry_for", &GeometryFor, py::arg("spec"), py::arg("height"), py::arg("width"));
  const auto sizes = [&m](const char* name, decltype(OutputSizes)* of) {
    m.def(
        name,
        [of](const CompiledSpec& spec, const py::sequence& images, std::optional<double> deadline_s,
             const Cancellation* cancellation) { return Sizes(spec, images, deadline_s, cancellation, of); },
        py::arg("spec"), py::arg("images"), py::arg("deadline_s") = py::none(), py::arg("cancellation") = py::none());
  };
  sizes("output_sizes", &OutputSizes);
  sizes("image_sizes", &ImageSizes);
  py::class_<FileData>(m, "FileData", py::buffer_protocol()).def_buffer([](FileData& file) {
    return py::buffer_info(file.bytes.data(), static_cast<py::ssize_t>(file.bytes.size()));
  });
  m.def("read_files", &ReadFiles, py::arg("images"), py::arg("max_bytes"), py::arg("threads"),
        py::arg("deadline_s") = py::none(), py::arg("cancellation") = py::none());
  m.def("available_threads", &AvailableThreads);
  m.def("pool_size", &PoolSize);
  m.def("targets", [] {
    std::vector<std::string> names;
    for (const KernelTable* t : AvailableKernels()) names.emplace_back(t->name);
    return names;
  });
  m.def("active_target", [] { return std::string(ActiveKernels().name); });
  m.def("set_target", [](const std::string& name) {
    if (!SetTarget(name)) throw py::value_error("target '" + name + "' is not available on this CPU");
  });
}

}  // namespace fastpre::bindings
