// A kernel's block of threads, on a GPU or on the host.
//
// A block program is one function. What stands between its phases is the same for every thread: it may depend on the
// descriptors alone. A phase's body is run once for each thread, and all of that is over before anything after the
// phase begins. On a GPU a phase ends with a barrier. The emulator runs the threads of a phase one after another, in
// any order, so a body that depends on another thread of its phase shows as a difference between orders.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/portable.h"

namespace fastpre::cuda {

inline constexpr int kThreads = 256;
inline constexpr int kWarp = 32;

#if defined(__CUDACC__)
class DeviceBlock {
 public:
  FASTPRE_HD explicit DeviceBlock(uint8_t* shared) : shared_(shared) {}
  FASTPRE_HD uint8_t* shared() const { return shared_; }
  FASTPRE_HD uint32_t index() const {
#if defined(__CUDA_ARCH__)
    return blockIdx.x;
#else
    return 0;
#endif
  }
  template <class Body>
  FASTPRE_HD void Phase(const Body& body) const {
#if defined(__CUDA_ARCH__)
    body(static_cast<int>(threadIdx.x));
    __syncthreads();
#endif
  }

 private:
  uint8_t* shared_;
};
#endif

class HostBlock {
 public:
  // `order`: kThreads thread numbers.
  HostBlock(uint8_t* shared, uint32_t index, const int* order) : shared_(shared), index_(index), order_(order) {}
  uint8_t* shared() const { return shared_; }
  uint32_t index() const { return index_; }
  template <class Body>
  void Phase(const Body& body) const {
    for (int i = 0; i < kThreads; ++i) body(order_[i]);
  }

 private:
  uint8_t* shared_;
  uint32_t index_;
  const int* order_;
};

// Calls body(column, row) for this thread's share of `columns` x `rows`: a warp goes along a row, so neighbouring
// threads have neighbouring columns, and nothing is divided.
template <class Body>
FASTPRE_HD void ForEach(int thread, int columns, int rows, const Body& body) {
  for (int row = thread / kWarp; row < rows; row += kThreads / kWarp) {
    for (int column = thread % kWarp; column < columns; column += kWarp) body(column, row);
  }
}

// The task that tile `tile` of a launch belongs to: first[i] is task i's first tile, ascending.
FASTPRE_HD inline int FindTask(const uint32_t* first, int tasks, uint32_t tile) {
  int low = 0, high = tasks - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (first[middle] <= tile) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace fastpre::cuda
