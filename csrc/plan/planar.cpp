#include "plan/planar.h"

#include "core/round.h"
#include "plan/quality_guard.h"

namespace fastpre {

PlanarPlan ComputePlanarPlan(const ImageInfo& image, const Plan& plan, int scale) {
  PlanarPlan result;
  const ResampledAxis x = StoredColumns(plan.geometry, plan.orientation);
  const ResampledAxis y = StoredRows(plan.geometry, plan.orientation);
  for (int i = 0; i < image.components; ++i) {
    const PixelsPerSample s = PixelsPerSampleOf(image, i);
    result.same_sampling[i] = i;
    for (int k = i - 1; k >= 0; --k) {
      const PixelsPerSample other = PixelsPerSampleOf(image, k);
      if (other.h == s.h && other.v == s.v) result.same_sampling[i] = k;
    }
    if (result.same_sampling[i] != i) continue;
    PlanePlan& p = result.plane[i];
    p.scale = scale > 0 ? scale : SmallestScale(plan, s);
    p.width = CeilDiv(CeilDiv(x.axis_size, s.h) * p.scale, 8);
    p.height = CeilDiv(CeilDiv(y.axis_size, s.v) * p.scale, 8);
    const double step_x = 8.0 * s.h / p.scale, step_y = 8.0 * s.v / p.scale;
    p.columns = ComputeScaledTaps(plan.filter, x.offset, x.in_size, step_x, p.width, x.out_size, x.begin, x.count);
    p.rows = ComputeScaledTaps(plan.filter, y.offset, y.in_size, step_y, p.height, y.out_size, y.begin, y.count);
  }
  return result;
}

}  // namespace fastpre
