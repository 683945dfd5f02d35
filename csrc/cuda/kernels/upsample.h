// Samples of one component at the image's resolution, four neighbouring pixels at a time, by libjpeg's triangle filters
// (jpeg/kernels/upsample.h).
#pragma once

#include "core/portable.h"
#include "cuda/kernels/descriptor.h"
#include "jpeg/kernels/upsample.h"

namespace fastpre::cuda {

FASTPRE_HD inline int Within(int value, int low, int end) { return value < low ? low : value >= end ? end - 1 : value; }

FASTPRE_HD inline const uint8_t* RowOf(const DevicePlane& p, int y) {
  return p.data + static_cast<ptrdiff_t>(Within(y, p.y0, p.y1) - p.y0) * p.pitch;
}

FASTPRE_HD inline int SampleAt(const DevicePlane& p, const uint8_t* row, int x) {
  return ReadOnly(row + (Within(x, p.x0, p.x1) - p.x0));
}

// Four neighbouring samples of a row, the first at column x: one load where they are aligned and all there.
FASTPRE_HD inline void LoadFour(const DevicePlane& p, const uint8_t* row, int x, int* out) {
  const uint8_t* const at = row + (x - p.x0);
  if (x >= p.x0 && x + 4 <= p.x1 && reinterpret_cast<uintptr_t>(at) % sizeof(uint32_t) == 0) {
    const uint32_t four = ReadOnly(reinterpret_cast<const uint32_t*>(at));
    FASTPRE_UNROLL
    for (int k = 0; k < 4; ++k) out[k] = four >> (8 * k) & 255;
  } else {
    FASTPRE_UNROLL
    for (int k = 0; k < 4; ++k) out[k] = SampleAt(p, row, x + k);
  }
}

// The samples from column x - 1 to x + 2, x even: two and their neighbours make four pixels.
FASTPRE_HD inline void LoadPair(const DevicePlane& p, const uint8_t* row, int x, int* out) {
  const uint8_t* const at = row + (x - p.x0);
  if (x > p.x0 && x + 3 <= p.x1 && reinterpret_cast<uintptr_t>(at) % sizeof(uint16_t) == 0) {
    const uint16_t two = ReadOnly(reinterpret_cast<const uint16_t*>(at));
    out[0] = ReadOnly(at - 1);
    out[1] = two & 255;
    out[2] = two >> 8;
    out[3] = ReadOnly(at + 2);
  } else {
    FASTPRE_UNROLL
    for (int k = 0; k < 4; ++k) out[k] = SampleAt(p, row, x - 1 + k);
  }
}

// Component values of the pixels x .. x + 3 of row y; x is a multiple of 4.
template <Upsampling kUpsampling>
FASTPRE_HD void UpsampleQuad(const DevicePlane& p, int x, int y, int* out) {
  const bool even = y % 2 == 0;
  if constexpr (kUpsampling == Upsampling::kNone) {
    LoadFour(p, RowOf(p, y), x, out);
  } else if constexpr (kUpsampling == Upsampling::kH2V1) {
    int s[4];
    LoadPair(p, RowOf(p, y), x / 2, s);
    out[0] = TriangleH2V1(s[1], s[0], true);
    out[1] = TriangleH2V1(s[1], s[2], false);
    out[2] = TriangleH2V1(s[2], s[1], true);
    out[3] = TriangleH2V1(s[2], s[3], false);
  } else if constexpr (kUpsampling == Upsampling::kH2V2) {
    int near[4], far[4], s[4];
    LoadPair(p, RowOf(p, y / 2), x / 2, near);
    LoadPair(p, RowOf(p, even ? y / 2 - 1 : y / 2 + 1), x / 2, far);
    FASTPRE_UNROLL
    for (int k = 0; k < 4; ++k) s[k] = TriangleColumn(near[k], far[k]);
    out[0] = TriangleH2V2(s[1], s[0], true);
    out[1] = TriangleH2V2(s[1], s[2], false);
    out[2] = TriangleH2V2(s[2], s[1], true);
    out[3] = TriangleH2V2(s[2], s[3], false);
  } else if constexpr (kUpsampling == Upsampling::kH1V2) {
    int near[4], far[4];
    LoadFour(p, RowOf(p, y / 2), x, near);
    LoadFour(p, RowOf(p, even ? y / 2 - 1 : y / 2 + 1), x, far);
    FASTPRE_UNROLL
    for (int k = 0; k < 4; ++k) out[k] = TriangleH1V2(near[k], far[k], even);
  } else {
    const uint8_t* const row = RowOf(p, y / p.v);
    for (int k = 0; k < 4; ++k) out[k] = SampleAt(p, row, (x + k) / p.h);
  }
}

}  // namespace fastpre::cuda
