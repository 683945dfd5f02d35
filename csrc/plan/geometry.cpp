#include "plan/geometry.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"

namespace fastpre {

Orientation DecomposeOrientation(int exif) {
  switch (exif) {
    case 2: return {false, true, false};  // mirrored left-right
    case 3: return {false, true, true};   // rotated by 180 degrees
    case 4: return {false, false, true};  // mirrored top-bottom
    case 5: return {true, false, false};  // transposed
    case 6: return {true, false, true};   // to be rotated 90 degrees clockwise
    case 7: return {true, true, true};    // transversed
    case 8: return {true, true, false};   // to be rotated 90 degrees counter-clockwise
    default: return {};
  }
}

namespace {

// torchvision: int(size * long / short), a true division of Python integers. The product stays
// below 2^53, so the double division rounds as Python's does.
int ScaledLong(int64_t size, int64_t numerator, int64_t denominator) {
  const double value = static_cast<double>(size * numerator) / static_cast<double>(denominator);
  if (value > 1e9) ThrowLimit("resized side of " + std::to_string(value) + " pixels");
  return static_cast<int>(value);
}

void ResizedSize(const Spec& spec, Geometry* g) {
  const int w = g->oriented_width, h = g->oriented_height;
  switch (spec.resize) {
    case Spec::Resize::kNone:
      g->resized_width = w;
      g->resized_height = h;
      return;
    case Spec::Resize::kExact:
      g->resized_width = spec.resize_width;
      g->resized_height = spec.resize_height;
      return;
    case Spec::Resize::kShorterSide: {
      const int shorter = std::min(w, h), longer = std::max(w, h);
      int new_short = spec.resize_width, new_long = ScaledLong(new_short, longer, shorter);
      if (spec.max_size > 0 && new_long > spec.max_size) {
        new_short = ScaledLong(spec.max_size, new_short, new_long);
        new_long = spec.max_size;
        if (new_short == 0) ThrowUnsupported("max_size=" + std::to_string(spec.max_size) + " leaves no pixels");
      }
      g->resized_width = w <= h ? new_short : new_long;
      g->resized_height = w <= h ? new_long : new_short;
      return;
    }
  }
}

// torchvision's center_crop along one axis: pads with zeros where the image is smaller, and
// rounds the offset half to even, as Python's round() does.
void CropAxis(int resized, int crop, int* out, int* window, int* window_size, int* pad) {
  if (crop == 0) crop = resized;
  *out = crop;
  if (crop > resized) {
    *pad = (crop - resized) / 2;
    *window = 0;
    *window_size = resized;
  } else {
    *pad = 0;
    *window = static_cast<int>(std::nearbyint((resized - crop) / 2.0));
    *window_size = crop;
  }
}

}  // namespace

Geometry ComputeGeometry(const ImageInfo& image, const Spec& spec) {
  Geometry g;
  const bool transpose = spec.exif_orientation && DecomposeOrientation(image.orientation).transpose;
  g.oriented_width = transpose ? image.height : image.width;
  g.oriented_height = transpose ? image.width : image.height;
  ResizedSize(spec, &g);
  CropAxis(g.resized_width, spec.crop_width, &g.out_width, &g.window_x, &g.window_width, &g.pad_left);
  CropAxis(g.resized_height, spec.crop_height, &g.out_height, &g.window_y, &g.window_height, &g.pad_top);
  constexpr int kMaxSide = 1 << 26;  // keeps bytes of a row in an int
  if (std::max({g.resized_width, g.resized_height, g.out_width, g.out_height}) > kMaxSide) {
    ThrowLimit("a side of more than " + std::to_string(kMaxSide) + " pixels");
  }
  // A thin image enlarged by its shorter side asks for a huge output (1 x 60000 -> 256 x 15M): Pillow would try.
  const int64_t most = std::max(spec.limits.max_output_pixels, image.pixels());
  if (int64_t{g.out_width} * g.out_height > most) {
    ThrowLimit("output of " + std::to_string(g.out_width) + "x" + std::to_string(g.out_height) +
               " pixels is over max_output_pixels=" + std::to_string(spec.limits.max_output_pixels));
  }
  return g;
}

namespace {

// An axis that is stored backwards is resampled backwards: positions are counted from the stored side.
ResampledAxis Stored(const ResampledAxis& a, bool flip) {
  return {a.in_size, a.out_size, flip ? a.out_size - a.begin - a.count : a.begin, a.count};
}

ResampledAxis Across(const Geometry& g) { return {g.oriented_width, g.resized_width, g.window_x, g.window_width}; }
ResampledAxis Down(const Geometry& g) { return {g.oriented_height, g.resized_height, g.window_y, g.window_height}; }

}  // namespace

ResampledAxis StoredColumns(const Geometry& geometry, const Orientation& orientation) {
  return Stored(orientation.transpose ? Down(geometry) : Across(geometry), orientation.flip_x);
}

ResampledAxis StoredRows(const Geometry& geometry, const Orientation& orientation) {
  return Stored(orientation.transpose ? Across(geometry) : Down(geometry), orientation.flip_y);
}

}  // namespace fastpre
