// Pixels in memory as a RowSource, so that an already decoded image takes the same path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "jpeg/decoder.h"

namespace fastpre {

// 8-bit pixels at data + y * stride_y + x * stride_x + c * stride_c, strides in bytes; channels is 3
// (RGB) or 1 (gray).
struct PixelView {
  const uint8_t* data = nullptr;
  int width = 0, height = 0, channels = 3;
  ptrdiff_t stride_y = 0, stride_x = 0, stride_c = 0;
};

class PixelSource final : public RowSource {
 public:
  explicit PixelSource(const PixelView& view) : view_(view) {}
  void Open(Bytes, const Header&, const Rect& source, Crew*) override;
  void Read(int count, uint8_t* rows, size_t stride_bytes) override;
  size_t left_bytes() const override { return 0; }
  size_t row_bytes() const override { return static_cast<size_t>(source_.width()) * 4; }
  void Close(bool) override {}
  void Release() override {}
  const char* name() const override { return "pixels"; }

 private:
  PixelView view_;
  Rect source_;
  int next_ = 0;
};

}  // namespace fastpre
