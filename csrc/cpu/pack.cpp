// Taps rearranged into the order in which a kernel reads them.
#include <algorithm>
#include <cstring>

#include "cpu/kernels.h"

namespace fastpre {
namespace {

struct Digits {
  int8_t d[3];
};

// Balanced base-256 digits: each in [-128, 127].
Digits SplitDigits(int32_t w) {
  Digits r;
  r.d[0] = static_cast<int8_t>(w & 0xFF);
  w = (w - r.d[0]) / 256;
  r.d[1] = static_cast<int8_t>(w & 0xFF);
  w = (w - r.d[1]) / 256;
  r.d[2] = static_cast<int8_t>(w);
  return r;
}

int32_t WeightAt(const Taps& taps, int position, int k) {
  return k < taps.length[position] ? taps.weight[static_cast<size_t>(position) * taps.stride + k] : 0;
}

int Quads(int length) { return (length + kQuad - 1) / kQuad; }

// 32-bit words that four taps of one output position contribute, one word per multiply operand:
// kPairs: high(0,1) low(0,1) high(2,3) low(2,3); kDigits: d0(0..3) d1(0..3) d2(0..3).
int QuadWords(const KernelTable& kernels, const Taps& taps, int position, int first, uint32_t* words) {
  if (kernels.split == WeightSplit::kDigits) {
    uint8_t bytes[3][4];
    for (int t = 0; t < kQuad; ++t) {
      const Digits s = SplitDigits(WeightAt(taps, position, first + t));
      for (int d = 0; d < 3; ++d) bytes[d][t] = static_cast<uint8_t>(s.d[d]);
    }
    std::memcpy(words, bytes, sizeof(bytes));
    return 3;
  }
  int16_t pairs[4][2];
  for (int t = 0; t < kQuad; ++t) {
    const int32_t w = WeightAt(taps, position, first + t);
    pairs[t / 2 * 2][t % 2] = static_cast<int16_t>(w >> kPairShift);
    pairs[t / 2 * 2 + 1][t % 2] = static_cast<int16_t>(w & ((1 << kPairShift) - 1));
  }
  std::memcpy(words, pairs, sizeof(pairs));
  return 4;
}

}  // namespace

const KernelTable& KernelsFor(const KernelTable& preferred, const Taps& taps) {
  if (preferred.split == WeightSplit::kNone) return preferred;
  constexpr int32_t kLimit = 127 * 65536;  // of three balanced digits; pairs reach 2^26
  const bool fits = std::all_of(taps.weight.begin(), taps.weight.end(),
                                [](int32_t w) { return w >= -kLimit && w <= kLimit; });
  return fits ? preferred : *ScalarKernels();
}

// A group is 4 * lanes consecutive output pixels, computed as four vectors: vector v holds pixels
// 4 * b + v in its block b, so that packing the four vectors block by block restores their order.
//
//   group 0, lanes = 2:   vector 0: | pixel 0 | pixel 4 |   vector 1: | pixel 1 | pixel 5 |  ...
//
// weights: [group][vector][quad][operand][block][4 words], the four words alike (one per channel).
void PackHorizontal(const KernelTable& kernels, const Taps& taps, int origin, PackedTaps* packed) {
  packed->taps = &taps;
  packed->lanes = kernels.lanes;
  packed->overread_pixels = 0;
  if (kernels.split == WeightSplit::kNone) {
    packed->groups = 0;
    packed->offset.resize(taps.count);
    for (int i = 0; i < taps.count; ++i) packed->offset[i] = (taps.start[i] - origin) * kPixelBytes;
    return;
  }
  const int lanes = kernels.lanes, group_pixels = 4 * lanes;
  packed->groups = (taps.count + group_pixels - 1) / group_pixels;
  packed->offset.resize(static_cast<size_t>(packed->groups) * group_pixels);
  packed->quads.resize(packed->groups);
  packed->at.resize(packed->groups);
  const int operands = kernels.split == WeightSplit::kDigits ? 3 : 4;
  const size_t vector_bytes = static_cast<size_t>(lanes) * 16;
  size_t total = 0;
  const int end = taps.last();
  for (int g = 0; g < packed->groups; ++g) {
    int quads = 1;
    for (int p = 0; p < group_pixels; ++p) {
      const int i = std::min(g * group_pixels + p, taps.count - 1);
      packed->offset[g * group_pixels + p] = (taps.start[i] - origin) * kPixelBytes;
      quads = std::max(quads, Quads(taps.length[i]));
    }
    for (int p = 0; p < group_pixels; ++p) {
      const int i = std::min(g * group_pixels + p, taps.count - 1);
      packed->overread_pixels = std::max(packed->overread_pixels, taps.start[i] + quads * kQuad - end);
    }
    packed->quads[g] = quads;
    packed->at[g] = total;
    total += 4 * quads * operands * vector_bytes;
  }
  uint8_t* out = packed->weights.Reserve(total);
  for (int g = 0; g < packed->groups; ++g) {
    for (int v = 0; v < 4; ++v) {
      for (int q = 0; q < packed->quads[g]; ++q) {
        for (int b = 0; b < lanes; ++b) {
          const int i = g * group_pixels + 4 * b + v;
          uint32_t words[4] = {};
          if (i < taps.count) QuadWords(kernels, taps, i, q * kQuad, words);
          for (int o = 0; o < operands; ++o) {
            uint8_t* at = out + o * vector_bytes + b * 16;
            for (int channel = 0; channel < 4; ++channel) std::memcpy(at + 4 * channel, &words[o], 4);
          }
        }
        out += operands * vector_bytes;
      }
    }
  }
}

// weights: [row][quad][operand], one 32-bit word each, broadcast by the kernel.
void PackVertical(const KernelTable& kernels, const Taps& taps, PackedTaps* packed) {
  packed->taps = &taps;
  packed->lanes = kernels.lanes;
  packed->groups = taps.count;
  packed->quads.resize(taps.count);
  packed->at.resize(taps.count);
  size_t total = 0;
  const int operands = kernels.split == WeightSplit::kDigits ? 3 : 4;
  for (int i = 0; i < taps.count; ++i) {
    packed->quads[i] = Quads(taps.length[i]);
    packed->at[i] = total;
    if (kernels.split != WeightSplit::kNone) total += static_cast<size_t>(packed->quads[i]) * operands * 4;
  }
  if (kernels.split == WeightSplit::kNone) return;
  uint8_t* out = packed->weights.Reserve(total);
  for (int i = 0; i < taps.count; ++i) {
    for (int q = 0; q < packed->quads[i]; ++q) {
      uint32_t words[4] = {};
      QuadWords(kernels, taps, i, q * kQuad, words);
      std::memcpy(out, words, static_cast<size_t>(operands) * 4);
      out += operands * 4;
    }
  }
}

}  // namespace fastpre
