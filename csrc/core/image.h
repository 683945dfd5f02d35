// Views: what is read and where it is written. Nothing here owns memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace fastpre {

using Bytes = std::span<const uint8_t>;

// Half-open rectangle in pixels of the stored (not yet oriented) image.
struct Rect {
  int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  int width() const { return x1 - x0; }
  int height() const { return y1 - y0; }
};

enum class DType : uint8_t { kF32, kF16, kBF16, kU8 };

inline size_t ElementSize(DType t) { return t == DType::kF32 ? 4 : t == DType::kU8 ? 1 : 2; }

// One image's slot in the caller's tensor. Strides are in elements and may be negative.
struct OutputView {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int channels = 3, height = 0, width = 0;
  ptrdiff_t stride_c = 0, stride_y = 0, stride_x = 0;
};

}  // namespace fastpre
