// The batch call on a device, and what there is to know of devices.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <optional>

#include "bindings/batch.h"
#include "bindings/call.h"
#include "bindings/draw.h"
#include "bindings/register.h"
#include "bindings/sources.h"
#include "bindings/spec.h"
#include "cpu/kernels/kernels.h"
#include "cuda/backend.h"
#include "cuda/batch.h"
#include "cuda/device.h"

namespace py = pybind11;

namespace fastpre::bindings {
namespace {

std::vector<Record> CudaRun(const CompiledSpec& spec, const py::sequence& images, uintptr_t data,
                            std::pair<int, int> size, std::array<ptrdiff_t, 4> strides, int threads, float fill,
                            int device, uintptr_t stream, const std::string& decoder, std::optional<double> deadline_s,
                            const Cancellation* cancellation, const py::object& draws) {
  ActiveKernels();  // an unusable FASTPRE_TARGET is the caller's error, not an image's
  const Sources sources(images);
  RequireMemory(data, sources.list().size() * size.first * size.second);
  Call call(deadline_s, cancellation);
  cuda::Batch batch;
  batch.sources = &sources.list();
  batch.spec = &spec.spec;
  batch.affine = &spec.affine;
  batch.draws = DrawsOf(draws, sources.list().size());
  batch.slot = BatchSlots{data, spec.spec, size, strides};
  batch.fill = fill;
  batch.threads = threads;
  batch.context = call.context();
  batch.stream = reinterpret_cast<cuda::Stream>(stream);
  batch.decoder = decoder;
  // Safe: the buffers are held by `sources`, the output by the caller's frame, and nothing in there touches a
  // Python object; signals are polled with the GIL.
  return WithoutGil(&call, [&] {
    cuda::Device& d = cuda::Device::Get(device);
    std::vector<Record> records = cuda::Run(d, batch);
    // The emulator's streams stand still until they are waited for.
    if (device == cuda::Device::kEmulated) d.runtime().SynchronizeStream(batch.stream);
    return records;
  });
}

py::dict InfoOf(const cuda::DeviceInfo& info) {
  py::dict d;
  d["index"] = info.index;
  d["name"] = info.name;
  d["compute_capability"] = std::to_string(info.major) + "." + std::to_string(info.minor);
  d["multiprocessors"] = info.multiprocessors;
  d["memory_bytes"] = info.memory_bytes;
  return d;
}

// Makes no CUDA context.
py::dict CudaInfo() {
  py::dict d;
  std::string why;
  py::list devices;
  for (const cuda::DeviceInfo& info : cuda::Devices(&why)) devices.append(InfoOf(info));
  d["compiled"] = CudaCompiled();
  d["architectures"] = cuda::CompiledArchitectures();
  d["runtime_version"] = cuda::RuntimeVersion();
  d["driver_version"] = cuda::DriverVersion();
  d["devices"] = devices;
  d["missing"] = CudaMissing();
  return d;
}

// The library alone, without a device.
py::dict NvjpegInfo() {
  py::dict d;
  d["version"] = py::none();
  d["path"] = py::none();
  d["missing"] = "";
  try {
    const auto library = cuda::NvjpegLibrary::Load(cuda::NvjpegCandidates());
    d["version"] = library->version();
    d["path"] = library->path();
  } catch (const cuda::CudaError& e) {
    d["missing"] = e.what();
  }
  return d;
}

// What a device has. Makes a context.
py::dict DeviceReport(int device) {
  cuda::Device& found = cuda::Device::Get(device);
  py::dict d = InfoOf(found.runtime().info());
  const cuda::Device::Nvjpeg& nvjpeg = found.nvjpeg();
  d["nvjpeg_missing"] = nvjpeg.library_missing;
  d["hardware_missing"] = nvjpeg.hardware_missing;
  d["hybrid_missing"] = nvjpeg.hybrid_missing;
  d["engines"] = nvjpeg.hardware ? nvjpeg.hardware->engines() : 0;
  d["cores_per_engine"] = nvjpeg.hardware ? nvjpeg.hardware->cores_per_engine() : 0;
  return d;
}

py::dict MemoryReport(int device) {
  cuda::Device& found = cuda::Device::Get(device);
  const auto report = [](const cuda::BoundedMemory& memory) {
    py::dict d;
    d["used_bytes"] = memory.used();
    d["peak_bytes"] = memory.peak();
    d["bound_bytes"] = memory.bound();
    return d;
  };
  py::dict d;
  d["device"] = report(found.staging().device_memory());
  d["pinned"] = report(found.staging().pinned_memory());
  d["nvjpeg_device"] = report(found.nvjpeg_device_memory());
  d["nvjpeg_pinned"] = report(found.nvjpeg_pinned_memory());
  return d;
}

// Measured seconds for a unit of cost (plan(...).cost), by path; None until there is a measurement.
py::dict RatesReport(int device) {
  const cuda::Rates& rates = cuda::Device::Get(device).rates();
  py::dict d;
  for (const cuda::DecodePath r : {cuda::DecodePath::kHardware, cuda::DecodePath::kHybrid,
                                   cuda::DecodePath::kCoefficients, cuda::DecodePath::kPixels}) {
    d[cuda::PathName(r)] =
        rates.observations(r) > 0 ? py::object(py::float_(rates.seconds_per_cost(r))) : py::object(py::none());
  }
  return d;
}

}  // namespace

void register_cuda(py::module_& m) {
  m.def("cuda_run", &CudaRun, py::arg("spec"), py::arg("images"), py::arg("data"), py::arg("size"), py::arg("strides"),
        py::arg("threads"), py::arg("fill"), py::arg("device"), py::arg("stream"), py::arg("decoder"),
        py::arg("deadline_s") = py::none(), py::arg("cancellation") = py::none(), py::arg("draws") = py::none());
  m.def("cuda_info", &CudaInfo);
  m.def("nvjpeg_info", &NvjpegInfo);
  m.def("set_nvjpeg_candidates", &cuda::SetNvjpegCandidates, py::arg("paths"));
  m.def("cuda_device", &DeviceReport, py::arg("device"));
  m.def("cuda_memory", &MemoryReport, py::arg("device"));
  m.def("cuda_rates", &RatesReport, py::arg("device"));
  m.attr("EMULATED") = cuda::Device::kEmulated;
}

}  // namespace fastpre::bindings
