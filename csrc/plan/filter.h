// Pillow's resampling filters as integer taps, bit for bit.
//
// Source: Pillow's documented filters (Image.Resampling) and the fixed point of its 8-bit path:
// weights are normalized in double precision, then rounded to 22 bits (32 - 8 bits of pixel - 2
// bits of head-room for negative lobes).
#pragma once

#include <cstdint>
#include <vector>

#include "core/portable.h"
#include "plan/spec.h"

namespace fastpre {

inline constexpr int kTapBits = 22;

// A pass's sum begins with kTapRounding and ends as a byte. Sums wrap modulo 2^32; a legal one fits in 32 bits.
inline constexpr uint32_t kTapRounding = 1u << (kTapBits - 1);
FASTPRE_HD inline uint8_t TapsToByte(uint32_t sum) {
  const int32_t value = static_cast<int32_t>(sum) >> kTapBits;
  return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

// Taps of consecutive output positions along one axis, in the stored image's frame.
// out[i] = clip8((sum_t in[start[i] + t] * weight[i * stride + t] + 2^21) >> 22), t < length[i]
struct Taps {
  static constexpr int kStrideStep = 4;  // kernels take four taps at a time
  int in_size = 0;                       // pixels of the whole source axis
  int count = 0;                         // output positions
  int stride = 0;  // weights kept per position, a multiple of kStrideStep; those past length[i] are zero
  std::vector<int> start, length;
  std::vector<int32_t> weight;

  int first() const;    // lowest source index that any position reads
  int last() const;     // one past the highest
  int longest() const;  // largest length
  bool copies() const;  // position i is source pixel start[0] + i, unchanged
};

// Positions [begin, begin + count) of an axis resampled from `in_size` to `out_size` pixels.
Taps ComputeTaps(Filter filter, int in_size, int out_size, int begin, int count);

// The same taps where those `in_size` pixels begin at `offset` of an axis of `axis_size`.
Taps Within(Taps taps, int offset, int axis_size);

// The same for an axis that was decoded at another resolution: `samples` samples in all, each of which stands for
// `step` of its pixels (8 for a plane reduced to an eighth), of which `in_size` from `offset` on are resampled. For
// fidelity="fast".
Taps ComputeScaledTaps(Filter filter, int offset, int in_size, double step, int samples, int out_size, int begin,
                       int count);

// The same taps for an axis that is stored backwards: position i becomes count - 1 - i, and
// source index s becomes in_size - 1 - s. Sums are integer sums, so their order is free.
Taps Reversed(const Taps& taps);

}  // namespace fastpre
