// The GPU, through CUDA's runtime, which is linked in statically. Nothing here runs before a device is asked for.
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstdio>
#include <string>

#include "cuda/backend.h"
#include "cuda/kernels/descriptor.h"
#include "cuda/kernels/kernels.h"
#include "cuda/nvtx.h"
#include "cuda/runtime.h"

namespace fastpre {
namespace cuda {
namespace {

void Check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // errors that are not sticky must not surface in the caller's next call
  throw CudaError(std::string(what) + ": " + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")");
}

cudaStream_t Of(Stream stream) { return reinterpret_cast<cudaStream_t>(stream); }
cudaEvent_t OfEvent(Event event) { return reinterpret_cast<cudaEvent_t>(event); }

// For calls that must not throw: what they leave behind would surface in a later launch.
void Forget(cudaError_t status) {
  if (status != cudaSuccess) (void)cudaGetLastError();
}

// Whether this process has used the device. cudaSetDevice makes a context (since 12.0), half a gigabyte of it, so a
// thread is only put back to a device that has one; the driver is asked, which the runtime has loaded by then.
bool HasContext(int device) {
  struct Driver {
    int (*get_device)(int*, int) = nullptr;
    int (*state)(int, unsigned int*, int*) = nullptr;
    Driver() {
      void* const library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
      if (!library) return;
      get_device = reinterpret_cast<int (*)(int*, int)>(dlsym(library, "cuDeviceGet"));
      state = reinterpret_cast<int (*)(int, unsigned int*, int*)>(dlsym(library, "cuDevicePrimaryCtxGetState"));
    }
  };
  static const Driver driver;
  int handle = 0, active = 0;
  unsigned int flags = 0;
  return driver.get_device && driver.state && driver.get_device(&handle, device) == 0 &&
         driver.state(handle, &flags, &active) == 0 && active != 0;
}

class EnteredDevice final : public Runtime::Entered {
 public:
  explicit EnteredDevice(int device) {
    Check(cudaGetDevice(&before_), "cudaGetDevice");
    if (before_ != device) {
      Check(cudaSetDevice(device), "cudaSetDevice");
      changed_ = true;
    }
    // Another thread may be capturing a graph, by default in a mode in which allocating and waiting elsewhere would
    // break its capture and fail here. Neither has anything to do with it.
    exchanged_ = cudaThreadExchangeStreamCaptureMode(&mode_) == cudaSuccess;
  }
  ~EnteredDevice() override {
    if (exchanged_) Forget(cudaThreadExchangeStreamCaptureMode(&mode_));
    if (changed_ && HasContext(before_)) Forget(cudaSetDevice(before_));
  }

 private:
  int before_ = 0;
  bool changed_ = false, exchanged_ = false;
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

DeviceInfo InfoOf(int device) {
  // Attributes, not cudaGetDeviceProperties: that one makes a context on some releases.
  DeviceInfo info;
  info.index = device;
  const auto attribute = [&](cudaDeviceAttr a) {
    int value = 0;
    Check(cudaDeviceGetAttribute(&value, a, device), "cudaDeviceGetAttribute");
    return value;
  };
  info.major = attribute(cudaDevAttrComputeCapabilityMajor);
  info.minor = attribute(cudaDevAttrComputeCapabilityMinor);
  info.multiprocessors = attribute(cudaDevAttrMultiProcessorCount);
  return info;
}

class CudaRuntime final : public Runtime {
 public:
  explicit CudaRuntime(int device) : info_(InfoOf(device)) {
    const EnteredDevice entered(device);
    cudaDeviceProp properties;
    Check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
    info_.name = properties.name;
    info_.memory_bytes = properties.totalGlobalMem;
    if (info_.major * 10 + info_.minor < 75) {
      throw CudaError(info_.name + " has compute capability " + std::to_string(info_.major) + "." +
                      std::to_string(info_.minor) + "; fastpre needs 7.5 or later");
    }
  }

  std::unique_ptr<Entered> Enter() override { return std::make_unique<EnteredDevice>(info_.index); }
  DeviceInfo info() const override { return info_; }
  bool emulated() const override { return false; }

  void* Allocate(Memory kind, size_t bytes) override {
    void* memory = nullptr;
    const cudaError_t status =
        kind == Memory::kDevice ? cudaMalloc(&memory, bytes) : cudaHostAlloc(&memory, bytes, cudaHostAllocPortable);
    if (status == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      return nullptr;
    }
    Check(status, kind == Memory::kDevice ? "cudaMalloc" : "cudaHostAlloc");
    return memory;
  }
  void Free(Memory kind, void* memory) noexcept override {
    Forget(kind == Memory::kDevice ? cudaFree(memory) : cudaFreeHost(memory));
  }

  Stream CreateStream() override {
    cudaStream_t stream;
    Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    return reinterpret_cast<Stream>(stream);
  }
  void DestroyStream(Stream stream) noexcept override { Forget(cudaStreamDestroy(Of(stream))); }
  Event CreateEvent() override {
    cudaEvent_t event;
    // Waiting threads sleep: cores are for decoding.
    Check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync), "cudaEventCreateWithFlags");
    return reinterpret_cast<Event>(event);
  }
  void DestroyEvent(Event event) noexcept override { Forget(cudaEventDestroy(OfEvent(event))); }
  void Record(Event event, Stream stream) override {
    Check(cudaEventRecord(OfEvent(event), Of(stream)), "cudaEventRecord");
  }
  void Wait(Stream stream, Event event) override {
    Check(cudaStreamWaitEvent(Of(stream), OfEvent(event), 0), "cudaStreamWaitEvent");
  }
  void Synchronize(Event event) override { Check(cudaEventSynchronize(OfEvent(event)), "cudaEventSynchronize"); }
  // By an event that sleeps: cudaStreamSynchronize spins on machines with more cores than contexts.
  void SynchronizeStream(Stream stream) override {
    cudaEvent_t event;
    if (cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync) != cudaSuccess) {
      (void)cudaGetLastError();
      return Check(cudaStreamSynchronize(Of(stream)), "cudaStreamSynchronize");
    }
    cudaError_t status = cudaEventRecord(event, Of(stream));
    if (status == cudaSuccess) status = cudaEventSynchronize(event);
    Forget(cudaEventDestroy(event));
    Check(status, "waiting for a stream");
  }
  bool Done(Event event) override {
    const cudaError_t status = cudaEventQuery(OfEvent(event));
    if (status == cudaErrorNotReady) {
      (void)cudaGetLastError();
      return false;
    }
    Check(status, "cudaEventQuery");
    return true;
  }

  void CopyToDevice(void* device, const void* host, size_t bytes, Stream stream) override {
    Check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, Of(stream)), "cudaMemcpyAsync");
  }
  void CopyToHost(void* host, const void* device, size_t bytes, Stream stream) override {
    Check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, Of(stream)), "cudaMemcpyAsync");
  }

  void Launch(const ResampleLaunch& launch, Stream stream) override {
    Check(LaunchKernel(launch, Of(stream)), "the resampling kernel");
  }
  void Launch(const IdctLaunch& launch, Stream stream) override {
    Check(LaunchKernel(launch, Of(stream)), "the inverse DCT kernel");
  }
  void Launch(const CanaryLaunch& launch, Stream stream) override {
    Check(LaunchKernel(launch, Of(stream)), "the canary kernel");
  }

  void PushRange(const char* name) override { NvtxPush(name); }
  void PopRange() noexcept override { NvtxPop(); }

 private:
  DeviceInfo info_;
};

std::string VersionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// Devices without a context, or why there are none.
int CountDevices(std::string* why_none) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return count;
  (void)cudaGetLastError();
  const int driver = DriverVersion();
  if (driver == 0) {
    *why_none =
        "no NVIDIA driver was found (libcuda.so.1): install it, or in a container start that with its GPUs (docker run "
        "--gpus all)";
  } else if (status == cudaErrorInsufficientDriver) {
    *why_none = "the NVIDIA driver is for CUDA " + VersionText(driver) + ", and this build needs one for CUDA " +
                VersionText(RuntimeVersion()) + " or later: update the driver";
  } else if (status == cudaErrorNoDevice || count == 0) {
    *why_none = "the NVIDIA driver shows no device (is CUDA_VISIBLE_DEVICES set?)";
  } else {
    *why_none = std::string("cudaGetDeviceCount: ") + cudaGetErrorString(status);
  }
  return 0;
}

}  // namespace

std::unique_ptr<Runtime> MakeCudaRuntime(int device) {
  std::string why;
  const int count = CountDevices(&why);
  if (count == 0) throw CudaError(why);
  if (device < 0 || device >= count) {
    throw CudaError("there is no device cuda:" + std::to_string(device) + "; this machine shows " +
                    std::to_string(count));
  }
  return std::make_unique<CudaRuntime>(device);
}

int DriverVersion() {
  int version = 0;
  if (cudaDriverGetVersion(&version) != cudaSuccess) (void)cudaGetLastError();
  return version;
}

int RuntimeVersion() { return CUDART_VERSION; }

std::vector<DeviceInfo> Devices(std::string* why_none) {
  std::vector<DeviceInfo> devices;
  const int count = CountDevices(why_none);
  for (int i = 0; i < count; ++i) devices.push_back(InfoOf(i));
  return devices;
}

std::string CompiledArchitectures() { return FASTPRE_CUDA_ARCHITECTURES_TEXT; }

}  // namespace cuda

bool CudaCompiled() { return true; }

std::string CudaMissing() {
  std::string why;
  cuda::Devices(&why);
  if (why.empty()) return "";
  return why + "; until then use device=\"cpu\"";
}

}  // namespace fastpre
