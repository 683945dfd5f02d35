// Samples to pixels: four neighbouring pixels of the stored image, upsampled and converted.
#pragma once

#include "core/portable.h"
#include "cuda/descriptor.h"
#include "jpeg/pixel.h"

namespace fastpre::cuda {

// Pixels and results are RGBX, red in the lowest byte.
FASTPRE_HD inline uint32_t PackRgb(Rgb c) { return c.r | c.g << 8 | static_cast<uint32_t>(c.b) << 16; }
FASTPRE_HD inline uint32_t PackGray(uint32_t v) { return v | v << 8 | v << 16; }

FASTPRE_HD inline int Within(int value, int low, int end) { return value < low ? low : value >= end ? end - 1 : value; }

FASTPRE_HD inline const uint8_t* RowOf(const DevicePlane& p, int y) {
  return p.data + static_cast<ptrdiff_t>(Within(y, p.y0, p.y1) - p.y0) * p.pitch;
}

FASTPRE_HD inline int SampleAt(const DevicePlane& p, const uint8_t* row, int x) {
  return row[Within(x, p.x0, p.x1) - p.x0];
}

// Two samples and their neighbours to four pixels, whichever triangle that is.
template <class At, class Triangle>
FASTPRE_HD void Widen(const At& at, const Triangle& triangle, int* out) {
  const int before = at(-1), first = at(0), second = at(1), after = at(2);
  out[0] = triangle(first, before, true);
  out[1] = triangle(first, second, false);
  out[2] = triangle(second, first, true);
  out[3] = triangle(second, after, false);
}

// Component values of the pixels x .. x + 3 of row y; x is a multiple of 4.
FASTPRE_HD inline void UpsampleQuad(const DevicePlane& p, int x, int y, int* out) {
  switch (p.upsampling) {
    case Upsampling::kNone: {
      const uint8_t* const row = RowOf(p, y);
      for (int k = 0; k < 4; ++k) out[k] = SampleAt(p, row, x + k);
      return;
    }
    case Upsampling::kH2V1: {
      const uint8_t* const row = RowOf(p, y);
      Widen([&](int k) { return SampleAt(p, row, x / 2 + k); },
            [](int s, int n, bool even) { return TriangleH2V1(s, n, even); }, out);
      return;
    }
    case Upsampling::kH2V2: {
      const uint8_t *const near = RowOf(p, y / 2), *const far = RowOf(p, y % 2 == 0 ? y / 2 - 1 : y / 2 + 1);
      Widen([&](int k) { return TriangleColumn(SampleAt(p, near, x / 2 + k), SampleAt(p, far, x / 2 + k)); },
            [](int s, int n, bool even) { return TriangleH2V2(s, n, even); }, out);
      return;
    }
    case Upsampling::kH1V2: {
      const bool even = y % 2 == 0;
      const uint8_t *const near = RowOf(p, y / 2), *const far = RowOf(p, even ? y / 2 - 1 : y / 2 + 1);
      for (int k = 0; k < 4; ++k) out[k] = TriangleH1V2(SampleAt(p, near, x + k), SampleAt(p, far, x + k), even);
      return;
    }
    case Upsampling::kRepeat: {
      const uint8_t* const row = RowOf(p, y / p.v);
      for (int k = 0; k < 4; ++k) out[k] = SampleAt(p, row, (x + k) / p.h);
      return;
    }
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

// The pixels x .. x + 3 of row y of the stored image; x is a multiple of 4.
FASTPRE_HD inline void StageQuad(const ResampleTask& task, int x, int y, uint32_t* out) {
  // Indices known at compile time keep the array in registers.
  int value[4][4] = {};
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int c = 0; c < 4; ++c) {
    if (c < task.components) UpsampleQuad(task.plane[c], x, y, value[c]);
  }
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int k = 0; k < 4; ++k) {
    const int components[4] = {value[0][k], value[1][k], value[2][k], value[3][k]};
    out[k] = ToPixel(task.color, task.luma, components);
  }
}

}  // namespace fastpre::cuda
