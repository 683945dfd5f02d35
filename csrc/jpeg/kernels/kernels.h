// The decoder's pixel arithmetic, one table per instruction set, bit for bit libjpeg-turbo's.
//
// Rows may be read and written up to kJpegSlack bytes past what a contract names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fastpre {

inline constexpr size_t kJpegSlack = 128;

// Blocks go through the inverse DCT four at a time, side by side: coefficient (row r, column c) of
// block b lies at [r * kGroupColumns + b * 8 + c], 64-byte aligned, so that one 512-bit vector is a
// row of all four, and narrower targets take two or one.
inline constexpr int kGroupBlocks = 4;
inline constexpr int kGroupColumns = 8 * kGroupBlocks;
inline constexpr int kGroupCoefficients = 8 * kGroupColumns;

struct JpegKernels {
  const char* name;  // as KernelTable::name
  int64_t target;    // Highway's bit; 0 for the plain C++ one

  // Takes the zero after each 0xFF out: copies from[0, size) to `to` up to the first 0xFF that no
  // zero follows. *used counts the bytes that were read; returns how many were written. `to` has room
  // for size + kJpegSlack bytes and does not overlap.
  size_t (*unstuff)(const uint8_t* from, size_t size, uint8_t* to, size_t* used);

  // Dequantizes (product mod 2^16, as libjpeg-turbo's SIMD code) and transforms four blocks by the
  // accurate integer method (ISLOW); quant is in natural order; writes 8 rows of 32 samples.
  // `last`: no coefficient after this zigzag position is nonzero in any of the four blocks.
  // Returns true if libjpeg-turbo's pixels may be others, so that these are not to be used: on x86, if a
  // dequantized coefficient of some first row is outside +-8191; elsewhere, if the magnitudes of a column
  // of them, or of a row between the passes, sum to 32767 or more (dct.h). Samples of 8 bits, quantized
  // without error, give 2885 and 11540 at most.
  bool (*idct)(const int16_t* coefficients, const int16_t* quant, int last, uint8_t* out, ptrdiff_t stride);

  // Reduced to N x N samples a block, N = 1..7, from the N x N lowest frequencies: N rows of 4 * N
  // samples. Not libjpeg's rounding: only fidelity="fast" uses it. Returns true if a dequantized coefficient of some
  // first row is outside +-8191, as `idct` does on x86. scaled[0] and scaled[8] are null.
  bool (*scaled[9])(const int16_t* coefficients, const int16_t* quant, uint8_t* out, ptrdiff_t stride);

  // Triangle ("fancy") upsampling of count samples. in[-1] and in[count] are read: at an image's
  // edge they repeat the edge sample, which gives libjpeg's special cases exactly.
  void (*h2v1)(const uint8_t* in, int count, uint8_t* out);                        // 2 * count
  void (*h2v2)(const uint8_t* near, const uint8_t* far, int count, uint8_t* out);  // 2 * count
  void (*h1v2)(const uint8_t* near, const uint8_t* far, int bias, int count,
               uint8_t* out);  // (3 near + far + bias) / 4

  // Rows of RGBX, X = 255.
  void (*ycc_to_rgbx)(const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int count, uint8_t* out);
  void (*gray_to_rgbx)(const uint8_t* y, int count, uint8_t* out);
  // out[4 * i + c] = in[c][i]
  void (*interleave4)(const uint8_t* const* in, int count, uint8_t* out);
  // out[c][i] = in[4 * i + c]
  void (*deinterleave4)(const uint8_t* in, int count, uint8_t* const* out);
};

std::vector<const JpegKernels*> AvailableJpegKernels();  // best first, the plain C++ one last

// The table for the instruction set that a KernelTable names, or the best one below it.
const JpegKernels& JpegKernelsFor(int64_t target);

}  // namespace fastpre
