// What a JPEG says about itself before any entropy-coded byte is read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/image.h"
#include "jpeg/markers.h"

namespace fastpre {

// Upper bounds that are checked before memory is asked for. Each has a field of the same name in fastpre.Spec.
struct Limits {
  // 2 x Pillow's MAX_IMAGE_PIXELS, where Pillow raises DecompressionBombError.
  int64_t max_pixels = 178'956'970;
  // Of an output that is larger than its image; 0.4 GB as three float32 channels.
  int64_t max_output_pixels = int64_t{1} << 25;
  // Compressed bytes of one image.
  int64_t max_bytes = int64_t{1} << 28;
  // Of a stream's predicted work (DecodeWork): every scan of a progressive stream walks all blocks again, so a
  // small file can ask for minutes. The largest image that max_pixels allows may have 22 scans; encoders write
  // about 10.
  int64_t max_work = 4'000'000'000;
};

struct Component {
  int id = 0, h = 0, v = 0, quant = 0;
};

struct Header {
  int width = 0, height = 0;  // as stored, before EXIF orientation
  int components = 0;         // 1, 3 or 4
  std::array<Component, 4> component{};
  int sof = 0;               // the SOFn marker (markers.h)
  int restart_interval = 0;  // MCUs; 0 when there is none
  int adobe_transform = -1;  // -1: no Adobe marker
  bool jfif = false;
  int scans = 1;  // SOS markers in the whole stream, counted for multi-scan streams
  // As many as max_work allows. Damage can hide markers from whoever counts them beforehand, so libjpeg's own are
  // counted once more while it decodes.
  int most_scans = 1 << 30;
  int first_scan_components = 0;
  int orientation = 1;     // EXIF 1..8, as Pillow reads it; parsed only on request
  size_t scan_offset = 0;  // first byte after the first SOS segment
  size_t bytes = 0;

  bool progressive() const {
    return sof == marker::kSOF2 || sof == marker::kSOF6 || sof == marker::kSOF10 || sof == marker::kSOF14;
  }
  bool arithmetic() const { return sof >= marker::kSOF9 && sof <= marker::kSOF15; }
  bool lossless() const {
    return sof == marker::kSOF3 || sof == marker::kSOF7 || sof == marker::kSOF11 || sof == marker::kSOF15;
  }
  int64_t pixels() const { return int64_t{width} * height; }
};

// Pixels, rounded up to whole MCUs, times scans, plus a constant for each scan; eight times as many for arithmetic
// coding. A unit takes libjpeg-turbo 0.3 to 2 ns where a scan is nearly empty; what scans hold adds up to 26 ns a byte,
// and is bounded by max_bytes.
double DecodeWork(const Header& header);

// Accepts what Pillow's JpegImageFile accepts and no more: the reference for "not a JPEG",
// "truncated" and "unsupported" is its marker walk, which is stricter than libjpeg's.
// Throws Error. `want_orientation` also parses EXIF (and XMP, as Pillow's getexif does).
// `count_scans` walks a multi-scan stream to its end; without it Header::scans stays 1.
Header ParseHeader(Bytes bytes, const Limits& limits, bool want_orientation, bool count_scans = true);

}  // namespace fastpre
