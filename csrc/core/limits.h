// Upper bounds that are checked before memory is asked for.
#pragma once

#include <cstdint>

namespace fastpre {

// Each has a field of the same name in fastpre.Spec. Checked in jpeg/header.cpp, and besides where a comment says so.
struct Limits {
  // 2 x Pillow's MAX_IMAGE_PIXELS, where Pillow raises DecompressionBombError.
  int64_t max_pixels = 178'956'970;
  // Of an output that is larger than its image; 0.4 GB as three float32 channels. Checked in plan/geometry.cpp alone.
  int64_t max_output_pixels = int64_t{1} << 25;
  // Compressed bytes of one image; also in core/file.cpp, while a file is read.
  int64_t max_bytes = int64_t{1} << 28;
  // Of a stream's predicted work (jpeg/header.h, DecodeWork): every scan of a progressive stream walks all blocks
  // again, so a small file can ask for minutes. The largest image that max_pixels allows may have 22 scans; encoders
  // write about 10. Also in jpeg/turbo.cpp, while scans are decoded.
  int64_t max_work = 4'000'000'000;
};

}  // namespace fastpre
