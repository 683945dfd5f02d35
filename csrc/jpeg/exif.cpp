#include "jpeg/exif.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>

namespace fastpre {
namespace {

// A TIFF stream, either byte order. Reads past the end give nothing, as Pillow's do.
class Tiff {
 public:
  explicit Tiff(std::string_view data) : data_(data) {}

  void set_big_endian(bool big) { big_ = big; }

  std::optional<uint64_t> Read(size_t offset, size_t size) const {
    if (offset > data_.size() || data_.size() - offset < size) return std::nullopt;
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      const size_t at = big_ ? i : size - 1 - i;
      value = value << 8 | static_cast<uint8_t>(data_[offset + at]);
    }
    return value;
  }

 private:
  std::string_view data_;
  bool big_ = false;
};

// Bytes of one value of a TIFF field type; 0 for a type that Pillow does not load.
size_t TypeSize(uint64_t type) {
  switch (type) {
    case 1:
    case 2:
    case 6:
    case 7: return 1;
    case 3:
    case 8: return 2;
    case 4:
    case 9:
    case 11:
    case 13: return 4;
    case 5:
    case 10:
    case 12:
    case 16: return 8;
    default: return 0;
  }
}

// A field's first value as a number: Pillow compares it with 2..8, so 6.0 and 6/1 turn an image too.
// NaN for types without a number.
double Number(const Tiff& tiff, uint64_t type, size_t at) {
  const uint64_t raw = *tiff.Read(at, TypeSize(type));
  switch (type) {
    case 3:
    case 4:
    case 13:
    case 16: return static_cast<double>(raw);
    case 6: return static_cast<int8_t>(raw);
    case 8: return static_cast<int16_t>(raw);
    case 9: return static_cast<int32_t>(raw);
    case 5: return static_cast<double>(*tiff.Read(at, 4)) / static_cast<double>(*tiff.Read(at + 4, 4));
    case 10:
      return static_cast<double>(static_cast<int32_t>(*tiff.Read(at, 4))) / static_cast<int32_t>(*tiff.Read(at + 4, 4));
    case 11: return std::bit_cast<float>(static_cast<uint32_t>(raw));
    case 12: return std::bit_cast<double>(raw);
    default: return std::nan("");
  }
}

constexpr uint64_t kOrientationTag = 0x0112;

// nullopt: no such tag.
std::optional<int> FromExif(std::string_view data) {
  for (int i = 0; i < 2 && data.substr(0, 6) == std::string_view("Exif\0\0", 6); ++i) {
    data.remove_prefix(6);
  }
  if (data.empty()) return std::nullopt;
  Tiff tiff(data);
  // The headers that Pillow takes for TIFF. With any other, or a part of one, it is done, and does not ask XMP.
  const std::string_view magic = data.substr(0, 4);
  const bool known = magic == std::string_view("II*\0", 4) || magic == std::string_view("MM\0*", 4) ||
                     magic == std::string_view("MM*\0", 4) || magic == std::string_view("II\0*", 4) ||
                     magic == std::string_view("MM\0+", 4);
  if (!known || data.size() < 8) return 1;
  tiff.set_big_endian(data[0] == 'M');
  const auto directory = tiff.Read(4, 4);
  const auto entries = directory ? tiff.Read(*directory, 2) : std::nullopt;
  if (!entries) return std::nullopt;
  // Values of more than four bytes lie elsewhere. Pillow passes over one that would make all of them together larger
  // than the block, and stops at one that it cannot read, with the tags that it has by then.
  uint64_t elsewhere = 0;
  for (uint64_t i = 0; i < *entries; ++i) {
    const size_t entry = *directory + 2 + i * 12;
    const auto tag = tiff.Read(entry, 2);
    const auto type = tiff.Read(entry + 2, 2);
    const auto count = tiff.Read(entry + 4, 4);
    if (!tag || !type || !count || !tiff.Read(entry + 8, 4)) return std::nullopt;
    const uint64_t size = TypeSize(*type) * *count;
    size_t at = entry + 8;
    if (size > 4) {
      elsewhere += size;
      if (elsewhere > data.size()) continue;
      at = *tiff.Read(entry + 8, 4);
      if (at > data.size() || data.size() - at < size) return std::nullopt;
    }
    if (*tag != kOrientationTag || size == 0) continue;  // a later entry may still count
    const double value = Number(tiff, *type, at);
    for (int orientation = 1; orientation <= 8; ++orientation) {
      if (value == orientation) return orientation;
    }
    return 1;
  }
  return std::nullopt;
}

std::optional<int> FromXmp(std::string_view xmp) {
  constexpr std::string_view kKey = "tiff:Orientation";
  for (size_t at = xmp.find(kKey); at != std::string_view::npos; at = xmp.find(kKey, at + 1)) {
    std::string_view rest = xmp.substr(at + kKey.size());
    size_t skip = rest.substr(0, 2) == "=\"" ? 2 : rest.substr(0, 1) == ">" ? 1 : 0;
    if (skip == 0 || rest.size() <= skip) continue;
    const char digit = rest[skip];
    if (digit >= '0' && digit <= '9') return digit >= '1' && digit <= '8' ? digit - '0' : 1;
  }
  return std::nullopt;
}

}  // namespace

int ParseOrientation(const std::string& exif, const std::string& xmp) {
  if (const auto value = FromExif(exif)) return *value;
  if (const auto value = FromXmp(xmp)) return *value;
  return 1;
}

}  // namespace fastpre
