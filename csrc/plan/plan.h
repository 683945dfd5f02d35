// The pivot: everything that will be done to one image, decided before a pixel is decoded.
// Backends execute plans; they decide nothing about geometry.
#pragma once

#include <array>
#include <cstdint>

#include "core/image.h"
#include "core/image_info.h"
#include "core/record.h"
#include "plan/draw.h"
#include "plan/filter.h"
#include "plan/geometry.h"
#include "plan/spec.h"

namespace fastpre {

struct Plan {
  Geometry geometry;
  Orientation orientation;
  Filter filter = Filter::kBilinear;
  std::array<uint8_t, 3> fill{};  // 8-bit RGB around the window
  Rect source;                    // stored pixels that the output depends on
  Taps columns, rows;             // in the stored frame, ascending; `start` counts from the image's origin
  // The pass down the columns of the stored frame comes first. Pillow's order is that of the
  // *oriented* image, so EXIF orientations 5..8 turn it round.
  bool vertical_first = false;

  double cost = 0;  // DecodeCost of this image
};

// Predicted time in arbitrary units, for scheduling: the pool starts the costliest image first.
double DecodeCost(size_t bytes, int64_t pixels);

// `draw`: null where the image goes by the Spec's geometry.
Plan ComputePlan(const ImageInfo& image, const Spec& spec, const Draw* draw);
// The same for an image whose slot is there; its size goes into the record. Throws Error(kIo) if the slot was made for
// another size: it came from a first look at the header, and a file may have changed since.
Plan ComputePlan(const ImageInfo& image, const Spec& spec, const Draw* draw, const OutputView& out, Record* record);

// Where position (column i, row j) of the stored frame lands in the slot.
struct Placement {
  ptrdiff_t origin = 0;  // element offset of (0, 0) for channel 0
  ptrdiff_t column_step = 0, row_step = 0;
};
Placement ComputePlacement(const Plan& plan, const OutputView& out);

}  // namespace fastpre
