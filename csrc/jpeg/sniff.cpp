#include "jpeg/sniff.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string>
#include <string_view>

#include "core/error.h"

namespace fastpre {
namespace {

// What a web server sends in the place of an image, and strings that were never decoded.
std::string SniffOther(Bytes b) {
  std::string_view text(reinterpret_cast<const char*>(b.data()), std::min<size_t>(b.size(), 512));
  if (text.starts_with("%PDF")) return "PDF";
  if (text.starts_with("PK\x03\x04")) return "a ZIP archive";
  if (text.starts_with("\x1f\x8b")) return "gzip";
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark
  while (!text.empty() && (text[0] == ' ' || text[0] == '\n' || text[0] == '\r' || text[0] == '\t'))
    text.remove_prefix(1);
  const auto printable = [](char c) { return (c >= ' ' && c != 0x7F) || c == '\n' || c == '\r' || c == '\t' || c < 0; };
  if (text.size() < 4 || !std::all_of(text.begin(), text.end(), printable)) return "";
  if (text.starts_with("data:")) return "a data URL; decode its base64 part";
  if (text.starts_with("/9j/")) return "base64; decode it";
  if (text[0] == '<') {
    std::string start(text.substr(0, 64));
    std::transform(start.begin(), start.end(), start.begin(), [](unsigned char c) { return std::tolower(c); });
    return start.starts_with("<!doctype html") || start.starts_with("<html") ? "HTML"
           : start.find("<svg") != std::string::npos                         ? "SVG"
                                                                             : "XML";
  }
  if (text[0] == '{' || text[0] == '[') return "JSON";
  return "text";
}

std::string SniffImage(Bytes b) {
  auto starts = [&](std::string_view magic, size_t at = 0) {
    return b.size() >= at + magic.size() && std::memcmp(b.data() + at, magic.data(), magic.size()) == 0;
  };
  if (starts("\x89PNG")) return "PNG";
  if (starts("GIF8")) return "GIF";
  if (starts("RIFF") && starts("WEBP", 8)) return "WebP";
  if (starts("BM")) return "BMP";
  if (starts(std::string_view("II*\0", 4)) || starts(std::string_view("MM\0*", 4))) return "TIFF";
  if (starts("ftyp", 4)) return "HEIF/AVIF";
  if (starts(std::string_view("\xff\x0a", 2)) || starts(std::string_view("\0\0\0\x0cJXL ", 8))) return "JPEG XL";
  if (starts(std::string_view("\0\0\0\x0cjP  ", 8))) return "JPEG 2000";
  return "";
}

}  // namespace

void ThrowNotJpeg(Bytes bytes) {
  const std::string image = SniffImage(bytes);
  if (!image.empty()) ThrowUnsupported("not a JPEG (looks like " + image + ")");
  const std::string other = SniffOther(bytes);
  ThrowCorrupt("not a JPEG (" + (other.empty() ? "no SOI marker" : "looks like " + other) + ")");
}

}  // namespace fastpre
