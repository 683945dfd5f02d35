// How libjpeg brings a component to the image's resolution (jdsample.c).
#pragma once

#include <cstdint>

#include "core/portable.h"

namespace fastpre {

enum class Upsampling : uint8_t { kNone, kH2V1, kH2V2, kH1V2, kRepeat };

// `width`: the component's samples; `h`, `v`: pixels for each of them.
inline Upsampling ChooseUpsampling(int width, int h, int v) {
  if (h == 1 && v == 1) return Upsampling::kNone;
  const bool wide = width > 2;  // narrower ones are not worth a triangle to libjpeg
  if (h == 2 && v == 1 && wide) return Upsampling::kH2V1;
  if (h == 2 && v == 2 && wide) return Upsampling::kH2V2;
  if (h == 1 && v == 2) return Upsampling::kH1V2;
  return Upsampling::kRepeat;
}

inline bool ReadsBeside(Upsampling u) { return u == Upsampling::kH2V1 || u == Upsampling::kH2V2; }
inline bool ReadsAboveAndBelow(Upsampling u) { return u == Upsampling::kH2V2 || u == Upsampling::kH1V2; }

// Triangle filters: of two pixels between a sample and its neighbour, the nearer one. `even`: the pixel's
// coordinate is, so that the neighbour is the sample before.
FASTPRE_HD inline int TriangleH2V1(int sample, int neighbour, bool even) {
  return (3 * sample + neighbour + (even ? 1 : 2)) >> 2;
}
// Of sums that TriangleColumn made.
FASTPRE_HD inline int TriangleH2V2(int sum, int neighbour, bool even) {
  return (3 * sum + neighbour + (even ? 8 : 7)) >> 4;
}
FASTPRE_HD inline int TriangleColumn(int near, int far) { return 3 * near + far; }
FASTPRE_HD inline int TriangleH1V2(int near, int far, bool even) {
  return (TriangleColumn(near, far) + (even ? 1 : 2)) >> 2;
}

}  // namespace fastpre
