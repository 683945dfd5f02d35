// Pixels in memory as a RowReader, so that an already decoded image takes the same path.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/image.h"
#include "core/row_reader.h"

namespace fastpre {

// 8-bit pixels at data + y * stride_y + x * stride_x + c * stride_c, strides in bytes; channels is 3
// (RGB) or 1 (gray).
struct PixelView {
  const uint8_t* data = nullptr;
  int width = 0, height = 0, channels = 3;
  ptrdiff_t stride_y = 0, stride_x = 0, stride_c = 0;
};

class PixelReader final : public RowReader {
 public:
  // `rect`: the pixels to read.
  PixelReader(const PixelView& view, const Rect& rect) : view_(view), rect_(rect), next_(rect.y0) {}
  void Read(int count, uint8_t* rows, size_t stride_bytes) override;
  size_t left_bytes() const override { return 0; }
  size_t row_bytes() const override { return static_cast<size_t>(rect_.width()) * 4; }

 private:
  PixelView view_;
  Rect rect_;
  int next_;
};

}  // namespace fastpre
