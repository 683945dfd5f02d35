// Draws for tests: any crop, resize, window, flip and mirroring that an image has room for.
#pragma once

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "jpeg/header.h"
#include "jpeg_writer.h"
#include "plan/draw.h"
#include "plan/geometry.h"

namespace fastpre::test {

// A window of the size of the spec's crop. None for a stream without a header.
inline std::optional<Draw> RandomDraw(Choices& choose, Bytes stream, const Spec& spec) {
  int width, height;
  try {
    const Header header = ParseHeader(stream, spec.limits, spec.exif_orientation);
    const bool transpose = OrientationOf(header, spec, nullptr).transpose;
    width = transpose ? header.height : header.width;
    height = transpose ? header.width : header.height;
  } catch (const Error&) {
    return std::nullopt;
  }
  Draw d;
  d.flip_x = choose.OneIn(2), d.flip_y = choose.OneIn(2);
  d.mirror_x = choose.OneIn(2), d.mirror_y = choose.OneIn(2);
  d.crop.width = choose.Between(1, width), d.crop.height = choose.Between(1, height);
  d.crop.x = choose.Between(0, width - d.crop.width), d.crop.y = choose.Between(0, height - d.crop.height);
  const bool copies = choose.OneIn(4);
  d.resized_width = copies ? d.crop.width : choose.Between(1, 2 * spec.crop_width);
  d.resized_height = copies ? d.crop.height : choose.Between(1, 2 * spec.crop_height);
  d.window = {choose.Between(1 - spec.crop_width, d.resized_width - 1),
              choose.Between(1 - spec.crop_height, d.resized_height - 1), spec.crop_width, spec.crop_height};
  d.filter = static_cast<Filter>(choose.Below(6));
  for (uint8_t& value : d.fill) value = static_cast<uint8_t>(choose.Below(256));
  return d;
}

inline const Draw* Pointer(const std::optional<Draw>& draw) { return draw ? &*draw : nullptr; }

}  // namespace fastpre::test
