// How fidelity="fast" reads an image: each component reduced by the decoder as far as the quality guard allows,
// and resampled from its own resolution; colours are converted at the output's size.
#pragma once

#include <array>

#include "plan/plan.h"

namespace fastpre {

struct PlanePlan {
  int scale = 8;              // samples of a block's side, 1..8
  int width = 0, height = 0;  // samples at that scale
  Taps columns, rows;         // in the stored frame, `start` in samples of the plane
};

struct PlanarPlan {
  std::array<PlanePlan, 4> plane;
  // Component i is resampled by plane[same_sampling[i]], the first one of its sampling; later ones are empty.
  std::array<int, 4> same_sampling{};
  const PlanePlan& of(int component) const { return plane[same_sampling[component]]; }
};

// For streams that the baseline decoder takes. `plan` is the image's exact plan. `scale`: that of every component, for
// decoders that know only one; 0: each component's own, by the guard.
PlanarPlan ComputePlanarPlan(const ImageInfo& image, const Plan& plan, int scale = 0);

}  // namespace fastpre
