#include "cuda/device.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>

namespace fastpre::cuda {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kKeepBytes = 8 * kMiB;  // scratch of a packer

// A number of MiB from the environment.
size_t BoundOf(const char* variable, size_t otherwise) {
  const char* text = std::getenv(variable);
  if (!text || !*text) return otherwise;
  char* end = nullptr;
  const unsigned long long mib = std::strtoull(text, &end, 10);
  if (*end != '\0' || mib == 0 || mib > (size_t{1} << 40) / kMiB) {
    throw CudaError(std::string(variable) + " must be a number of MiB, got '" + text + "'");
  }
  return static_cast<size_t>(mib) * kMiB;
}

MemoryBounds DefaultBounds(const DeviceInfo& info) {
  return {BoundOf("FASTPRE_CUDA_MEMORY", std::min(info.memory_bytes / 4, 4096 * kMiB)),
          BoundOf("FASTPRE_PINNED_MEMORY", 2048 * kMiB)};
}

struct Registry {
  std::mutex mutex;
  std::map<int, std::unique_ptr<Device>> devices;
  std::vector<std::string> candidates;
  std::atomic<pid_t> owner{0};  // of the devices
};

// Leaked: at exit the driver may be gone before static objects are.
Registry& TheRegistry() {
  static Registry* registry = new Registry;
  return *registry;
}

}  // namespace

void SetNvjpegCandidates(std::vector<std::string> candidates) {
  Registry& r = TheRegistry();
  std::lock_guard<std::mutex> lock(r.mutex);
  r.candidates = std::move(candidates);
}

std::vector<std::string> NvjpegCandidates() {
  std::vector<std::string> all;
  if (const char* named = std::getenv("FASTPRE_NVJPEG")) {
    if (*named) return {named};  // naming one excludes the others
  }
  Registry& r = TheRegistry();
  std::lock_guard<std::mutex> lock(r.mutex);
  all = r.candidates;
  for (const char* name : {"libnvjpeg.so.13", "libnvjpeg.so.12"}) all.emplace_back(name);
  return all;
}

Device& Device::Get(int index) {
  Registry& r = TheRegistry();
  // Before the mutex, which another thread may have held at the moment of the fork.
  const pid_t owner = r.owner.load();
  if (owner != 0 && owner != getpid()) {
    throw CudaError(
        "CUDA was used before this process was forked off, and does not survive a fork: decode in the main process "
        "(fastpre.data.Loader ships bytes there), or start workers with multiprocessing_context=\"spawn\"");
  }
  std::lock_guard<std::mutex> lock(r.mutex);
  std::unique_ptr<Device>& device = r.devices[index];
  if (!device) {
    if (index != kEmulated) r.owner = getpid();
    std::unique_ptr<Runtime> runtime = index == kEmulated ? MakeEmulator() : MakeCudaRuntime(index);
    const MemoryBounds bounds = DefaultBounds(runtime->info());
    const auto entered = runtime->Enter();
    device = std::make_unique<Device>(std::move(runtime), bounds);
  }
  return *device;
}

Device::Device(std::unique_ptr<Runtime> runtime, MemoryBounds bounds)
    : runtime_(std::move(runtime)),
      staging_(runtime_.get(), {bounds.device_bytes / 4 * 3, bounds.pinned_bytes / 4 * 3}),
      nvjpeg_device_memory_(runtime_.get(), Memory::kDevice, bounds.device_bytes / 4),
      nvjpeg_pinned_memory_(runtime_.get(), Memory::kPinned, bounds.pinned_bytes / 4) {}

Device::~Device() {
  // nvJPEG remembers streams: it goes before they do.
  hybrids_.clear();
  nvjpeg_.hardware.reset();
}

Device::Nvjpeg& Device::nvjpeg() {
  std::call_once(nvjpeg_once_, [&] {
    try {
      nvjpeg_.library = NvjpegLibrary::Load(NvjpegCandidates());
    } catch (const CudaError& e) {
      nvjpeg_.library_missing = nvjpeg_.hardware_missing = nvjpeg_.hybrid_missing = e.what();
      return;
    }
    try {
      ReturnHybrid(MakeHybrid());
    } catch (const CudaError& e) {
      nvjpeg_.hybrid_missing = e.what();
    }
    try {
      const auto entered = runtime_->Enter();
      nvjpeg_.hardware = std::make_unique<HardwareDecoder>(nvjpeg_.library, runtime_.get(), &nvjpeg_device_memory_,
                                                           &nvjpeg_pinned_memory_);
    } catch (const CudaError& e) {
      nvjpeg_.hardware_missing = e.what();
    }
  });
  return nvjpeg_;
}

std::unique_ptr<HybridDecoder> Device::TakeHybrid() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!hybrids_.empty()) {
      auto decoder = std::move(hybrids_.back());
      hybrids_.pop_back();
      return decoder;
    }
  }
  return MakeHybrid();
}

std::unique_ptr<HybridDecoder> Device::MakeHybrid() {
  return std::make_unique<HybridDecoder>(nvjpeg_.library, runtime_.get(), &nvjpeg_device_memory_,
                                         &nvjpeg_pinned_memory_);
}

void Device::ReturnHybrid(std::unique_ptr<HybridDecoder> decoder) {
  std::lock_guard<std::mutex> lock(mutex_);
  hybrids_.push_back(std::move(decoder));
}

void Device::DropIdleHybrids() {
  std::vector<std::unique_ptr<HybridDecoder>> idle;
  std::lock_guard<std::mutex> lock(mutex_);
  idle.swap(hybrids_);
}

std::unique_ptr<CoefficientPacker> Device::TakePacker() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (packers_.empty()) return std::make_unique<CoefficientPacker>();
  auto packer = std::move(packers_.back());
  packers_.pop_back();
  return packer;
}

void Device::ReturnPacker(std::unique_ptr<CoefficientPacker> packer) {
  packer->Trim(kKeepBytes);
  std::lock_guard<std::mutex> lock(mutex_);
  packers_.push_back(std::move(packer));
}

}  // namespace fastpre::cuda
