// The chooser: one table of kernels per instruction set, picked at run time.
//
// Pixels are RGBX, four bytes each, from the decoder to the last step: one 32-bit lane per pixel
// and one 128-bit block per four taps, on every instruction set. The X byte is never looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "plan/affine.h"
#include "plan/filter.h"

namespace fastpre {

inline constexpr int kPixelBytes = 4;
inline constexpr int kQuad = 4;  // taps handled by one 128-bit load

// How a 23-bit signed weight is split so that narrow multipliers can be used. Every split is
// exact: the parts are summed as 32-bit integers, which is what Pillow sums.
enum class WeightSplit : uint8_t {
  kNone,    // 32-bit weights (scalar)
  kPairs,   // w = high * 2^11 + low: two int16 x int16 multiply-adds per two taps
  kDigits,  // w = d2 * 2^16 + d1 * 2^8 + d0, |d| <= 128: three uint8 x int8 dot products per four taps
};
inline constexpr int kPairShift = 11;

// Taps laid out for one kernel. Horizontal: groups of `lanes` x 4 output pixels. Vertical: one
// entry per output row.
struct PackedTaps {
  const Taps* taps = nullptr;
  int groups = 0;
  // Horizontal, kernels with `can_permute`: the first taps of each vector's pixels lie so close
  // together that one load and one byte permutation (64 indices a vector) replace a load per pixel.
  bool permuted = false;
  Buffer permutation;
  std::vector<int32_t> offset;  // byte offset of each output pixel's first tap, 4 * lanes per group
  std::vector<int32_t> quads;   // quads of taps, per group (horizontal) or per row (vertical)
  std::vector<size_t> at;       // where a group's (row's) weights begin in `weights`, in bytes
  Buffer weights;
  int overread_pixels = 0;  // a row must be readable this far past the last pixel of the plan
};

// Contracts. Rows are RGBX; `out` of a kernel that writes pixels has room for kRowSlack bytes more.
struct KernelTable {
  const char* name;  // "SCALAR", "SSE4", "AVX2", "AVX3_DL", "NEON", ...
  int64_t target;    // Highway's bit; 0 for the plain C++ one
  int lanes;         // 128-bit blocks per vector
  WeightSplit split;

  bool can_permute;  // has a byte permutation across the whole vector

  // out[r][i] = resampled pixel i for i < taps.count, from rows[r], whose byte 0 is column `origin`,
  // for r < count <= kRowsAtOnce: rows share the loads of the weights.
  void (*horizontal)(const uint8_t* const* rows, int count, const PackedTaps& taps, uint8_t* const* out);
  // out[b] for b < bytes, from rows[k], k < 4 * taps.quads[index]; rows past the taps have weight 0.
  void (*vertical)(const uint8_t* const* rows, const PackedTaps& taps, int index, int bytes, uint8_t* out);
  // `count` pixels into planes[c], c < 3, each dense along x; or interleaved: out[3 * x + c] is
  // channel order[c]. Floats are normalized; 16-bit ones are the affine's u16 table's formats.
  void (*planar_f32)(const uint8_t* row, int count, const Affine& affine, float* const* planes);
  void (*packed_f32)(const uint8_t* row, int count, const Affine& affine, const int* order, float* out);
  void (*planar_u16)(const uint8_t* row, int count, const Affine& affine, uint16_t* const* planes);
  void (*packed_u16)(const uint8_t* row, int count, const Affine& affine, const int* order, uint16_t* out);
  void (*planar_u8)(const uint8_t* row, int count, uint8_t* const* planes);
  void (*packed_u8)(const uint8_t* row, int count, const int* order, uint8_t* out);
  // Y of ITU-R 601 in Pillow's 16-bit fixed point, into all three channels, in place.
  void (*luma)(uint8_t* row, int count);
};

inline constexpr int kRowsAtOnce = 2;
inline constexpr size_t kRowSlack = 256;  // bytes; one super-group of the widest kernel

std::vector<const KernelTable*> AvailableKernels();  // best first

// The best one, or the one that the environment variable FASTPRE_TARGET=<name> or SetTarget forces.
// Throws std::invalid_argument if FASTPRE_TARGET names none of AvailableKernels().
const KernelTable& ActiveKernels();
// Empty name: back to the best one. False if this CPU or build lacks it.
bool SetTarget(const std::string& name);

const KernelTable* ScalarKernels();

// The table that can run these taps: the scalar one for weights outside the splits' range, which
// no photograph reaches (a filter normalized by a sum close to zero).
const KernelTable& KernelsFor(const KernelTable& preferred, const Taps& taps);

void PackHorizontal(const KernelTable& kernels, const Taps& taps, int origin, PackedTaps* packed);
void PackVertical(const KernelTable& kernels, const Taps& taps, PackedTaps* packed);

}  // namespace fastpre
