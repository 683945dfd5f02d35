// What our decoder says of a stream that is libjpeg-turbo's.
#pragma once

#include <stdexcept>

#include "jpeg/markers.h"

namespace fastpre {

// This stream is not for our decoder, or holds something that an undamaged one does not. The image is to start over
// with libjpeg-turbo, which then says what it is worth.
class Declined : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The reason where a block's coefficients are so large that libjpeg-turbo's pixels may be others (JpegKernels::idct).
inline constexpr const char* kExtreme = "coefficients that no photograph has";
inline constexpr const char* kEndsEarly = "the scan's data ends before the image does";

// `code`: the marker behind the last scan. Bad codes before it would only be warnings to libjpeg; other markers it
// looks at.
inline void RequireEoi(int code) {
  if (code != marker::kEOI) throw Declined("something else than EOI follows the last scan");
}

}  // namespace fastpre
