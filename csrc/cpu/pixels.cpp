#include "cpu/pixels.h"

namespace fastpre {

void PixelReader::Read(int count, uint8_t* rows, size_t stride_bytes) {
  const ptrdiff_t green = view_.channels == 3 ? view_.stride_c : 0;
  for (int k = 0; k < count; ++k, ++next_) {
    const uint8_t* p = view_.data + next_ * view_.stride_y + rect_.x0 * view_.stride_x;
    uint8_t* out = rows + k * stride_bytes;
    for (int x = 0; x < rect_.width(); ++x, p += view_.stride_x, out += 4) {
      out[0] = p[0];
      out[1] = p[green];
      out[2] = p[2 * green];
      out[3] = 255;
    }
  }
}

}  // namespace fastpre
