// Whether a decoder wrote what it said it had: planes are marked at their left, middle and right in every eighth row,
// and a mark that is still there afterwards is an image that was not, or not wholly, written.
//
// A mark is up to 16 bytes that depend on where they are and on the batch, so a picture that happens to hold one has
// odds of 2^-128; planes narrower than kLeastWidth would have worse ones and are never given to such decoders.
#pragma once

#include "cuda/kernels/descriptor.h"
#include "cuda/kernels/thread_block.h"

namespace fastpre::cuda {

inline constexpr int kMarkBytes = 16;
inline constexpr int kMarkRows = 8;
inline constexpr int kMarks = 3;       // in a row
inline constexpr int kLeastWidth = 8;  // samples of a plane

FASTPRE_HD inline uint8_t MarkByte(uint32_t seed, int x, int y) {
  uint32_t h = seed ^ (static_cast<uint32_t>(x) * 0x9E3779B1u) ^ (static_cast<uint32_t>(y) * 0x85EBCA77u);
  h = (h ^ h >> 15) * 0x2C1B3C6Du;
  h = (h ^ h >> 12) * 0x297A2D39u;
  return static_cast<uint8_t>(h >> 24);
}

// One plane a block; one mark a turn of a thread.
template <class Block>
FASTPRE_HD void CanaryPlane(const Block& block, const CanaryLaunch& launch) {
  const CanaryTask& task = launch.tasks[block.index()];
  const int bytes = task.width < kMarkBytes ? task.width : kMarkBytes;
  // The last row of every eight, and the last one of all.
  const int rows = (task.height + kMarkRows - 1) / kMarkRows;
  block.Phase([&](int thread) {
    for (int i = thread; i < rows * kMarks; i += kThreads) {
      const int last = task.height - 1, row = i / kMarks * kMarkRows + kMarkRows - 1, y = row < last ? row : last;
      const int x = (task.width - bytes) / 2 * (i % kMarks) + (i % kMarks == 2 ? (task.width - bytes) % 2 : 0);
      uint8_t* const at = task.data + static_cast<ptrdiff_t>(y) * task.pitch + x;
      bool kept = true;
      for (int k = 0; k < bytes; ++k) {
        const uint8_t mark = MarkByte(launch.seed, x + k, y);
        if (launch.unwritten) {
          kept = kept && at[k] == mark;
        } else {
          at[k] = mark;
        }
      }
      if (launch.unwritten && kept) launch.unwritten[task.image] = 1;  // all threads write the same
    }
  });
}

}  // namespace fastpre::cuda
