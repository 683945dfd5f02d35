// For the error message: what kind of file an input is that is not a JPEG.
#pragma once

#include "core/image.h"

namespace fastpre {

// Throws Error: unsupported where the bytes are another kind of image, corrupt otherwise. The reason says what they
// look like.
[[noreturn]] void ThrowNotJpeg(Bytes bytes);

}  // namespace fastpre
