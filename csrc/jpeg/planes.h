// From scans to sample planes, a row of MCUs at a time, each component at its own resolution.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/crew.h"
#include "core/image.h"
#include "jpeg/ahead.h"
#include "jpeg/frame.h"
#include "jpeg/kernels.h"
#include "jpeg/scan.h"

namespace fastpre {

// What is wanted of an image, in MCUs: columns [x0, x1), rows from y0 on, of which the last `kept` decoded
// ones can be read. `scale[c]`: samples of a block's side that component c is decoded to, 1..8.
struct McuWindow {
  int x0 = 0, x1 = 0, y0 = 0;
  int kept = 2;
  std::array<int, 4> scale{8, 8, 8, 8};
};

class PlaneDecoder {
 public:
  // `stream` and `frame` must outlive the image. May throw Declined, as DecodeRow may. A `crew`'s idle
  // threads help with a large image until Close().
  void Open(Bytes stream, const Frame& frame, const McuWindow& window, const JpegKernels& kernels, Crew* crew);
  // Also right after a failure; sends helpers away.
  void Close();

  // Decodes the next row of MCUs, in the place of the oldest one that is kept.
  void DecodeRow();
  // The row of MCUs that DecodeRow would decode next.
  int next_row() const { return next_row_; }

  // Sample row `r` of component `c`, in one of the rows of MCUs that are kept: a pointer to the place of sample 0,
  // of which the samples of the window can be read, one on either side (at the image's edges they
  // repeat the last sample), and kJpegSlack more.
  const uint8_t* row(int c, int r) const;
  // Samples of component c, scaled.
  int width(int c) const { return plane_[c].width; }
  int height(int c) const { return plane_[c].height; }

  // The marker behind the last scan's data.
  int MarkerAfter() const { return with_crew_ ? ahead_.MarkerAfter() : streams_.back().scan.MarkerAfter(); }

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
  struct Group {
    int component;
    int row, column;  // in blocks, from the batch's first MCU
  };
  // Scans of a sequential image may follow one another; each is read by a decoder of its own, so that all
  // components advance together.
  struct Stream {
    ScanDecoder scan;
    const Scan* header = nullptr;
    std::vector<Group> groups;
    std::vector<BlockTarget> targets;  // of kGroupBlocks MCUs
    int64_t skip = 0;                  // MCUs to pass over before the next one that is wanted
  };

  void SetPlanes();
  // Fills in stream->groups; returns where each block of four MCUs goes.
  BatchLayout SetGroups(Stream* stream);
  void DecodeAhead();
  void DecodeInterleaved(Stream* stream);
  void DecodeSingle(Stream* stream);
  void DecodeBatches(Stream* stream, int from, int to, int block_row);
  // The groups of four MCUs, of which `from` to `to` count, the first one at MCU column `column`.
  void Transform(const Stream& stream, const int16_t* coefficients, const uint8_t* last, int column, int from, int to,
                 int block_row);
  void Inverse(int c, const int16_t* coefficients, int last, uint8_t* out, size_t stride) const;
  void InversePart(int c, const int16_t* coefficients, int last, int from, int to, int row, int x);
  int Across(const Scan& scan, int component) const;
  void ExtendEdges();
  uint8_t* At(int c, int row, int column);

  const Frame* frame_ = nullptr;
  const JpegKernels* kernels_ = nullptr;
  McuWindow window_;
  std::array<Plane, 4> plane_{};
  Buffer samples_, coefficients_;
  std::array<uint8_t, 10> last_{};  // of each group: see BlockTarget
  std::vector<Stream> streams_;
  HuffmanCache cache_;
  EntropyAhead ahead_;  // takes the place of the only stream's scan while `with_crew_`
  bool with_crew_ = false;
  int next_row_ = 0;
};

}  // namespace fastpre
