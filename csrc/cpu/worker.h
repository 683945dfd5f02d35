// What one thread keeps from image to image, and the way of an image: read, header, plan, decoder, pixels.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>

#include "core/buffer.h"
#include "core/source.h"
#include "cpu/image_task.h"
#include "cpu/pixels.h"
#include "cpu/planar_pipeline.h"
#include "cpu/row_pipeline.h"
#include "jpeg/decoder.h"

namespace fastpre {

class Worker {
 public:
  Worker();
  // Never throws: failures, and the call's cancellation, go into the record.
  void Run(const Source& source, ImageTask* task);
  // The same for pixels that are decoded already: 8-bit, `view` in RGB (or one channel for "L").
  void RunPixels(const PixelView& view, ImageTask* task);

 private:
  template <class Body>
  void Guarded(Record* record, Body body);
  void Decode(const ImageTask& task);
  void DecodeRows(JpegDecoder& decoder, const ImageTask& task);
  JpegDecoder& Baseline();
  void Trim();

  std::unique_ptr<JpegDecoder> turbo_, baseline_;
  int64_t baseline_target_ = 0;  // whose kernels baseline_ has
  RowPipeline rows_;
  PlanarPipeline planes_;
  Buffer file_;
};

// The workers of one call. The calling thread's is lent by the process, so that a server's threads do not each keep
// scratch memory; threads of the pool have one of their own for as long as they live.
class Workers {
 public:
  Workers();
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  Worker& OfThisThread();

 private:
  const std::thread::id caller_;
  std::unique_ptr<Worker> lent_;
};

}  // namespace fastpre
