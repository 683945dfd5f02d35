// The last step: 8-bit RGBX rows to the caller's dtype, layout and address.
#pragma once

#include <cstdint>
#include <vector>

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

  // The normalized value of the plan's fill, wherever the window does not reach (torchvision pads the
  // 8-bit image, before normalizing).
  void Padding(const Plan& plan);

 private:
  template <class T>
  void Scatter(const uint8_t* pixels, T* out, const T* (*lut)(const Affine&, int));
  ptrdiff_t ChannelOffset(int channel) const { return channel * out_.stride_c; }

  const KernelTable& kernels_;
  const Affine& affine_;
  const OutputView out_;
  Placement place_;
  const int count_;
  std::vector<uint32_t> backwards_;  // a row's pixels, where its columns run backwards; the kernels only run forwards
  int order_[3] = {0, 1, 2};         // source byte of each output channel
};

}  // namespace fastpre
