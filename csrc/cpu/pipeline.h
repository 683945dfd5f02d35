// One image from bytes to its slot, in one streaming pass on the calling thread.
//
//   RowSource --RGBX rows--> first pass --8 bit--> ring of rows --> second pass --8 bit--> store
//
// The first pass is mostly the horizontal one. Where the plan turns the order round (tall images,
// EXIF 5..8), the ring holds full-width rows, so no full-size RGB image is needed for those either.
#pragma once

#include <cstdint>
#include <memory>

#include "core/buffer.h"
#include "core/crew.h"
#include "core/image.h"
#include "core/source.h"
#include "cpu/kernels.h"
#include "cpu/pixels.h"
#include "cpu/planar.h"
#include "cpu/record.h"
#include "jpeg/decoder.h"
#include "plan/affine.h"
#include "plan/plan.h"
#include "plan/spec.h"

namespace fastpre {

// Scratch memory and decoders of one thread, kept from image to image.
class Worker {
 public:
  Worker();
  // Writes every element of `out` on success; on failure `out` may be partly written. Never throws: failures, and
  // the call's cancellation, go into the record.
  // A `crew`'s threads, if there is one, help with a large image.
  void Run(const Source& source, const Spec& spec, const Affine& affine, const OutputView& out, Record* record,
           Crew* crew = nullptr);
  // The same for pixels that are decoded already: 8-bit, `view` in RGB (or one channel for "L").
  void RunPixels(const PixelView& view, const Spec& spec, const Affine& affine, const OutputView& out, Record* record);

 private:
  template <class Body>
  void Guarded(Record* record, Body body);
  void Process(RowSource& source, Bytes bytes, const Header& header, const Spec& spec, const Affine& affine,
               const OutputView& out, Record* record);
  void ProcessPlanes(Bytes bytes, const Header& header, const Spec& spec, const Affine& affine, const OutputView& out,
                     Record* record);
  Plan MakePlan(const Header& header, const Spec& spec, const OutputView& out, const char* decoder, Record* record);
  void Execute(RowSource& source, Bytes bytes, const Header& header, const Plan& plan, const Spec& spec,
               const Affine& affine, const OutputView& out, Record* record);
  void Stream(RowSource& source, const Plan& plan, const Spec& spec, const Affine& affine, const OutputView& out,
              Record* record);
  // Without a resize, rows go from the decoder to the store.
  void Copy(RowSource& source, const Plan& plan, const Spec& spec, const KernelTable& kernels, Store* store,
            Record* record);
  void Trim();

  // False: the image is for libjpeg-turbo; the record says why.
  bool TryBaseline(Bytes bytes, const Header& header, const Spec& spec, const Affine& affine, const OutputView& out,
                   Record* record);
  RowSource& Baseline();

  std::unique_ptr<RowSource> turbo_, baseline_;
  int64_t baseline_target_ = 0;  // whose kernels baseline_ has
  PlanarWorker planar_;
  Crew* crew_ = nullptr;  // of the image at hand
  Buffer file_, rows_, ring_, narrow_, row_out_;
  PackedTaps columns_, lines_;
};

}  // namespace fastpre
