// A stretch of a scan's MCUs, decoded to coefficients and kept: what SpeculativeDecoder's threads hand over.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "core/buffer.h"
#include "jpeg/block.h"
#include "jpeg/scan.h"

namespace fastpre {

// How four neighbouring MCUs, a quad, are kept: in groups of four blocks.
struct McuQuadLayout {
  // Where block i of the MCU in lane m has its coefficients, counted from the quad's first one.
  struct Place {
    int offset, group;
  };
  std::vector<Place> places;  // [m * blocks + i]
  int blocks = 0;             // of an MCU
  int groups = 0;             // of a quad
  size_t coefficients() const { return static_cast<size_t>(groups) * kGroupStride; }
};

// MCUs by position. Memory is taken as positions are used, and kept.
class McuStore {
 public:
  void Use(const McuQuadLayout* layout) {
    if (groups_ != layout->groups) pages_.clear();  // their size is another image's
    groups_ = layout->groups;
    layout_ = layout;
  }
  int16_t* coefficients(int64_t quad) {
    return reinterpret_cast<int16_t*>(Page(quad).coefficients.data()) + quad % kPageQuads * layout_->coefficients();
  }
  uint8_t* last(int64_t quad) { return Page(quad).last.data() + quad % kPageQuads * layout_->groups; }

  // Makes a quad empty, and sure that it is there.
  void Clear(int64_t quad);
  int16_t* block(int position, int i) {
    return coefficients(position / kGroupBlocks) +
           layout_->places[position % kGroupBlocks * layout_->blocks + i].offset;
  }
  // Empties one position of a quad that is there.
  void ClearMcu(int position);
  size_t bytes() const;
  // Copies one MCU from another store.
  void Copy(int position, McuStore* from, int from_position);

 private:
  static constexpr int kPageQuads = 16;
  struct PageMemory {
    Buffer coefficients;
    std::vector<uint8_t> last;
  };
  PageMemory& Page(int64_t quad) { return pages_[quad / kPageQuads]; }

  const McuQuadLayout* layout_ = nullptr;
  int groups_ = 0;
  std::vector<PageMemory> pages_;
};

// Decodes MCUs of one scan from any bit of its unstuffed data.
class McuCursor {
 public:
  McuCursor(const std::vector<BlockTables>& mcu, const McuQuadLayout& layout, const uint8_t* data)
      : mcu_(mcu),
        layout_(layout),
        data_(data) {}
  void Seek(uint64_t bit, const std::array<int, 4>& dc);
  uint64_t bit() const { return (bits_.next - data_) * uint64_t{8} - bits_.count; }
  const std::array<int, 4>& dc() const { return dc_; }
  // Into a position; positions are used in ascending order, and a quad is cleared with its first one. Unless `keep`,
  // the position only counts. False: the bits are no MCU. At least BitReader::kMcuBytes of data must lie ahead.
  bool Decode(McuStore* store, int position, bool keep = true);

 private:
  template <bool kStore>
  bool Blocks(McuStore* store, int position);

  const std::vector<BlockTables>& mcu_;
  const McuQuadLayout& layout_;
  const uint8_t* data_;
  Bits bits_;
  std::array<int, 4> dc_{};
};

}  // namespace fastpre
