#include "plan/plan.h"

namespace fastpre {
namespace {

// Pillow 13 resizes vertically first where the height shrinks by more than twice as many pixels as
// the width does (python-pillow/Pillow#9549). The rule was found by experiment, at its borders:
// tests/exact/test_pass_order.py repeats it against the installed Pillow.
bool VerticalFirst(const Geometry& g) {
  return g.resized_height < g.part.height &&
         int64_t{g.part.height} - g.resized_height > 2 * (int64_t{g.part.width} - g.resized_width);
}

}  // namespace

// libjpeg-turbo on photographs: entropy decoding takes about 7 ns a byte (0.8 ms for 110 KB), the rest
// of decoding about 1 ns a pixel; our own decoder takes half of both. Rough is enough: only the order of a
// batch depends on it.
double DecodeCost(size_t bytes, int64_t pixels) {
  return 7.0 * static_cast<double>(bytes) + static_cast<double>(pixels);
}

Plan ComputePlan(const ImageInfo& image, const Spec& spec, const Draw* draw) {
  Plan p;
  p.geometry = ComputeGeometry(image, spec, draw);
  p.orientation = OrientationOf(image, spec, draw);
  p.filter = draw ? draw->filter : spec.filter;
  if (draw) p.fill = draw->fill;
  const Geometry& g = p.geometry;
  Taps x = Within(ComputeTaps(p.filter, g.part.width, g.resized_width, g.window_x, g.window_width), g.part.x,
                  g.oriented_width);
  Taps y = Within(ComputeTaps(p.filter, g.part.height, g.resized_height, g.window_y, g.window_height), g.part.y,
                  g.oriented_height);
  const bool vertical_first = spec.pass_order == PassOrder::kAdaptive && VerticalFirst(g);
  p.vertical_first = p.orientation.transpose != vertical_first;
  p.columns = p.orientation.transpose ? std::move(y) : std::move(x);
  p.rows = p.orientation.transpose ? std::move(x) : std::move(y);
  if (p.orientation.flip_x) p.columns = Reversed(p.columns);
  if (p.orientation.flip_y) p.rows = Reversed(p.rows);
  p.source = {p.columns.first(), p.rows.first(), p.columns.last(), p.rows.last()};
  p.cost = DecodeCost(image.bytes, image.pixels());
  return p;
}

Plan ComputePlan(const ImageInfo& image, const Spec& spec, const Draw* draw, const OutputView& out, Record* record) {
  Plan p = ComputePlan(image, spec, draw);
  record->width = p.geometry.oriented_width;
  record->height = p.geometry.oriented_height;
  if (p.geometry.out_width != out.width || p.geometry.out_height != out.height) {
    throw Error(ErrorKind::kIo, "its size changed during the call");
  }
  return p;
}

Placement ComputePlacement(const Plan& plan, const OutputView& out) {
  const Geometry& g = plan.geometry;
  Placement p;
  p.origin = g.pad_top * out.stride_y + g.pad_left * out.stride_x;
  p.column_step = plan.orientation.transpose ? out.stride_y : out.stride_x;
  p.row_step = plan.orientation.transpose ? out.stride_x : out.stride_y;
  if (plan.orientation.flip_x) {
    p.origin += (plan.columns.count - 1) * p.column_step;
    p.column_step = -p.column_step;
  }
  if (plan.orientation.flip_y) {
    p.origin += (plan.rows.count - 1) * p.row_step;
    p.row_step = -p.row_step;
  }
  return p;
}

}  // namespace fastpre
