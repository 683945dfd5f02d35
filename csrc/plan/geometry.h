// Sizes and windows, before any pixel: image and spec in, integers out.
#pragma once

#include "core/image.h"
#include "core/image_info.h"
#include "plan/spec.h"

namespace fastpre {

// All sizes are of the oriented image unless said otherwise.
//
//   source (stored) --orientation--> oriented --resize--> virtual output --crop/pad--> output
//
struct Geometry {
  int oriented_width = 0, oriented_height = 0;
  int resized_width = 0, resized_height = 0;  // the "virtual output": never computed whole
  int out_width = 0, out_height = 0;          // the tensor slot
  // Part of the virtual output that lands in the slot, and where: the rest of the slot is padding.
  int window_x = 0, window_y = 0, window_width = 0, window_height = 0;
  int pad_left = 0, pad_top = 0;
};

// EXIF orientations 5..8 swap the axes; `flip_*` are in the stored image's frame, that is, the
// stored x (y) axis runs against the oriented axis that it maps to.
struct Orientation {
  bool transpose = false, flip_x = false, flip_y = false;
};
Orientation DecomposeOrientation(int exif);

Geometry ComputeGeometry(const ImageInfo& image, const Spec& spec);

// One axis of the stored frame: `count` positions from `begin` on of `in_size` pixels resampled to `out_size`.
struct ResampledAxis {
  int in_size, out_size, begin, count;
};
ResampledAxis StoredColumns(const Geometry& geometry, const Orientation& orientation);
ResampledAxis StoredRows(const Geometry& geometry, const Orientation& orientation);

}  // namespace fastpre
