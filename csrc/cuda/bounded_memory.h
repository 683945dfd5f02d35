// Device and pinned memory with a hard bound, counted; nvJPEG allocates here as well.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <unordered_map>

#include "cuda/runtime.h"

namespace fastpre::cuda {

// Rounded up to a quarter of a power of two, at least `least`: sizes that vary fall into a few classes, and what grows
// with the largest one so far soon stops.
inline size_t SizeClass(size_t bytes, size_t least) {
  size_t step = least;
  while (step * 8 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

class BoundedMemory {
 public:
  BoundedMemory(Runtime* runtime, Memory kind, size_t bound_bytes)
      : runtime_(runtime),
        kind_(kind),
        bound_(bound_bytes) {}
  ~BoundedMemory();
  BoundedMemory(const BoundedMemory&) = delete;
  BoundedMemory& operator=(const BoundedMemory&) = delete;

  // Null over the bound, or if the device has no more; throws CudaError for other reasons. From any thread; the device
  // must be current.
  void* Allocate(size_t bytes);
  void Free(void* memory) noexcept;

  size_t bound() const { return bound_; }
  size_t used() const { return used_.load(); }
  size_t peak() const { return peak_.load(); }

 private:
  Runtime* runtime_;
  Memory kind_;
  size_t bound_;
  std::atomic<size_t> used_{0}, peak_{0};
  std::mutex mutex_;
  std::unordered_map<void*, size_t> sizes_;
};

}  // namespace fastpre::cuda
