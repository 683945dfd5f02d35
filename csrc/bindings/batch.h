// A batch's memory, as Python gives it: an address and element strides of (N, C, H, W).
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/image.h"
#include "plan/spec.h"

namespace fastpre::bindings {

// A second line of defence: Python has checked whose memory it is.
inline void RequireMemory(uintptr_t data, size_t elements) {
  if (data == 0 && elements > 0) throw pybind11::value_error("the output has elements and no memory");
}

struct BatchSlots {
  uintptr_t data;
  const Spec& spec;
  std::pair<int, int> size;  // height, width
  std::array<ptrdiff_t, 4> strides;

  OutputView operator()(size_t image) const {
    OutputView out;
    out.data = reinterpret_cast<void*>(data + static_cast<ptrdiff_t>(image) * strides[0] *
                                                  static_cast<ptrdiff_t>(ElementSize(spec.dtype)));
    out.dtype = spec.dtype;
    out.channels = spec.channels();
    out.height = size.first;
    out.width = size.second;
    out.stride_c = strides[1];
    out.stride_y = strides[2];
    out.stride_x = strides[3];
    return out;
  }
};

}  // namespace fastpre::bindings
