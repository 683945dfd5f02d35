// A stretch of a scan's MCUs, decoded to coefficients and kept: what EntropyAhead's threads hand over.
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

// How four neighbouring MCUs, a batch, are kept: in groups of four blocks.
struct BatchLayout {
  // Where block i of the MCU in lane m has its coefficients, counted from the batch's first one.
  struct Place {
    int offset, group;
  };
  std::vector<Place> places;  // [m * blocks + i]
  int blocks = 0;             // of an MCU
  int groups = 0;             // of a batch
  size_t coefficients() const { return static_cast<size_t>(groups) * kGroupStride; }
};

// MCUs by slot. Memory is taken as slots are used, and kept.
class McuStore {
 public:
  void Use(const BatchLayout* layout) {
    if (groups_ != layout->groups) pages_.clear();  // their size is another image's
    groups_ = layout->groups;
    layout_ = layout;
  }
  int16_t* coefficients(int64_t batch) {
    return reinterpret_cast<int16_t*>(Page(batch).coefficients.data()) + batch % kPageBatches * layout_->coefficients();
  }
  uint8_t* last(int64_t batch) { return Page(batch).last.data() + batch % kPageBatches * layout_->groups; }

  // Makes a batch empty, and sure that it is there.
  void Clear(int64_t batch);
  int16_t* block(int slot, int i) {
    return coefficients(slot / kGroupBlocks) + layout_->places[slot % kGroupBlocks * layout_->blocks + i].offset;
  }
  // Empties one slot of a batch that is there.
  void ClearSlot(int slot);
  size_t bytes() const;
  // Copies one MCU from another store.
  void Copy(int slot, McuStore* from, int from_slot);

 private:
  static constexpr int kPageBatches = 16;
  struct PageMemory {
    Buffer coefficients;
    std::vector<uint8_t> last;
  };
  PageMemory& Page(int64_t batch) { return pages_[batch / kPageBatches]; }

  const BatchLayout* layout_ = nullptr;
  int groups_ = 0;
  std::vector<PageMemory> pages_;
};

// Decodes MCUs of one scan from any bit of its unstuffed data.
class McuCursor {
 public:
  McuCursor(const std::vector<BlockTables>& mcu, const BatchLayout& layout, const uint8_t* data)
      : mcu_(mcu),
        layout_(layout),
        data_(data) {}
  void Seek(uint64_t bit, const std::array<int, 4>& dc);
  uint64_t bit() const { return (bits_.next - data_) * uint64_t{8} - bits_.count; }
  const std::array<int, 4>& dc() const { return dc_; }
  // Into a slot; slots are used in ascending order, and a batch is cleared with its first one. Unless `keep`, the
  // slot only counts. False: the bits are no MCU. At least BitReader::kMcuBytes of data must lie ahead.
  bool Decode(McuStore* store, int slot, bool keep = true);

 private:
  template <bool kStore>
  bool Blocks(McuStore* store, int slot);

  const std::vector<BlockTables>& mcu_;
  const BatchLayout& layout_;
  const uint8_t* data_;
  Bits bits_;
  std::array<int, 4> dc_{};
};

}  // namespace fastpre
