// One compressed image as the caller has it.
#pragma once

#include <string>

#include "core/error.h"
#include "core/image.h"

namespace fastpre {

struct Source {
  Source() = default;
  Source(Bytes compressed) : bytes(compressed) {}

  Bytes bytes;       // empty for a path
  std::string path;  // empty for a buffer
  bool is_path = false;
  std::string missing;  // why there is neither; that image fails with it
  ErrorKind missing_kind = ErrorKind::kIo;
};

}  // namespace fastpre
