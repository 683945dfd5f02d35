// One image's own geometry in place of the Spec's: what random transforms drew for it.
//
//   oriented --flip--> --crop--> --resize--> --window, or what lies around it--> --mirror--> output
#pragma once

#include <array>
#include <cstdint>

#include "core/image.h"
#include "plan/spec.h"

namespace fastpre {

struct Box {
  int x = 0, y = 0, width = 0, height = 0;
};

struct Draw {
  bool flip_x = false, flip_y = false;  // of the oriented image, before everything else
  Box crop;                             // resampled as if nothing were around it: Pillow's crop, then its resize
  int resized_width = 0, resized_height = 0;
  Box window;                               // the output, in resized pixels; may begin before and end behind them
  bool mirror_x = false, mirror_y = false;  // of the output
  Filter filter = Filter::kBilinear;
  std::array<uint8_t, 3> fill{};  // RGB of output pixels outside the resized image; for "L" the first one
};

// The slot as it is before the mirroring.
OutputView Mirrored(const OutputView& out, const Draw* draw);

}  // namespace fastpre
