// What bytes that are no JPEG may be instead.
#pragma once

#include "core/image.h"

namespace fastpre {

// Throws Error: unsupported where the bytes are another kind of image, corrupt otherwise. The reason says what they
// look like.
[[noreturn]] void ThrowNotJpeg(Bytes bytes);

}  // namespace fastpre
