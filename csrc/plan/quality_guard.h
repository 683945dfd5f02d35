// How far fidelity="fast" may reduce an image's components while they are decoded.
#pragma once

#include "core/image_info.h"
#include "plan/plan.h"
#include "plan/spec.h"

namespace fastpre {

// A plane keeps at least so many samples per output pixel along each axis, or all it has: a block's low
// frequencies are a good low-pass filter, but not the one that was asked for.
inline constexpr int kQualityGuard = 2;

// Pixels for each sample of component c along both axes.
struct PixelsPerSample {
  int h = 1, v = 1;
};
PixelsPerSample PixelsPerSampleOf(const ImageInfo& image, int c);

// The smallest n of 1..8 such that blocks of n x n samples keep `guard` samples per output pixel.
int SmallestScale(const Plan& plan, const PixelsPerSample& step, int guard = kQualityGuard);

// The scale of the first component, without the taps. Where it is 8 the decoder saves nothing, and planes cost
// as much as exact fidelity or up to a third more (docs/performance.md), so the image is processed exactly.
// Nearest is always exact: it picks single pixels, which a reduced plane does not have.
int LumaScale(const ImageInfo& image, const Plan& plan, int guard = kQualityGuard);

}  // namespace fastpre
