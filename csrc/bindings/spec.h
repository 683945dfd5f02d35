#pragma once

#include "plan/affine.h"
#include "plan/spec.h"

namespace fastpre::bindings {

// A Spec with what is computed once from it.
struct CompiledSpec {
  Spec spec;
  Affine affine;
};

}  // namespace fastpre::bindings
