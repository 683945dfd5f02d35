// Rows of pixels to the image's slot, in one streaming pass on the calling thread.
//
//   RowReader --RGBX rows--> first pass --8 bit--> ring of rows --> second pass --8 bit--> store
//
// The first pass is mostly the horizontal one. Where the plan turns the order round (tall images, EXIF 5..8), the ring
// holds full-width rows, so no full-size RGB image is needed for those either.
#pragma once

#include <cstddef>

#include "core/buffer.h"
#include "core/row_reader.h"
#include "cpu/image_task.h"
#include "cpu/kernels/kernels.h"
#include "cpu/store.h"

namespace fastpre {

// Scratch memory of one thread, kept from image to image.
class RowPipeline {
 public:
  // `reader` is about to read task.plan.source.
  void Run(RowReader& reader, const ImageTask& task);
  void Trim(size_t keep_bytes);

 private:
  // Without a resize, rows go from the reader to the store.
  void Copy(RowReader& reader, const ImageTask& task, const KernelTable& kernels, Store* store);
  void Resample(RowReader& reader, const ImageTask& task, const KernelTable& kernels, Store* store);

  Buffer rows_, ring_, narrow_, row_out_;
  PackedTaps columns_, lines_;
};

}  // namespace fastpre
