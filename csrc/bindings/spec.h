#pragma once

#include <string>

#include "plan/affine.h"
#include "plan/spec.h"

namespace fastpre::bindings {

// A Spec with what is computed once from it.
struct CompiledSpec {
  Spec spec;
  Affine affine;
};

// By Python's name for it; throws ValueError for any other.
Filter FilterOf(const std::string& name);

}  // namespace fastpre::bindings
