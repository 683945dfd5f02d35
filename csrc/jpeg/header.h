// What a JPEG says about itself before any entropy-coded byte is read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/image.h"
#include "core/image_info.h"
#include "core/limits.h"
#include "jpeg/markers.h"

namespace fastpre {

struct Header : ImageInfo {
  std::array<int, 4> component_id{};
  int sof = 0;               // the SOFn marker (markers.h)
  int restart_interval = 0;  // MCUs; 0 when there is none
  int adobe_transform = -1;  // -1: no Adobe marker
  bool jfif = false;
  int scans = 1;  // SOS markers in the whole stream, counted for multi-scan streams
  // As many as max_work allows. Damage can hide markers from a count beforehand, so libjpeg's own are counted
  // once more while it decodes.
  int most_scans = 1 << 30;
  int first_scan_components = 0;
  size_t scan_offset = 0;  // first byte after the first SOS segment

  bool progressive() const {
    return sof == marker::kSOF2 || sof == marker::kSOF6 || sof == marker::kSOF10 || sof == marker::kSOF14;
  }
  bool arithmetic() const { return sof >= marker::kSOF9 && sof <= marker::kSOF15; }
  bool lossless() const {
    return sof == marker::kSOF3 || sof == marker::kSOF7 || sof == marker::kSOF11 || sof == marker::kSOF15;
  }
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
