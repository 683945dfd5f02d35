// A JPEG's coefficients in another stream: without loss, because they are copied and never dequantized.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "core/image.h"
#include "core/limits.h"

namespace fastpre {

struct TranscodeOptions {
  enum class Metadata {
    kNone,
    kIcc,  // the colour profile
    kAll,  // EXIF, XMP, comments and whatever else, but for an index of pictures behind this one (MPF)
  };

  // Centre crop, pixels as stored; 0 or beyond the image: that side is left whole.
  int crop_height = 0, crop_width = 0;
  bool optimize = true;  // Huffman tables made for the image; false: those of T.81's annex K
  int restart_rows = 0;  // rows of MCUs between restart markers; 0: no markers
  Metadata metadata = Metadata::kIcc;
  Limits limits;  // max_bytes also bounds the result
};

// A stream in memory that libjpeg-turbo's callbacks could grow.
struct WrittenStream {
  struct Free {
    void operator()(uint8_t* p) const { std::free(p); }
  };
  std::unique_ptr<uint8_t, Free> data;
  size_t size = 0;
  Bytes bytes() const { return {data.get(), size}; }
};

// The image as one sequential Huffman scan of the same coefficients (SOF0; SOF1 where quantization tables need 16
// bits), so that every decoder gives the same pixels. An orientation stays, in EXIF of its own if the image's is
// dropped.
//
// A crop has exactly the size asked for and begins at the MCU that is nearest to the centred one. Its outermost pixels
// may differ from the original's where chroma is subsampled, as their neighbours are gone.
//
// Throws Error as decoding does, and besides for what would not stay what it is: damage of any kind (kCorrupt), also
// where decoders put up with it; progressive streams without all of their scans, which decoders smooth; lossless
// streams; coefficients, tables and sampling that one sequential scan cannot hold (kUnsupported). Throws Cancelled.
WrittenStream Transcode(Bytes bytes, const TranscodeOptions& options);

}  // namespace fastpre
