// Private memory that images pass through on their way to the caller's tensor: a few buffers, used in turn.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "cuda/bounded_memory.h"
#include "cuda/runtime.h"

namespace fastpre::cuda {

struct MemoryBounds {
  size_t device_bytes, pinned_bytes;
};

// Trap: the hardware decoder's writes can land before earlier work of the same stream is done (nvjpeg/decoders.h). So
// nothing is decoded into a buffer before the *host* has seen that the last kernel which read it is done.
struct StagingBuffer {
  uint8_t *device = nullptr, *pinned = nullptr;
  size_t device_bytes = 0, pinned_bytes = 0;
  Stream copies = nullptr, engines = nullptr, decoders = nullptr;
  Event uploaded = nullptr;
  Event drained = nullptr;  // after the last kernel that reads it, on some caller's stream
  bool taken = false;
};

class StagingBuffers {
 public:
  // As many calls can be on their way at once.
  static constexpr int kCount = 3;

  StagingBuffers(Runtime* runtime, MemoryBounds bounds);
  ~StagingBuffers();
  StagingBuffers(const StagingBuffers&) = delete;
  StagingBuffers& operator=(const StagingBuffers&) = delete;

  // A drained buffer of at least these sizes, or null if memory is short. Waits for other calls while all are taken.
  StagingBuffer* Take(size_t device_bytes, size_t pinned_bytes);
  void Return(StagingBuffer* buffer) noexcept;

  // What one call may have at once.
  size_t most_device_bytes() const { return device_memory_.bound() / kCount; }
  size_t most_pinned_bytes() const { return pinned_memory_.bound() / kCount; }
  const BoundedMemory& device_memory() const { return device_memory_; }
  const BoundedMemory& pinned_memory() const { return pinned_memory_; }

 private:
  bool Drained(const StagingBuffer& buffer);
  void EmptyOthers();
  bool Grow(StagingBuffer* buffer, size_t device_bytes, size_t pinned_bytes);

  Runtime* const runtime_;
  BoundedMemory device_memory_, pinned_memory_;
  std::mutex mutex_;
  std::condition_variable returned_;
  StagingBuffer buffers_[kCount];
};

}  // namespace fastpre::cuda
