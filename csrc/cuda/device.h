// One device and what is kept for it from call to call: memory, decoders, measured speeds. Safe from any thread.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/coefficients.h"
#include "cuda/memory.h"
#include "cuda/nvjpeg.h"
#include "cuda/route.h"
#include "cuda/runtime.h"

namespace fastpre::cuda {

struct MemoryBounds {
  size_t device_bytes, pinned_bytes;
};

// Private memory that images pass through on their way to the caller's tensor.
//
// Trap: the hardware decoder's writes can land before earlier work of the same stream is done (nvjpeg.h). So nothing is
// decoded into a slot before the *host* has seen that the last kernel which read it is done.
struct Slot {
  uint8_t *device = nullptr, *pinned = nullptr;
  size_t device_bytes = 0, pinned_bytes = 0;
  Stream copies = nullptr, engines = nullptr, decoders = nullptr;
  Event uploaded = nullptr;
  Event drained = nullptr;  // after the last kernel that reads it, on some caller's stream
  bool taken = false;
};

class Device {
 public:
  // As many calls can be on their way at once.
  static constexpr int kSlots = 3;

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
  // The slots have three quarters of the bounds, nvJPEG one: neither can take from the other.
  const BoundedMemory& device_memory() const { return device_memory_; }
  const BoundedMemory& pinned_memory() const { return pinned_memory_; }
  const BoundedMemory& nvjpeg_device_memory() const { return nvjpeg_device_memory_; }
  const BoundedMemory& nvjpeg_pinned_memory() const { return nvjpeg_pinned_memory_; }
  // What one call may have at once.
  size_t slot_device_bytes() const { return device_memory_.bound() / kSlots; }
  size_t slot_pinned_bytes() const { return pinned_memory_.bound() / kSlots; }

  // A drained slot of at least these sizes, or null if memory is short. Waits for other calls while all are taken.
  Slot* Take(size_t device_bytes, size_t pinned_bytes);
  void Return(Slot* slot) noexcept;

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
  // Where one had too little memory: those that nobody uses give theirs back.
  void DropIdleHybrids();
  std::unique_ptr<CoefficientPacker> TakePacker();
  void ReturnPacker(std::unique_ptr<CoefficientPacker> packer);

 private:
  std::unique_ptr<HybridDecoder> MakeHybrid();
  bool Drained(const Slot& slot);
  void EmptyOthers();
  bool Grow(Slot* slot, size_t device_bytes, size_t pinned_bytes);

  std::unique_ptr<Runtime> runtime_;
  BoundedMemory device_memory_, pinned_memory_, nvjpeg_device_memory_, nvjpeg_pinned_memory_;
  Rates rates_;
  std::mutex mutex_;
  std::condition_variable returned_;
  Slot slots_[kSlots];
  std::once_flag nvjpeg_once_;
  Nvjpeg nvjpeg_;
  std::vector<std::unique_ptr<HybridDecoder>> hybrids_;
  std::vector<std::unique_ptr<CoefficientPacker>> packers_;
};

// Where nvJPEG may be, best first; FASTPRE_NVJPEG comes before all of them.
void SetNvjpegCandidates(std::vector<std::string> candidates);
std::vector<std::string> NvjpegCandidates();

}  // namespace fastpre::cuda
