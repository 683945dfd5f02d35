// fidelity="fast": sample planes to the store, each resampled at its own resolution.
//
//   PlaneDecoder --rows of one component--> vertical pass --four rows side by side--> horizontal pass
//     --component at the output's size--> colour --RGBX--> store
//
// The vertical pass treats a row as plain bytes. The horizontal pass needs pixels of four bytes, so four rows of a
// plane are interleaved to look like one row of such pixels.
#pragma once

#include <array>

#include "core/buffer.h"
#include "core/image.h"
#include "cpu/image_task.h"
#include "cpu/kernels/kernels.h"
#include "cpu/store.h"
#include "jpeg/frame.h"
#include "jpeg/planes.h"
#include "plan/planar.h"

namespace fastpre {

// Scratch memory and the decoder of one thread, kept from image to image.
class PlanarPipeline {
 public:
  // Throws Declined, also after rows have been stored.
  void Run(const ImageTask& task);
  void Trim(size_t keep_bytes);

 private:
  struct Channel {
    const PlanePlan* plan = nullptr;
    PackedTaps columns, lines;
    int first = 0, bytes = 0;  // samples of a row that the horizontal pass reads
  };

  McuRect NeededMcus() const;
  int KeptRows(int first_row) const;
  int RowsNeeded(const Channel& channel, int line) const;
  void Resample(int c, int from, int to, const KernelTable& kernels);
  uint8_t* Line(int c, int k) { return lines_.data() + (static_cast<size_t>(c) * kBand + k) * line_stride_; }

  // Output rows made at once: two quads, so that the clock and the kernels' set-up are paid rarely.
  static constexpr int kBand = 8;

  Frame frame_;
  PlanarPlan plan_;
  PlaneDecoder planes_;
  std::array<Channel, 4> channels_;
  Buffer tall_, quad_, narrow_, lines_, pixels_;
  size_t tall_stride_ = 0, line_stride_ = 0;
};

}  // namespace fastpre
