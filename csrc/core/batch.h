// One call's images, for either backend.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "core/call_context.h"
#include "core/image.h"
#include "core/source.h"

namespace fastpre {

struct Affine;
struct Draw;
struct Spec;

// What it points to must outlive the call.
struct Batch {
  const std::vector<Source>* sources = nullptr;
  const Spec* spec = nullptr;
  const Affine* affine = nullptr;
  std::vector<const Draw*> draws;          // each image's own geometry; none: all go by the Spec's
  std::function<OutputView(size_t)> slot;  // where image i goes
  float fill = 0;                          // of slots whose image failed, in the output's scale
  int threads = 1;
  CallContext* context = nullptr;

  const Draw* draw(size_t image) const { return draws.empty() ? nullptr : draws[image]; }
};

}  // namespace fastpre
