// The last step: 8-bit RGBX rows to the caller's dtype, layout and address.
#pragma once

#include "core/image.h"
#include "cpu/kernels/kernels.h"
#include "plan/affine.h"
#include "plan/plan.h"

namespace fastpre {

class Store {
 public:
  Store(const KernelTable& kernels, const Affine& affine, Color color, const OutputView& out,
        const Placement& placement, int count);

  // Row `index` of the stored frame, `count` pixels along its columns.
  void Row(const uint8_t* pixels, int index);

  // The normalized value of a zero pixel, wherever the window does not reach (torchvision pads the
  // 8-bit image, before normalizing).
  void Padding(const Geometry& geometry);

 private:
  template <class T>
  void Scatter(const uint8_t* pixels, T* out, const T* (*lut)(const Affine&, int));
  ptrdiff_t ChannelOffset(int channel) const { return channel * out_.stride_c; }

  const KernelTable& kernels_;
  const Affine& affine_;
  const OutputView out_;
  const Placement place_;
  const int count_;
  int order_[3] = {0, 1, 2};  // source byte of each output channel
};

}  // namespace fastpre
