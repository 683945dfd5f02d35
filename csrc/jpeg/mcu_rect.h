// Which samples and MCUs the pixels of a rectangle need.
#pragma once

#include <algorithm>

#include "core/image.h"
#include "core/round.h"
#include "jpeg/frame.h"
#include "jpeg/kernels/upsample.h"

namespace fastpre {

// Half-open, in MCUs.
struct McuRect {
  int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

// The samples of one component that the pixels of `source` depend on.
inline Rect NeededSamples(const Frame& frame, int component, const Rect& source) {
  const FrameComponent& c = frame.component[component];
  const int h = frame.hmax / c.h, v = frame.vmax / c.v;
  const Upsampling upsampling = ChooseUpsampling(c.width, h, v);
  const int beside = ReadsBeside(upsampling) ? 1 : 0, around = ReadsAboveAndBelow(upsampling) ? 1 : 0;
  return {std::max(source.x0 / h - beside, 0), std::max(source.y0 / v - around, 0),
          std::min(CeilDiv(source.x1, h) + beside, c.width), std::min(CeilDiv(source.y1, v) + around, c.height)};
}

// The MCUs that hold all of those.
inline McuRect NeededMcus(const Frame& frame, const Rect& source) {
  McuRect mcus{frame.mcus_x, frame.mcus_y, 0, 0};
  for (int i = 0; i < frame.components; ++i) {
    const FrameComponent& c = frame.component[i];
    const Rect samples = NeededSamples(frame, i, source);
    mcus.x0 = std::min(mcus.x0, samples.x0 / (8 * c.h));
    mcus.x1 = std::max(mcus.x1, CeilDiv(samples.x1, 8 * c.h));
    mcus.y0 = std::min(mcus.y0, samples.y0 / (8 * c.v));
    mcus.y1 = std::max(mcus.y1, CeilDiv(samples.y1, 8 * c.v));
  }
  return mcus;
}

}  // namespace fastpre
