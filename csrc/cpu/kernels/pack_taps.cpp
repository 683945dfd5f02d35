// Taps rearranged into the order in which a kernel reads them.
#include <algorithm>
#include <cstring>

#include "cpu/kernels/kernels.h"

namespace fastpre {
namespace {

int Quads(int length) { return (length + kQuad - 1) / kQuad; }

// A kernel's multiplier operands for four taps of one output position, one 32-bit word each:
//   kDigits: d0(0..3)  d1(0..3)  d2(0..3)
//   kPairs:  high(0,1)  low(0,1)  high(2,3)  low(2,3)
class Operands {
 public:
  Operands(WeightSplit split, const Taps& taps) : stride_(taps.stride) {
    const size_t n = taps.weight.size();
    const int32_t* w = taps.weight.data();
    if (split == WeightSplit::kDigits) {
      count_ = 3;
      step_ = 4;
      bytes_.resize(3 * n);
      for (int o = 0; o < 3; ++o) plane_[o] = bytes_.data() + o * n;
      for (size_t i = 0; i < n; ++i) {  // balanced base-256 digits, each in [-128, 127]
        const int32_t d0 = static_cast<int8_t>(w[i] & 0xFF), rest = (w[i] - d0) >> 8;
        const int32_t d1 = static_cast<int8_t>(rest & 0xFF);
        plane_[0][i] = static_cast<uint8_t>(d0);
        plane_[1][i] = static_cast<uint8_t>(d1);
        plane_[2][i] = static_cast<uint8_t>((rest - d1) >> 8);
      }
    } else {
      count_ = 4;
      step_ = 8;
      bytes_.resize(4 * n);
      auto* high = reinterpret_cast<int16_t*>(bytes_.data());
      auto* low = high + n;
      for (size_t i = 0; i < n; ++i) {
        high[i] = static_cast<int16_t>(w[i] >> kPairShift);
        low[i] = static_cast<int16_t>(w[i] & ((1 << kPairShift) - 1));
      }
      for (int o = 0; o < 4; ++o) plane_[o] = reinterpret_cast<uint8_t*>(o % 2 == 0 ? high : low) + 4 * (o / 2);
    }
  }
  int count() const { return count_; }
  uint32_t Word(int operand, int position, int quad) const {
    uint32_t word;
    const size_t tap = static_cast<size_t>(position) * stride_ + static_cast<size_t>(quad) * kQuad;
    std::memcpy(&word, plane_[operand] + tap / kQuad * step_, 4);
    return word;
  }

 private:
  int stride_, count_, step_;  // step: bytes of a plane per quad
  std::vector<uint8_t> bytes_;
  uint8_t* plane_[4];
};

// Output pixel of block b of vector v of a group. Kernels store a group's pixels in order whichever
// it is: a permuting kernel undoes the second order with one more permutation.
//
//   lanes = 2:   plain:    vector 0: | 0 | 4 |  vector 1: | 1 | 5 |  ...   (packing interleaves them)
//                permuted: vector 0: | 0 | 1 |  vector 1: | 2 | 3 |  ...   (neighbours: close taps)
int PixelOf(bool permuted, int lanes, int vector, int block) {
  return permuted ? vector * lanes + block : 4 * block + vector;
}

// Columns that vector `v` of group `g` spans from its lowest first tap, four taps included.
struct Span {
  int first, columns;
};
Span SpanOf(const Taps& taps, int lanes, int g, int v) {
  int low = taps.in_size, high = 0;
  for (int b = 0; b < lanes; ++b) {
    const int i = std::min(g * 4 * lanes + PixelOf(true, lanes, v, b), taps.count - 1);
    low = std::min(low, taps.start[i]);
    high = std::max(high, taps.start[i] + kQuad);
  }
  return {low, high - low};
}

bool CanPermute(const KernelTable& kernels, const Taps& taps, int groups) {
  if (!kernels.can_permute) return false;
  const int reach = kernels.lanes * kQuad;  // pixels in one vector
  for (int g = 0; g < groups; ++g) {
    for (int v = 0; v < 4; ++v) {
      if (SpanOf(taps, kernels.lanes, g, v).columns > reach) return false;
    }
  }
  return true;
}

}  // namespace

const KernelTable& KernelsFor(const KernelTable& preferred, const Taps& taps) {
  if (preferred.split == WeightSplit::kNone) return preferred;
  constexpr int32_t kLimit = 127 * 65536;  // of three balanced digits; pairs reach 2^26
  const bool fits =
      std::all_of(taps.weight.begin(), taps.weight.end(), [](int32_t w) { return w >= -kLimit && w <= kLimit; });
  return fits ? preferred : *ScalarKernels();
}

// A group is 4 * lanes consecutive output pixels, computed as four vectors.
// weights:     [group][vector][quad][operand][block][4 words, alike: one per channel]
// offset:      plain: per group and vector, [vector + 4 * block]; permuted: [vector], the lowest tap
// permutation: [group][vector][64 bytes]: which byte of one load each operand byte comes from
void PackHorizontal(const KernelTable& kernels, const Taps& taps, int origin, PackedTaps* packed) {
  packed->taps = &taps;
  packed->overread_pixels = 0;
  packed->permuted = false;
  if (kernels.split == WeightSplit::kNone) {
    packed->groups = 0;
    packed->offset.resize(taps.count);
    for (int i = 0; i < taps.count; ++i) packed->offset[i] = (taps.start[i] - origin) * kPixelBytes;
    return;
  }
  const int lanes = kernels.lanes, group_pixels = 4 * lanes;
  packed->groups = (taps.count + group_pixels - 1) / group_pixels;
  packed->permuted = CanPermute(kernels, taps, packed->groups);
  packed->offset.resize(static_cast<size_t>(packed->groups) * group_pixels);
  packed->quads.resize(packed->groups);
  const Operands operands(kernels.split, taps);
  const size_t words = static_cast<size_t>(lanes) * 4;  // per vector
  size_t total = 0;
  for (int g = 0; g < packed->groups; ++g) {
    int quads = 1;
    for (int i = g * group_pixels; i < std::min((g + 1) * group_pixels, taps.count); ++i) {
      quads = std::max(quads, Quads(taps.length[i]));
    }
    packed->quads[g] = quads;
    total += 4 * quads * operands.count() * words;
  }
  uint32_t* out = packed->weights.ReserveAs<uint32_t>(total);
  uint8_t* permutation =
      packed->permuted ? packed->permutation.Reserve(static_cast<size_t>(packed->groups) * 4 * words * 4) : nullptr;
  const int end = taps.last();
  for (int g = 0; g < packed->groups; ++g) {
    const int quads = packed->quads[g];
    int32_t* offset = packed->offset.data() + static_cast<size_t>(g) * group_pixels;
    for (int v = 0; v < 4; ++v) {
      const Span span = packed->permuted ? SpanOf(taps, lanes, g, v) : Span{0, 0};
      if (packed->permuted) offset[v] = (span.first - origin) * kPixelBytes;
      for (int b = 0; b < lanes; ++b) {
        const int i = g * group_pixels + PixelOf(packed->permuted, lanes, v, b);
        const int start = taps.start[std::min(i, taps.count - 1)];
        if (packed->permuted) {
          for (int channel = 0; channel < 4; ++channel) {
            for (int t = 0; t < kQuad; ++t) {
              *permutation++ = static_cast<uint8_t>((start - span.first + t) * kPixelBytes + channel);
            }
          }
        } else {
          offset[v + 4 * b] = (start - origin) * kPixelBytes;
        }
        const int first = packed->permuted ? span.first : start;
        const int reach = packed->permuted ? lanes * kQuad : kQuad;
        packed->overread_pixels = std::max(packed->overread_pixels, first + (quads - 1) * kQuad + reach - end);
        for (int q = 0; q < quads; ++q) {
          for (int o = 0; o < operands.count(); ++o) {
            const bool used = i < taps.count && q * kQuad < taps.stride;
            const uint32_t word = used ? operands.Word(o, i, q) : 0;
            uint32_t* at = out + (static_cast<size_t>(q) * operands.count() + o) * words + b * 4;
            at[0] = at[1] = at[2] = at[3] = word;
          }
        }
      }
      out += quads * operands.count() * words;
    }
  }
}

// weights: [row][quad][operand], one 32-bit word each, broadcast by the kernel.
void PackVertical(const KernelTable& kernels, const Taps& taps, PackedTaps* packed) {
  packed->taps = &taps;
  packed->groups = taps.count;
  packed->quads.resize(taps.count);
  packed->at.resize(taps.count);
  for (int i = 0; i < taps.count; ++i) packed->quads[i] = Quads(taps.length[i]);
  if (kernels.split == WeightSplit::kNone) return;
  const Operands operands(kernels.split, taps);
  size_t total = 0;
  for (int i = 0; i < taps.count; ++i) {
    packed->at[i] = total * sizeof(uint32_t);
    total += static_cast<size_t>(packed->quads[i]) * operands.count();
  }
  uint32_t* out = packed->weights.ReserveAs<uint32_t>(total);
  for (int i = 0; i < taps.count; ++i) {
    for (int q = 0; q < packed->quads[i]; ++q) {
      for (int o = 0; o < operands.count(); ++o) *out++ = operands.Word(o, i, q);
    }
  }
}

}  // namespace fastpre
