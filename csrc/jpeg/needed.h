// Which samples and MCUs the pixels of a rectangle take.
#pragma once

#include <algorithm>

#include "core/image.h"
#include "core/round.h"
#include "jpeg/frame.h"
#include "jpeg/groups.h"
#include "jpeg/upsample.h"

namespace fastpre {

// The samples of one component that the pixels of `source` depend on.
inline Rect NeededSamples(const Frame& frame, int component, const Rect& source) {
  const FrameComponent& c = frame.component[component];
  const int h = frame.hmax / c.h, v = frame.vmax / c.v;
  const Upsampling upsampling = ChooseUpsampling(c.width, h, v);
  const int beside = ReadsBeside(upsampling) ? 1 : 0, around = ReadsAboveAndBelow(upsampling) ? 1 : 0;
  return {std::max(source.x0 / h - beside, 0), std::max(source.y0 / v - around, 0),
          std::min(CeilDiv(source.x1, h) + beside, c.width), std::min(CeilDiv(source.y1, v) + around, c.height)};
}

// The MCUs that hold all of those; rows end before `y1`.
struct NeededMcus : McuColumns {
  int y1 = 0;
};
inline NeededMcus FindNeededMcus(const Frame& frame, const Rect& source) {
  NeededMcus mcus{{frame.mcus_x, 0, frame.mcus_y}, 0};
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
