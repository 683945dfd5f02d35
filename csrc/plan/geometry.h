// Sizes and windows, before any pixel: image and spec in, integers out.
#pragma once

#include "core/image.h"
#include "core/image_info.h"
#include "plan/draw.h"
#include "plan/spec.h"

namespace fastpre {

// All sizes are of the oriented image unless said otherwise.
//
//   source (stored) --orientation--> oriented --part--> --resize--> virtual output --crop/pad--> output
//
struct Geometry {
  int oriented_width = 0, oriented_height = 0;
  Box part;  // of the oriented image; resampled as if nothing were around it. All of it without a Draw
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
// How the frame that a plan calls oriented lies in the stored one: EXIF, and the draw's first flips.
Orientation OrientationOf(const ImageInfo& image, const Spec& spec, const Draw* draw);

// By the draw where there is one, else by the Spec's resize and crop. Throws Error(kIo) for a draw that reaches past
// the image: it was made for another one, and a file may have changed since.
Geometry ComputeGeometry(const ImageInfo& image, const Spec& spec, const Draw* draw = nullptr);

// One axis of the stored frame, of `axis_size` pixels: `count` positions from `begin` on, of the `in_size` pixels from
// `offset` on, resampled to `out_size`.
struct ResampledAxis {
  int axis_size, offset, in_size, out_size, begin, count;
};
ResampledAxis StoredColumns(const Geometry& geometry, const Orientation& orientation);
ResampledAxis StoredRows(const Geometry& geometry, const Orientation& orientation);

}  // namespace fastpre
