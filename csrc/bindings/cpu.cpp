// The batch call: buffers and pointers in, records out, the GIL released in between.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include "bindings/batch.h"
#include "bindings/errors.h"
#include "bindings/register.h"
#include "bindings/sources.h"
#include "bindings/spec.h"
#include "cpu/kernels.h"
#include "cpu/pipeline.h"
#include "cpu/pool.h"
#include "plan/plan.h"

namespace py = pybind11;

namespace fastpre::bindings {
namespace {

// A file's pixels are unknown until it is read; photographs have about half a byte a pixel.
double CostOf(const Source& source, const Spec& spec) {
  if (source.is_path) {
    struct stat status;
    if (::stat(source.path.c_str(), &status) != 0) return 0.0;
    return DecodeCost(static_cast<size_t>(status.st_size), 2 * static_cast<int64_t>(status.st_size));
  }
  try {
    const Header h = ParseHeader(source.bytes, spec.limits, false, false);
    return DecodeCost(h.bytes, h.pixels());
  } catch (const Error&) {
    return 0.0;
  }
}

// Costliest first, so that one 20 MP photograph does not start last and end a batch late.
std::vector<size_t> Schedule(const std::vector<Source>& sources, const Spec& spec, int threads) {
  std::vector<size_t> order(sources.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (threads < 2 || sources.size() < 2) return order;
  std::vector<double> cost(sources.size());
  for (size_t i = 0; i < sources.size(); ++i) cost[i] = CostOf(sources[i], spec);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return cost[a] > cost[b]; });
  return order;
}

std::vector<Record> Run(const CompiledSpec& spec, const py::sequence& images, uintptr_t data, std::pair<int, int> size,
                        std::array<ptrdiff_t, 4> strides, int threads, std::optional<float> fill) {
  ActiveKernels();  // an unusable FASTPRE_TARGET is the caller's error, not an image's
  const Sources sources(images);
  const std::vector<Source>& list = sources.list();
  std::vector<Record> records(list.size());
  const BatchSlots slots{data, spec.spec, size, strides};
  {
    // Safe: the buffers are held by `sources`, the output by the caller's frame, and nothing below
    // touches a Python object.
    py::gil_scoped_release nogil;
    const std::vector<size_t> order = Schedule(list, spec.spec, threads);
    ParallelFor(list.size(), threads, [&](size_t turn, Worker& worker) {
      const size_t i = order[turn];
      const OutputView out = slots(i);
      Record* record = &records[i];
      // Threads that have no image of their own help with the large ones.
      PoolCrew crew(threads / static_cast<int>(list.size()) - 1, threads);
      if (list[i].is_path) {
        worker.RunFile(list[i].path, spec.spec, spec.affine, out, record, &crew);
      } else {
        worker.Run(list[i].bytes, spec.spec, spec.affine, out, record, &crew);
      }
      // A slot never keeps half an image, whatever the caller does with the record.
      if (!record->ok) FillSlot(out, fill.value_or(0.0f));
    });
  }
  return records;
}

// One image that is already decoded: a (height, width, channels) uint8 buffer, any strides.
Record RunPixels(const CompiledSpec& spec, const py::buffer& pixels, uintptr_t data, std::pair<int, int> size,
                 std::array<ptrdiff_t, 3> strides) {
  const py::buffer_info info = pixels.request();
  if (info.ndim != 3 || info.itemsize != 1 || (info.shape[2] != 3 && info.shape[2] != 1)) {
    throw py::value_error("pixels must be a uint8 array of shape (height, width, 3 or 1)");
  }
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
  Record record;
  {
    // Safe: `info` holds the pixels, the caller's frame the output.
    py::gil_scoped_release nogil;
    ParallelFor(1, 1, [&](size_t, Worker& worker) { worker.RunPixels(view, spec.spec, spec.affine, out, &record); });
  }
  return record;
}

// The output's (height, width) for an image of a given size.
std::pair<int, int> SizeFor(const CompiledSpec& spec, int height, int width) {
  Header header;
  header.height = height;
  header.width = width;
  const Geometry g = ComputeGeometry(header, spec.spec);
  return {g.out_height, g.out_width};
}

// Output (height, width) of each image, or a failed record's error; needs headers only.
std::vector<std::optional<std::pair<int, int>>> Sizes(const CompiledSpec& spec, const py::sequence& images) {
  const Sources sources(images);
  std::vector<std::optional<std::pair<int, int>>> sizes;
  {
    // Safe: `sources` holds the buffers, and nothing here touches a Python object.
    py::gil_scoped_release nogil;
    Buffer file;
    for (const Source& source : sources.list()) {
      try {
        const Bytes b = source.is_path ? ReadFile(source.path, spec.spec.limits.max_bytes, &file) : source.bytes;
        const Geometry g = ComputeGeometry(ParseHeader(b, spec.spec.limits, spec.spec.exif_orientation), spec.spec);
        sizes.emplace_back(std::pair(g.out_height, g.out_width));
      } catch (const Error&) {
        sizes.emplace_back();  // the run proper reports it, with its reason
      }
    }
  }
  return sizes;
}

}  // namespace

void register_cpu(py::module_& m) {
  py::class_<Record>(m, "Record")
      .def_readonly("ok", &Record::ok)
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
  m.def("run", &Run, py::arg("spec"), py::arg("images"), py::arg("data"), py::arg("size"), py::arg("strides"),
        py::arg("threads"), py::arg("fill"));
  m.def("run_pixels", &RunPixels, py::arg("spec"), py::arg("pixels"), py::arg("data"), py::arg("size"),
        py::arg("strides"));
  m.def("size_for", &SizeFor, py::arg("spec"), py::arg("height"), py::arg("width"));
  m.def("sizes", &Sizes, py::arg("spec"), py::arg("images"));
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
