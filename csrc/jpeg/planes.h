// From scans to sample planes, a row of MCUs at a time, each component at its own resolution.
#pragma once

#include <array>
#include <cstdint>

#include "core/buffer.h"
#include "core/helper_threads.h"
#include "core/image.h"
#include "jpeg/frame.h"
#include "jpeg/groups.h"
#include "jpeg/kernels/kernels.h"

namespace fastpre {

struct PlaneOptions {
  int kept_rows = 2;                     // rows of MCUs, the last ones decoded, that can be read
  std::array<int, 4> scale{8, 8, 8, 8};  // samples of a block's side that each component is decoded to, 1..8
};

class PlaneDecoder final : private GroupSink {
 public:
  // As GroupDecoder::Open.
  void Open(Bytes stream, const Frame& frame, const McuRect& wanted, const PlaneOptions& options,
            const JpegKernels& kernels, HelperThreads* helpers);
  // Also right after a failure; sends helpers away.
  void Close() { groups_.Close(); }

  // Decodes the next row of MCUs, in the place of the oldest one that is kept.
  void DecodeRow();
  // The row of MCUs that DecodeRow would decode next.
  int next_row() const { return groups_.next_row(); }

  // Sample row `r` of component `c`, in one of the rows of MCUs that are kept: a pointer to the place of sample 0,
  // of which the wanted samples can be read, one on either side (at the image's edges they
  // repeat the last sample), and kJpegSlack more.
  const uint8_t* row(int c, int r) const;
  // Samples of component c, scaled.
  int width(int c) const { return plane_[c].width; }
  int height(int c) const { return plane_[c].height; }

  void CheckTail() const { groups_.CheckTail(); }

  void Trim(size_t keep_bytes);
  size_t capacity() const { return samples_.capacity(); }

 private:
  struct Plane {
    int scale = 8;
    int width = 0, height = 0;  // scaled samples of the whole component
    int rows = 0;               // scaled sample rows of a row of MCUs
    int first = 0;              // scaled sample column where the plane begins
    int right = 0;              // the image's right edge if the plane reaches it, else 0
    size_t offset = 0, stride = 0;
  };

  void SetPlanes();
  void Group(const GroupPlace& place, const int16_t* coefficients, int last) override;
  void Inverse(int c, const int16_t* coefficients, int last, uint8_t* out, size_t stride) const;
  void InversePart(const GroupPlace& place, const int16_t* coefficients, int last);
  void ExtendEdges(int mcu_row);
  uint8_t* At(int c, int row, int column);

  const Frame* frame_ = nullptr;
  const JpegKernels* kernels_ = nullptr;
  McuRect wanted_;
  PlaneOptions options_;
  std::array<Plane, 4> plane_{};
  Buffer samples_;
  GroupDecoder groups_;
};

}  // namespace fastpre
