// Sparse quantized coefficients to samples: dequantizing and the accurate integer inverse DCT (jpeg/kernels/idct.h), 32
// blocks of one component a tile, eight threads a block.
#pragma once

#include "cuda/kernels/descriptor.h"
#include "cuda/kernels/thread_block.h"
#include "jpeg/kernels/idct.h"
#include "jpeg/sparse_format.h"

namespace fastpre::cuda {

inline constexpr int kBlockThreads = 8;
inline constexpr int kTileBlocks = kThreads / kBlockThreads;
// Coefficients from one block to the next in shared memory: 64, and 8 so that the four blocks of a warp use other
// banks.
inline constexpr int kSharedBlock = 72;
inline constexpr size_t kIdctShared = sizeof(int16_t) * kSharedBlock * kTileBlocks;

struct alignas(8) EightSamples {
  uint8_t v[8];
};

FASTPRE_HD inline void ScatterBlock(const IdctTask& task, int block, int lane, int16_t* out) {
  const uint16_t* const words = task.words + task.offset[block];
  const uint8_t head = task.count[block];
  const int entries = head & kEntryCount;
  if (lane == 0) out[0] = static_cast<int16_t>(words[0]);
  if (head & kWideEntries) {
    for (int e = lane; e < entries; e += kBlockThreads)
      out[words[1 + 2 * e] & 63] = static_cast<int16_t>(words[2 + 2 * e]);
  } else {
    for (int e = lane; e < entries; e += kBlockThreads) {
      const int16_t entry = static_cast<int16_t>(words[1 + e]);
      out[entry & 63] = static_cast<int16_t>(entry >> 6);
    }
  }
}

template <class Block>
FASTPRE_HD void IdctTile(const Block& block, const IdctLaunch& launch) {
  const int index = FindTask(launch.first_tile, launch.count, block.index());
  const IdctTask& task = launch.tasks[index];
  const int first = static_cast<int>(block.index() - launch.first_tile[index]) * kTileBlocks;
  int16_t* const coefficients = reinterpret_cast<int16_t*>(block.shared());

  // A warp's eight threads of a block, and what they share.
  const auto part = [&](int thread, const auto& body) {
    const int number = first + thread / kBlockThreads;
    if (number < task.blocks)
      body(number, thread % kBlockThreads, coefficients + thread / kBlockThreads * kSharedBlock);
  };
  block.Phase([&](int thread) {
    part(thread, [&](int, int lane, int16_t* c) {
      for (int i = 0; i < 8; ++i) c[8 * i + lane] = 0;
    });
  });
  block.Phase([&](int thread) {
    part(thread, [&](int number, int lane, int16_t* c) { ScatterBlock(task, number, lane, c); });
  });
  block.Phase([&](int thread) {
    part(thread, [&](int, int column, int16_t* c) {
      int16_t v[8];
      for (int r = 0; r < 8; ++r) v[r] = jpeg::Dequantized(c[8 * r + column], task.quant[8 * r + column]);
      jpeg::EightPoint(v, 1, jpeg::kPass1Shift);
      for (int r = 0; r < 8; ++r) c[8 * r + column] = v[r];
    });
  });
  block.Phase([&](int thread) {
    part(thread, [&](int number, int row, int16_t* c) {
      int16_t v[8];
      for (int i = 0; i < 8; ++i) v[i] = c[8 * row + i];
      jpeg::EightPoint(v, 1, jpeg::kPass2Shift);
      EightSamples samples;
      for (int i = 0; i < 8; ++i) samples.v[i] = jpeg::Sample(v[i]);
      const int x = number % task.blocks_x, y = number / task.blocks_x;
      uint8_t* const out = task.out + static_cast<ptrdiff_t>(8 * y + row) * task.pitch + 8 * x;
      *reinterpret_cast<EightSamples*>(out) = samples;
    });
  });
}

}  // namespace fastpre::cuda
