#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "plan/draw.h"

namespace fastpre::bindings {

// One for each of `count` images, or none at all; `list` holds fastpre's Draw objects, and keeps them. None is the
// Spec's geometry. Throws ValueError for another number of them.
std::vector<const Draw*> DrawsOf(const pybind11::object& list, size_t count);

}  // namespace fastpre::bindings
