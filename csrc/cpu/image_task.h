// One image on its way through the CPU backend.
#pragma once

#include "core/helper_threads.h"
#include "core/image.h"
#include "core/record.h"
#include "jpeg/header.h"
#include "plan/affine.h"
#include "plan/plan.h"
#include "plan/spec.h"

namespace fastpre {

struct ImageTask {
  const Spec& spec;
  const Affine& affine;
  OutputView out;  // every element is written on success; on failure some may be
  Record* record;
  HelperThreads* helpers = nullptr;  // may help with a large image
  const Draw* draw = nullptr;        // its geometry; null: the Spec's. `out` is mirrored already where it says so

  // Filled in on the way.
  Bytes bytes{};
  Header header{};
  Plan plan{};
};

}  // namespace fastpre
