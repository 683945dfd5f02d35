// One compressed image as the caller has it.
#pragma once

#include <string>

#include "core/image.h"

namespace fastpre {

struct Source {
  Bytes bytes;       // empty for a path
  std::string path;  // empty for a buffer
  bool is_path = false;
};

}  // namespace fastpre
