// The CPU's part of an exact image: entropy decoding, and packing what comes out for the device (jpeg/sparse_format.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/buffer.h"
#include "core/helper_threads.h"
#include "core/image.h"
#include "jpeg/frame.h"
#include "jpeg/groups.h"
#include "jpeg/kernels/kernels.h"
#include "jpeg/sparse.h"

namespace fastpre::cuda {

// Where one image's coefficients go, and where their samples come to lie.
struct CoefficientLayout {
  struct Component {
    int column = 0, row = 0;         // first block that is sent
    int blocks_x = 0, blocks_y = 0;  // how many are
    size_t offsets = 0, counts = 0;  // byte positions of its tables in the region
    size_t plane = 0;                // byte position of its plane among the image's planes
    int pitch = 0;
  };
  std::array<Component, 4> component{};
  size_t words = 0;  // byte position; words fill the rest of the region
  size_t region_bytes = 0, plane_bytes = 0;
};

// For the pixels of `source`; `compressed_bytes`: from the first scan on. Space for entries is what photographs take,
// with room; an image that takes more is declined by Pack.
CoefficientLayout LayOutCoefficients(const Frame& frame, const Rect& source, size_t compressed_bytes);

// One thread's decoder and scratch memory.
class CoefficientPacker {
 public:
  // Into region[0, layout.region_bytes); returns how much of it was used. Throws Declined. `check_tail`: what follows
  // the last scan must be EOI, as exact fidelity wants it.
  size_t Pack(Bytes stream, const Frame& frame, const Rect& source, const CoefficientLayout& layout, bool check_tail,
              const JpegKernels& kernels, HelperThreads* helpers, uint8_t* region);
  void Trim(size_t keep_bytes);

 private:
  GroupDecoder groups_;
  SparseWriter writer_;
};

}  // namespace fastpre::cuda
