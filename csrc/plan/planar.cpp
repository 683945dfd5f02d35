#include "plan/planar.h"

#include <algorithm>

#include "core/round.h"

namespace fastpre {
namespace {

struct Sampling {
  int h = 1, v = 1;  // pixels per sample at full size
};

Sampling SamplingOf(const ImageInfo& image, int c) {
  Sampling most;
  for (int i = 0; i < image.components; ++i) {
    most.h = std::max(most.h, image.sampling[i].h);
    most.v = std::max(most.v, image.sampling[i].v);
  }
  return {most.h / std::max(image.sampling[c].h, 1), most.v / std::max(image.sampling[c].v, 1)};
}

struct Axis {
  int in_size, out_size, begin, count;
};

// An axis that is stored backwards is resampled backwards: samples are counted from the stored side.
Axis Mirrored(Axis a) { return {a.in_size, a.out_size, a.out_size - a.begin - a.count, a.count}; }

// The stored frame's axes.
Axis ColumnAxis(const Plan& p) {
  const Geometry& g = p.geometry;
  const Axis axis = p.orientation.transpose ? Axis{g.oriented_height, g.resized_height, g.window_y, g.window_height}
                                            : Axis{g.oriented_width, g.resized_width, g.window_x, g.window_width};
  return p.orientation.flip_x ? Mirrored(axis) : axis;
}

Axis RowAxis(const Plan& p) {
  const Geometry& g = p.geometry;
  const Axis axis = p.orientation.transpose ? Axis{g.oriented_width, g.resized_width, g.window_x, g.window_width}
                                            : Axis{g.oriented_height, g.resized_height, g.window_y, g.window_height};
  return p.orientation.flip_y ? Mirrored(axis) : axis;
}

int SmallestScale(const Axis& axis, int step, int guard) {
  for (int n = 1; n < 8; ++n) {
    if (int64_t{axis.in_size} * n >= int64_t{axis.out_size} * guard * 8 * step) return n;
  }
  return 8;
}

int Scale(const Plan& plan, const Sampling& s, int guard) {
  return std::max(SmallestScale(ColumnAxis(plan), s.h, guard), SmallestScale(RowAxis(plan), s.v, guard));
}

}  // namespace

int LumaScale(const ImageInfo& image, const Spec& spec, const Plan& plan, int guard) {
  return spec.filter == Filter::kNearest ? 8 : Scale(plan, SamplingOf(image, 0), guard);
}

PlanarPlan ComputePlanarPlan(const ImageInfo& image, const Spec& spec, const Plan& plan, int scale) {
  PlanarPlan result;
  const Axis x = ColumnAxis(plan), y = RowAxis(plan);
  for (int i = 0; i < image.components; ++i) {
    const Sampling s = SamplingOf(image, i);
    result.same_sampling[i] = i;
    for (int k = i - 1; k >= 0; --k) {
      const Sampling other = SamplingOf(image, k);
      if (other.h == s.h && other.v == s.v) result.same_sampling[i] = k;
    }
    if (result.same_sampling[i] != i) continue;
    PlanePlan& p = result.plane[i];
    p.scale = scale > 0 ? scale : Scale(plan, s, kQualityGuard);
    p.width = CeilDiv(CeilDiv(x.in_size, s.h) * p.scale, 8);
    p.height = CeilDiv(CeilDiv(y.in_size, s.v) * p.scale, 8);
    const double step_x = 8.0 * s.h / p.scale, step_y = 8.0 * s.v / p.scale;
    p.columns = ComputeScaledTaps(spec.filter, x.in_size, step_x, p.width, x.out_size, x.begin, x.count);
    p.rows = ComputeScaledTaps(spec.filter, y.in_size, step_y, p.height, y.out_size, y.begin, y.count);
  }
  return result;
}

}  // namespace fastpre
