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

Orientation OrientationOf(const ImageInfo& image, const Spec& spec, const Draw* draw) {
  Orientation o = spec.exif_orientation ? DecomposeOrientation(image.orientation) : Orientation{};
  if (!draw) return o;
  if (o.transpose ? draw->flip_y : draw->flip_x) o.flip_x = !o.flip_x;
  if (o.transpose ? draw->flip_x : draw->flip_y) o.flip_y = !o.flip_y;
  return o;
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

void BySpec(const Spec& spec, Geometry* g) {
  g->part = {0, 0, g->oriented_width, g->oriented_height};
  ResizedSize(spec, g);
  CropAxis(g->resized_width, spec.crop_width, &g->out_width, &g->window_x, &g->window_width, &g->pad_left);
  CropAxis(g->resized_height, spec.crop_height, &g->out_height, &g->window_y, &g->window_height, &g->pad_top);
}

// The part of [begin, begin + size) that lies in [0, resized), and what is left of it on the low side.
void ClipAxis(int resized, int begin, int size, int* window, int* window_size, int* pad) {
  const int64_t end = std::min<int64_t>(int64_t{begin} + size, resized);
  *window = std::max(begin, 0);
  *window_size = static_cast<int>(end - *window);
  *pad = *window - begin;
  if (*window_size <= 0) ThrowUnsupported("a crop that has nothing of the image");
}

void ByDraw(const Draw& draw, Geometry* g) {
  const Box& part = draw.crop;
  if (part.x < 0 || part.y < 0 || part.width < 1 || part.height < 1 || part.width > g->oriented_width - part.x ||
      part.height > g->oriented_height - part.y) {
    throw Error(ErrorKind::kIo, "its size changed during the call");
  }
  if (draw.resized_width < 1 || draw.resized_height < 1 || draw.window.width < 1 || draw.window.height < 1) {
    ThrowInternal("a draw of no pixels");
  }
  g->part = part;
  g->resized_width = draw.resized_width;
  g->resized_height = draw.resized_height;
  g->out_width = draw.window.width;
  g->out_height = draw.window.height;
  ClipAxis(g->resized_width, draw.window.x, g->out_width, &g->window_x, &g->window_width, &g->pad_left);
  ClipAxis(g->resized_height, draw.window.y, g->out_height, &g->window_y, &g->window_height, &g->pad_top);
}

}  // namespace

Geometry ComputeGeometry(const ImageInfo& image, const Spec& spec, const Draw* draw) {
  Geometry g;
  const bool transpose = OrientationOf(image, spec, draw).transpose;
  g.oriented_width = transpose ? image.height : image.width;
  g.oriented_height = transpose ? image.width : image.height;
  draw ? ByDraw(*draw, &g) : BySpec(spec, &g);
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
  if (!flip) return a;
  return {a.axis_size, a.axis_size - a.offset - a.in_size, a.in_size,
          a.out_size,  a.out_size - a.begin - a.count,     a.count};
}

ResampledAxis Across(const Geometry& g) {
  return {g.oriented_width, g.part.x, g.part.width, g.resized_width, g.window_x, g.window_width};
}
ResampledAxis Down(const Geometry& g) {
  return {g.oriented_height, g.part.y, g.part.height, g.resized_height, g.window_y, g.window_height};
}

}  // namespace

ResampledAxis StoredColumns(const Geometry& geometry, const Orientation& orientation) {
  return Stored(orientation.transpose ? Down(geometry) : Across(geometry), orientation.flip_x);
}

ResampledAxis StoredRows(const Geometry& geometry, const Orientation& orientation) {
  return Stored(orientation.transpose ? Across(geometry) : Down(geometry), orientation.flip_y);
}

OutputView Mirrored(const OutputView& out, const Draw* draw) {
  OutputView m = out;
  ptrdiff_t origin = 0;
  if (draw && draw->mirror_x) {
    origin += (m.width - 1) * m.stride_x;
    m.stride_x = -m.stride_x;
  }
  if (draw && draw->mirror_y) {
    origin += (m.height - 1) * m.stride_y;
    m.stride_y = -m.stride_y;
  }
  m.data = static_cast<uint8_t*>(m.data) + origin * static_cast<ptrdiff_t>(ElementSize(m.dtype));
  return m;
}

}  // namespace fastpre
