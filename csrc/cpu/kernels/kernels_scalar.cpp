// The plain C++ bodies: the reference that every vector body is tested against.
#include <algorithm>
#include <array>

#include "cpu/kernels/kernels.h"
#include "jpeg/kernels/pixel.h"

namespace fastpre {
namespace {

void HorizontalRow(const uint8_t* row, const PackedTaps& packed, uint8_t* out) {
  const Taps& taps = *packed.taps;
  for (int i = 0; i < taps.count; ++i) {
    const int32_t* w = taps.weight.data() + static_cast<size_t>(i) * taps.stride;
    const uint8_t* p = row + packed.offset[i];
    uint32_t r = kTapRounding, g = kTapRounding, b = kTapRounding;
    for (int k = 0; k < taps.length[i]; ++k, p += kPixelBytes) {
      r += static_cast<uint32_t>(w[k]) * p[0];
      g += static_cast<uint32_t>(w[k]) * p[1];
      b += static_cast<uint32_t>(w[k]) * p[2];
    }
    out[4 * i] = TapsToByte(r);
    out[4 * i + 1] = TapsToByte(g);
    out[4 * i + 2] = TapsToByte(b);
    out[4 * i + 3] = 255;
  }
}

void Horizontal(const uint8_t* const* rows, int count, const PackedTaps& packed, uint8_t* const* out) {
  for (int r = 0; r < count; ++r) HorizontalRow(rows[r], packed, out[r]);
}

void Vertical(const uint8_t* const* rows, const PackedTaps& packed, int index, int bytes, uint8_t* out) {
  const Taps& taps = *packed.taps;
  const int32_t* w = taps.weight.data() + static_cast<size_t>(index) * taps.stride;
  for (int x = 0; x < bytes; ++x) {
    uint32_t sum = kTapRounding;
    for (int k = 0; k < taps.length[index]; ++k) sum += static_cast<uint32_t>(w[k]) * rows[k][x];
    out[x] = TapsToByte(sum);
  }
}

template <class T>
void Planar(const uint8_t* row, int count, const std::array<std::array<T, 256>, 3>& table, T* const* planes) {
  for (int c = 0; c < 3; ++c) {
    for (int x = 0; x < count; ++x) planes[c][x] = table[c][row[4 * x + c]];
  }
}

template <class T>
void Packed(const uint8_t* row, int count, const std::array<std::array<T, 256>, 3>& table, const int* order, T* out) {
  for (int x = 0; x < count; ++x) {
    for (int c = 0; c < 3; ++c) out[3 * x + c] = table[order[c]][row[4 * x + order[c]]];
  }
}

void PlanarF32(const uint8_t* row, int count, const Affine& affine, float* const* planes) {
  Planar(row, count, affine.f32, planes);
}

void PackedF32(const uint8_t* row, int count, const Affine& affine, const int* order, float* out) {
  Packed(row, count, affine.f32, order, out);
}

void PlanarU16(const uint8_t* row, int count, const Affine& affine, uint16_t* const* planes) {
  Planar(row, count, affine.u16, planes);
}

void PackedU16(const uint8_t* row, int count, const Affine& affine, const int* order, uint16_t* out) {
  Packed(row, count, affine.u16, order, out);
}

void PlanarU8(const uint8_t* row, int count, uint8_t* const* planes) {
  for (int c = 0; c < 3; ++c) {
    for (int x = 0; x < count; ++x) planes[c][x] = row[4 * x + c];
  }
}

void PackedU8(const uint8_t* row, int count, const int* order, uint8_t* out) {
  for (int x = 0; x < count; ++x) {
    for (int c = 0; c < 3; ++c) out[3 * x + c] = row[4 * x + order[c]];
  }
}

void LumaRow(uint8_t* row, int count) {
  for (int x = 0; x < count; ++x, row += 4) {
    row[0] = row[1] = row[2] = Luma(row[0], row[1], row[2]);
  }
}

constexpr KernelTable kScalar = {"SCALAR",  0,         1,         WeightSplit::kNone, false,    Horizontal, Vertical,
                                 PlanarF32, PackedF32, PlanarU16, PackedU16,          PlanarU8, PackedU8,   LumaRow};

}  // namespace

const KernelTable* ScalarKernels() { return &kScalar; }

}  // namespace fastpre
