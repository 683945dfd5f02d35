// One pixel's colours, for both devices: libjpeg's fixed point (jdcolor.c), and what Pillow does with CMYK and "L".
#pragma once

#include <cstdint>

#include "core/portable.h"
#include "jpeg/kernels/idct.h"

namespace fastpre {

struct Rgb {
  uint8_t r, g, b;
};

FASTPRE_HD inline Rgb YccToRgb(int y, int cb, int cr) {
  const int blue = cb - 128, red = cr - 128;
  return {jpeg::Clamp8(y + ((91881 * red + 32768) >> 16)),
          jpeg::Clamp8(y + ((-22554 * blue - 46802 * red + 32768) >> 16)),
          jpeg::Clamp8(y + ((116130 * blue + 32768) >> 16))};
}

// One ink of libjpeg's inverted CMYK, with `white` = 255 - K: Pillow's "CMYK;I" makes ink = 255 - value, and its
// CMYK -> RGB is 255 - K - C * (255 - K) / 255, the product rounded, the result clamped at 0.
FASTPRE_HD inline uint8_t InkToColor(int value, int white) {
  const int product = (255 - value) * white + 128;
  const int ink = ((product >> 8) + product) >> 8;
  return static_cast<uint8_t>(white > ink ? white - ink : 0);
}

// Y of ITU-R 601 in Pillow's 16-bit fixed point.
FASTPRE_HD inline uint8_t Luma(int r, int g, int b) {
  return static_cast<uint8_t>((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16);
}

}  // namespace fastpre
