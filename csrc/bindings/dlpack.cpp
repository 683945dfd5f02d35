// A host tensor for people without torch: NumPy (from_dlpack), JAX and others take it over with no
// copy. DLPack's C ABI, version 0.8 (unversioned capsule): https://dmlc.github.io/dlpack/latest/c_api.html
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "bindings/register.h"
#include "core/batch_memory.h"

namespace py = pybind11;

namespace fastpre::bindings {
namespace {

struct DLDevice {
  int32_t device_type;
  int32_t device_id;
};
struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor*);
};

constexpr int32_t kDLCPU = 1;
constexpr uint8_t kDLUInt = 1, kDLFloat = 2, kDLBfloat = 4;

struct HostTensor {
  std::shared_ptr<uint8_t> memory;
  std::vector<int64_t> shape, strides;  // elements
  std::string dtype;
  DLDataType type{};

  HostTensor(std::vector<int64_t> size, std::vector<int64_t> element_strides, const std::string& name)
      : shape(std::move(size)),
        strides(std::move(element_strides)),
        dtype(name) {
    if (name == "float32") {
      type = {kDLFloat, 32, 1};
    } else if (name == "float16") {
      type = {kDLFloat, 16, 1};
    } else if (name == "bfloat16") {
      type = {kDLBfloat, 16, 1};
    } else if (name == "uint8") {
      type = {kDLUInt, 8, 1};
    } else {
      throw py::value_error("unknown dtype '" + name + "'");
    }
    size_t bytes = type.bits / 8;
    for (const int64_t side : shape) {
      if (side < 0 || __builtin_mul_overflow(bytes, static_cast<size_t>(side), &bytes)) throw std::bad_alloc();
    }
    memory = TakeBatchMemory(std::max<size_t>(bytes, 1));
  }
};

// What a capsule keeps alive.
struct Export {
  DLManagedTensor managed;
  std::shared_ptr<uint8_t> memory;
  std::vector<int64_t> shape, strides;
};

py::capsule ToCapsule(const HostTensor& t) {
  auto* e = new Export{{}, t.memory, t.shape, t.strides};
  e->managed.dl_tensor = {e->memory.get(),
                          {kDLCPU, 0},
                          static_cast<int32_t>(e->shape.size()),
                          t.type,
                          e->shape.data(),
                          e->strides.data(),
                          0};
  e->managed.manager_ctx = e;
  e->managed.deleter = [](DLManagedTensor* m) { delete static_cast<Export*>(m->manager_ctx); };
  // A consumer renames the capsule to "used_dltensor" and calls the deleter itself.
  return py::capsule(&e->managed, "dltensor", [](PyObject* capsule) {
    if (!PyCapsule_IsValid(capsule, "dltensor")) return;
    auto* m = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
    m->deleter(m);
  });
}

}  // namespace

void register_dlpack(py::module_& m) {
  py::class_<HostTensor>(m, "HostTensor")
      .def(py::init<std::vector<int64_t>, std::vector<int64_t>, const std::string&>(), py::arg("shape"),
           py::arg("strides"), py::arg("dtype"))
      .def_readonly("shape", &HostTensor::shape)
      .def_readonly("strides", &HostTensor::strides)
      .def_readonly("dtype", &HostTensor::dtype)
      .def_property_readonly("data_ptr",
                             [](const HostTensor& t) { return reinterpret_cast<uintptr_t>(t.memory.get()); })
      .def("__dlpack_device__", [](const HostTensor&) { return py::make_tuple(kDLCPU, 0); })
      .def(
          "__dlpack__",
          [](const HostTensor& t, const py::object&, const py::object&, const py::object& device,
             const py::object& copy) {
            if (!device.is_none() && !device.equal(py::make_tuple(kDLCPU, 0))) {
              throw py::buffer_error("this tensor is in host memory, device (1, 0)");
            }
            if (!copy.is_none() && copy.cast<bool>()) throw py::buffer_error("copies are the consumer's to make");
            return ToCapsule(t);
          },
          py::kw_only(), py::arg("stream") = py::none(), py::arg("max_version") = py::none(),
          py::arg("dl_device") = py::none(), py::arg("copy") = py::none());
}

}  // namespace fastpre::bindings
