// One device and what is kept for it from call to call: memory, decoders, measured speeds. Safe from any thread.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/bounded_memory.h"
#include "cuda/coefficients.h"
#include "cuda/decode_path.h"
#include "cuda/nvjpeg/decoders.h"
#include "cuda/runtime.h"
#include "cuda/staging.h"

namespace fastpre::cuda {

class Device {
 public:
  Device(std::unique_ptr<Runtime> runtime, MemoryBounds bounds);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // Made when it is first asked for, kept for the life of the process. kEmulated: the emulator. Throws CudaError, also
  // in a child that was forked off after the device had been used.
  static constexpr int kEmulated = -1;
  static Device& Get(int index);

  Runtime& runtime() { return *runtime_; }
  Rates& rates() { return rates_; }
  // Staging has three quarters of the bounds, nvJPEG one: neither can take from the other.
  StagingBuffers& staging() { return staging_; }
  const BoundedMemory& nvjpeg_device_memory() const { return nvjpeg_device_memory_; }
  const BoundedMemory& nvjpeg_pinned_memory() const { return nvjpeg_pinned_memory_; }

  // nvJPEG, tried once. What is null has its reason below.
  struct Nvjpeg {
    std::shared_ptr<const NvjpegLibrary> library;
    std::unique_ptr<HardwareDecoder> hardware;
    std::mutex hardware_mutex;
    std::string library_missing, hardware_missing, hybrid_missing;  // reasons; empty if it is there
  };
  Nvjpeg& nvjpeg();

  // Of one thread for one image.
  std::unique_ptr<HybridDecoder> TakeHybrid();
  void ReturnHybrid(std::unique_ptr<HybridDecoder> decoder);
  // Where one had too little memory: idle ones give theirs back.
  void DropIdleHybrids();
  std::unique_ptr<CoefficientPacker> TakePacker();
  void ReturnPacker(std::unique_ptr<CoefficientPacker> packer);

 private:
  std::unique_ptr<HybridDecoder> MakeHybrid();

  std::unique_ptr<Runtime> runtime_;
  StagingBuffers staging_;
  BoundedMemory nvjpeg_device_memory_, nvjpeg_pinned_memory_;
  Rates rates_;
  std::mutex mutex_;
  std::once_flag nvjpeg_once_;
  Nvjpeg nvjpeg_;
  std::vector<std::unique_ptr<HybridDecoder>> hybrids_;
  std::vector<std::unique_ptr<CoefficientPacker>> packers_;
};

// Where nvJPEG may be, best first; FASTPRE_NVJPEG comes before all of them.
void SetNvjpegCandidates(std::vector<std::string> candidates);
std::vector<std::string> NvjpegCandidates();

}  // namespace fastpre::cuda
