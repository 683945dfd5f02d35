// Samples to pixels: four neighbouring pixels of the stored image, upsampled and converted.
#pragma once

#include "core/portable.h"
#include "cuda/kernels/descriptor.h"
#include "cuda/kernels/upsample.h"
#include "jpeg/kernels/pixel.h"

namespace fastpre::cuda {

// Pixels and results are RGB0, red in the lowest byte.
FASTPRE_HD inline uint32_t PackRgb(Rgb c) { return c.r | c.g << 8 | static_cast<uint32_t>(c.b) << 16; }
FASTPRE_HD inline uint32_t PackGray(uint32_t v) { return v | v << 8 | v << 16; }

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
