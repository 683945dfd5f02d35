#include "jpeg/exif.h"

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
    case 1: case 2: case 6: case 7: return 1;
    case 3: case 8: return 2;
    case 4: case 9: case 11: case 13: return 4;
    case 5: case 10: case 12: case 16: return 8;
    default: return 0;
  }
}

// Integer field types are the only ones whose value can equal 2..8 in practice.
bool IsInteger(uint64_t type) {
  return type == 3 || type == 4 || type == 6 || type == 8 || type == 9 || type == 13 || type == 16;
}

constexpr uint64_t kOrientationTag = 0x0112;

// nullopt: no such tag.
std::optional<int> FromExif(std::string_view data) {
  for (int i = 0; i < 2 && data.substr(0, 6) == std::string_view("Exif\0\0", 6); ++i) {
    data.remove_prefix(6);
  }
  if (data.size() < 8) return std::nullopt;
  Tiff tiff(data);
  const std::string_view order = data.substr(0, 2);
  if (order != "II" && order != "MM") return std::nullopt;
  tiff.set_big_endian(order == "MM");
  const auto directory = tiff.Read(4, 4);
  const auto entries = directory ? tiff.Read(*directory, 2) : std::nullopt;
  if (!entries) return std::nullopt;
  for (uint64_t i = 0; i < *entries; ++i) {
    const size_t entry = *directory + 2 + i * 12;
    const auto tag = tiff.Read(entry, 2);
    const auto type = tiff.Read(entry + 2, 2);
    const auto count = tiff.Read(entry + 4, 4);
    if (!tag || !type || !count || !tiff.Read(entry + 8, 4)) return std::nullopt;
    if (*tag != kOrientationTag) continue;
    const size_t size = TypeSize(*type);
    if (size == 0 || *count == 0) continue;  // skipped by Pillow; a later entry may still count
    size_t at = entry + 8;
    if (size * *count > 4) {
      at = *tiff.Read(entry + 8, 4);
      if (at > data.size() || data.size() - at < size * *count) return std::nullopt;
    }
    if (!IsInteger(*type)) return 1;
    const auto value = tiff.Read(at, size);
    return value && *value >= 1 && *value <= 8 ? static_cast<int>(*value) : 1;
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
