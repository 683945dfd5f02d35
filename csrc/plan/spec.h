// What the caller wants, the same for every image of a batch. Validated in Python (fastpre.Spec).
#pragma once

#include <array>
#include <cstdint>

#include "core/image.h"
#include "core/limits.h"

namespace fastpre {

enum class Filter : uint8_t { kNearest, kBox, kBilinear, kHamming, kBicubic, kLanczos };
enum class Color : uint8_t { kRGB, kBGR, kL };

// How uint8 becomes [0, 1]: torchvision's ToTensor and v1 ConvertImageDtype divide by 255, v2's
// ToDtype(scale=True) multiplies by float32(1/255); they differ in the last bit for 126 of 256 values.
enum class Rescale : uint8_t { kDivide, kMultiply };

// Which of the two passes runs first, which matters to the last bit because the result in between
// has 8 bits. Pillow before 13: always the horizontal one. Since 13: see plan.cpp.
enum class PassOrder : uint8_t { kHorizontalFirst, kAdaptive };

struct Spec {
  enum class Resize : uint8_t { kNone, kShorterSide, kExact };
  Resize resize = Resize::kShorterSide;
  int resize_height = 256, resize_width = 256;  // kShorterSide: both hold the shorter side
  int max_size = 0;                             // longer side's bound for kShorterSide; 0: none
  int crop_height = 224, crop_width = 224;      // 0: no crop
  Filter filter = Filter::kBilinear;
  Color color = Color::kRGB;
  DType dtype = DType::kF32;
  bool normalize = true;
  Rescale rescale = Rescale::kDivide;
  PassOrder pass_order = PassOrder::kAdaptive;
  std::array<float, 3> mean{0.485f, 0.456f, 0.406f};  // per output channel, in output order
  std::array<float, 3> std{0.229f, 0.224f, 0.225f};
  bool exif_orientation = false;
  bool exact = true;     // false: fidelity="fast"
  bool partial = false;  // true: truncated="partial"
  Limits limits;

  int channels() const { return color == Color::kL ? 1 : 3; }
};

}  // namespace fastpre
