// Colour conversions that libjpeg leaves to its caller, in Pillow's arithmetic.
#pragma once

#include <cstdint>

#include "jpeg/frame.h"
#include "jpeg/kernels/kernels.h"
#include "jpeg/kernels/pixel.h"

namespace fastpre {

// In place, right to left, so one byte a pixel can grow into four.
inline void GrayToRgbx(uint8_t* row, int pixels) {
  for (int x = pixels - 1; x >= 0; --x) {
    const uint8_t v = row[x];
    uint8_t* p = row + 4 * x;
    p[0] = p[1] = p[2] = v;
    p[3] = 255;
  }
}

// Adobe's inverted CMYK, as libjpeg delivers it, in place.
inline void InvertedCmykToRgbx(uint8_t* row, int pixels) {
  for (int x = 0; x < pixels; ++x, row += 4) {
    const int white = row[3];
    for (int c = 0; c < 3; ++c) row[c] = InkToColor(row[c], white);
    row[3] = 255;
  }
}

// YCCK, converted as if it were YCbCr: the inks are what is missing of each colour, the fourth plane is as
// it is.
inline void YccInkToCmyk(uint8_t* row, const uint8_t* k, int pixels) {
  for (int x = 0; x < pixels; ++x, row += 4) {
    for (int c = 0; c < 3; ++c) row[c] = static_cast<uint8_t>(255 - row[c]);
    row[3] = k[x];
  }
}

// Components at one resolution to RGBX; in[c] as JpegKernels wants them.
inline void PlanesToRgbx(ColorModel model, const JpegKernels& kernels, const uint8_t* const* in, int pixels,
                         uint8_t* out) {
  switch (model) {
    case ColorModel::kGray: kernels.gray_to_rgbx(in[0], pixels, out); break;
    case ColorModel::kYcc: kernels.ycc_to_rgbx(in[0], in[1], in[2], pixels, out); break;
    case ColorModel::kRgb: {
      const uint8_t* const rgbx[4] = {in[0], in[1], in[2], in[0]};
      kernels.interleave4(rgbx, pixels, out);
      break;
    }
    case ColorModel::kCmyk:
      kernels.interleave4(in, pixels, out);
      InvertedCmykToRgbx(out, pixels);
      break;
    case ColorModel::kYcck:
      kernels.ycc_to_rgbx(in[0], in[1], in[2], pixels, out);
      YccInkToCmyk(out, in[3], pixels);
      InvertedCmykToRgbx(out, pixels);
      break;
  }
}

}  // namespace fastpre
