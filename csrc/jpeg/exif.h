// EXIF orientation as Pillow's Image.getexif() reads it.
#pragma once

#include <string>

#include "core/image.h"

namespace fastpre {

// `exif` is the concatenated payload of the Exif APP1 segments, each without its first
// "Exif\0\0" except the first one, which Pillow keeps. Returns 1 where Pillow would not rotate.
// `xmp` is the XMP packet, looked at only where EXIF has no orientation tag.
int ParseOrientation(const std::string& exif, const std::string& xmp);

}  // namespace fastpre
