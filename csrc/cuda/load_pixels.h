// Samples to pixels: four neighbouring pixels of the stored image, upsampled and converted.
#pragma once

#include "core/portable.h"
#include "cuda/descriptor.h"
#include "jpeg/pixel.h"

namespace fastpre::cuda {

// Pixels and results are RGB0, red in the lowest byte.
FASTPRE_HD inline uint32_t PackRgb(Rgb c) { return c.r | c.g << 8 | static_cast<uint32_t>(c.b) << 16; }
FASTPRE_HD inline uint32_t PackGray(uint32_t v) { return v | v << 8 | v << 16; }

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

FASTPRE_HD inline uint32_t ToPixel(ColorModel model, bool luma, const int* c) {
  Rgb rgb{};
  switch (model) {
    case ColorModel::kGray: rgb.r = rgb.g = rgb.b = static_cast<uint8_t>(c[0]); break;
    case ColorModel::kRgb:
      rgb.r = static_cast<uint8_t>(c[0]);
      rgb.g = static_cast<uint8_t>(c[1]);
      rgb.b = static_cast<uint8_t>(c[2]);
      break;
    case ColorModel::kYcc: rgb = YccToRgb(c[0], c[1], c[2]); break;
    case ColorModel::kCmyk:
    case ColorModel::kYcck: {
      // YCCK is converted as if it were YCbCr: the inks are what is missing of each colour.
      if (model == ColorModel::kYcck) {
        rgb = YccToRgb(c[0], c[1], c[2]);
        rgb.r = static_cast<uint8_t>(255 - rgb.r);
        rgb.g = static_cast<uint8_t>(255 - rgb.g);
        rgb.b = static_cast<uint8_t>(255 - rgb.b);
      } else {
        rgb.r = static_cast<uint8_t>(c[0]);
        rgb.g = static_cast<uint8_t>(c[1]);
        rgb.b = static_cast<uint8_t>(c[2]);
      }
      rgb.r = InkToColor(rgb.r, c[3]);
      rgb.g = InkToColor(rgb.g, c[3]);
      rgb.b = InkToColor(rgb.b, c[3]);
      break;
    }
  }
  return luma ? PackGray(Luma(rgb.r, rgb.g, rgb.b)) : PackRgb(rgb);
}

// Any image. Out of line, so that what is rare takes no registers from what is not.
FASTPRE_HD FASTPRE_NOINLINE inline void LoadAnyQuad(const ResampleTask& task, int x, int y, uint32_t* out) {
  int value[4][4] = {};
  for (int c = 0; c < task.components; ++c) {
    const DevicePlane& p = task.plane[c];
    switch (p.upsampling) {
      case Upsampling::kNone: UpsampleQuad<Upsampling::kNone>(p, x, y, value[c]); break;
      case Upsampling::kH2V1: UpsampleQuad<Upsampling::kH2V1>(p, x, y, value[c]); break;
      case Upsampling::kH2V2: UpsampleQuad<Upsampling::kH2V2>(p, x, y, value[c]); break;
      case Upsampling::kH1V2: UpsampleQuad<Upsampling::kH1V2>(p, x, y, value[c]); break;
      case Upsampling::kRepeat: UpsampleQuad<Upsampling::kRepeat>(p, x, y, value[c]); break;
    }
  }
  for (int k = 0; k < 4; ++k) {
    const int components[4] = {value[0][k], value[1][k], value[2][k], value[3][k]};
    out[k] = ToPixel(task.color, task.luma, components);
  }
}

// YCbCr with luma at the image's resolution and both chroma planes alike: nearly every photograph.
template <Upsampling kChroma>
FASTPRE_HD void LoadYccQuad(const ResampleTask& task, int x, int y, uint32_t* out) {
  int luma[4], cb[4], cr[4];
  UpsampleQuad<Upsampling::kNone>(task.plane[0], x, y, luma);
  UpsampleQuad<kChroma>(task.plane[1], x, y, cb);
  UpsampleQuad<kChroma>(task.plane[2], x, y, cr);
  FASTPRE_UNROLL
  for (int k = 0; k < 4; ++k) {
    const Rgb rgb = YccToRgb(luma[k], cb[k], cr[k]);
    out[k] = task.luma ? PackGray(Luma(rgb.r, rgb.g, rgb.b)) : PackRgb(rgb);
  }
}

// The pixels x .. x + 3 of row y of the stored image; x is a multiple of 4.
FASTPRE_HD inline void LoadQuad(const ResampleTask& task, int x, int y, uint32_t* out) {
  const Upsampling chroma = task.plane[1].upsampling;
  if (task.color == ColorModel::kYcc && task.plane[0].upsampling == Upsampling::kNone &&
      task.plane[2].upsampling == chroma) {
    if (chroma == Upsampling::kH2V2) return LoadYccQuad<Upsampling::kH2V2>(task, x, y, out);
    if (chroma == Upsampling::kH2V1) return LoadYccQuad<Upsampling::kH2V1>(task, x, y, out);
    if (chroma == Upsampling::kNone) return LoadYccQuad<Upsampling::kNone>(task, x, y, out);
  }
  LoadAnyQuad(task, x, y, out);
}

}  // namespace fastpre::cuda
