// From scans to groups of quantized coefficients, a row of MCUs at a time.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/helper_threads.h"
#include "core/image.h"
#include "jpeg/declined.h"
#include "jpeg/frame.h"
#include "jpeg/kernels/kernels.h"
#include "jpeg/mcu_rect.h"
#include "jpeg/scan.h"
#include "jpeg/speculative.h"

namespace fastpre {

// Where a group of four neighbouring blocks of one component belongs.
struct GroupPlace {
  int component;
  int row, column;  // of the first block, in blocks of the whole component
  int first, end;   // the blocks of the group that count
};

class GroupSink {
 public:
  virtual ~GroupSink() = default;
  // `coefficients` as JpegKernels::idct takes them; they are gone afterwards. Blocks may lie to the right of what is
  // wanted, by less than four MCUs, and to the right of or below the image, where an MCU does.
  virtual void Group(const GroupPlace& place, const int16_t* coefficients, int last) = 0;
};

// Where the sparse blocks of one component are noted: tables of blocks_x columns, whose first entry is block (column,
// row).
struct SparseTables {
  uint32_t* offset = nullptr;
  uint8_t* head = nullptr;
  int column = 0, row = 0, blocks_x = 0;
};

class GroupDecoder {
 public:
  // `stream` and `frame` must outlive the image. May throw Declined, as DecodeRow may. Idle threads of
  // `helpers` help with a large image until Close().
  void Open(Bytes stream, const Frame& frame, const McuRect& wanted, const JpegKernels& kernels,
            HelperThreads* helpers);
  // Also right after a failure; sends helpers away.
  void Close();

  // Hands over the groups of the next row of MCUs.
  void DecodeRow(GroupSink* sink);
  // The same, as sparse blocks; tables[c] is component c's, and begins with the wanted column of MCUs.
  void DecodeRow(const std::array<SparseTables, 4>& tables, SparseWriter* writer);
  // The row of MCUs that DecodeRow would decode next.
  int next_row() const { return next_row_; }

  // Throws Declined unless EOI is the marker behind the last scan's data.
  void CheckTail() const { RequireEoi(MarkerAfter()); }

  void Trim(size_t keep_bytes) { speculative_.Trim(keep_bytes); }

 private:
  int MarkerAfter() const { return with_helpers_ ? speculative_.MarkerAfter() : streams_.back().scan.MarkerAfter(); }

  struct Group {
    int component;
    int row, column;  // in blocks, from the quad's first MCU
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

  // Fills in stream->groups; returns where each block of four MCUs goes.
  McuQuadLayout SetGroups(Stream* stream);
  void DecodeSpeculative(GroupSink* sink);
  void DecodeInterleaved(Stream* stream, GroupSink* sink);
  void DecodeSingle(Stream* stream, GroupSink* sink);
  void DecodeQuads(Stream* stream, int from, int to, int block_row, GroupSink* sink);
  void DecodeSparse(Stream* stream, const std::array<SparseTables, 4>& tables, SparseWriter* writer);
  void DecodeSparse(Stream* stream, int from, int to, int block_row, const std::array<SparseTables, 4>& tables,
                    SparseWriter* writer);
  // The groups of four MCUs, of which `from` to `to` count, the first one at MCU column `column`.
  void HandOver(const Stream& stream, const int16_t* coefficients, const uint8_t* last, int column, int from, int to,
                int block_row, GroupSink* sink);
  int Across(const Scan& scan, int component) const;

  const Frame* frame_ = nullptr;
  McuRect wanted_;
  Buffer coefficients_;
  std::array<uint8_t, 10> last_{};  // of each group: see BlockTarget
  std::vector<SparseTarget> sparse_targets_;
  std::vector<Stream> streams_;
  HuffmanCache cache_;
  SpeculativeDecoder speculative_;  // takes the place of the only stream's scan while `with_helpers_`
  bool with_helpers_ = false;
  int next_row_ = 0;
};

}  // namespace fastpre
