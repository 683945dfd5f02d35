// Thrown by our decoder for a stream that it does not decode.
#pragma once

#include <stdexcept>

#include "jpeg/markers.h"

namespace fastpre {

// The stream is of a kind that our decoder does not know, or holds something that an undamaged one does not. The caller
// then decodes the image again from the first byte with libjpeg-turbo, whose pixels or error count.
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
