#pragma once

#include "core/error.h"

namespace fastpre::bindings {

// The class in fastpre.errors that stands for a kind.
const char* ErrorName(ErrorKind kind);

}  // namespace fastpre::bindings
