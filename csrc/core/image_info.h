// What a plan has to know of a compressed image, whatever its format.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace fastpre {

// Samples of a component beside those of the other ones: with {2, 2}, {1, 1}, {1, 1} the second and third have one
// sample for 2 x 2 of the first.
struct SamplingFactors {
  int h = 0, v = 0;
};

struct ImageInfo {
  int width = 0, height = 0;  // as stored, before EXIF orientation
  int components = 0;         // 1, 3 or 4
  std::array<SamplingFactors, 4> sampling{};
  int orientation = 1;  // EXIF 1..8, as Pillow reads it; parsed only on request
  size_t bytes = 0;     // compressed

  int64_t pixels() const { return int64_t{width} * height; }
};

}  // namespace fastpre
