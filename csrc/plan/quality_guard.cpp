#include "plan/quality_guard.h"

#include <algorithm>

namespace fastpre {
namespace {

int SmallestScale(const ResampledAxis& axis, int step, int guard) {
  for (int n = 1; n < 8; ++n) {
    if (int64_t{axis.in_size} * n >= int64_t{axis.out_size} * guard * 8 * step) return n;
  }
  return 8;
}

}  // namespace

PixelsPerSample PixelsPerSampleOf(const ImageInfo& image, int c) {
  SamplingFactors most{1, 1};
  for (int i = 0; i < image.components; ++i) {
    most.h = std::max(most.h, image.sampling[i].h);
    most.v = std::max(most.v, image.sampling[i].v);
  }
  return {most.h / std::max(image.sampling[c].h, 1), most.v / std::max(image.sampling[c].v, 1)};
}

int SmallestScale(const Plan& plan, const PixelsPerSample& step, int guard) {
  return std::max(SmallestScale(StoredColumns(plan.geometry, plan.orientation), step.h, guard),
                  SmallestScale(StoredRows(plan.geometry, plan.orientation), step.v, guard));
}

int LumaScale(const ImageInfo& image, const Plan& plan, int guard) {
  return plan.filter == Filter::kNearest ? 8 : SmallestScale(plan, PixelsPerSampleOf(image, 0), guard);
}

}  // namespace fastpre
