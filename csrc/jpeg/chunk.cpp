#include "jpeg/chunk.h"

#include <algorithm>
#include <utility>

namespace fastpre {

// Predictions of a photograph take 12 bits. The sum is kept in 16, as libjpeg's coefficients are.
constexpr int kMaxDc = 32767;

void McuStore::Clear(int64_t batch) {
  while (static_cast<int64_t>(pages_.size()) <= batch / kPageBatches) {
    PageMemory page;
    page.coefficients.ReserveAs<int16_t>(kPageBatches * layout_->coefficients());
    page.last.resize(static_cast<size_t>(kPageBatches) * layout_->groups);
    pages_.push_back(std::move(page));
  }
  std::memset(coefficients(batch), 0, layout_->coefficients() * sizeof(int16_t));
  std::memset(last(batch), 0, layout_->groups);
}

void McuStore::ClearSlot(int slot) {
  for (int i = 0; i < layout_->blocks; ++i) {
    for (int row = 0; row < 8; ++row) std::memset(block(slot, i) + row * kGroupColumns, 0, 16);
  }
}

size_t McuStore::bytes() const {
  size_t sum = 0;
  for (const PageMemory& page : pages_) sum += page.coefficients.capacity();
  return sum;
}

void McuStore::Copy(int slot, McuStore* from, int from_slot) {
  const BatchLayout::Place* to_places = &layout_->places[slot % kGroupBlocks * layout_->blocks];
  const BatchLayout::Place* from_places = &layout_->places[from_slot % kGroupBlocks * layout_->blocks];
  for (int i = 0; i < layout_->blocks; ++i) {
    int16_t* const out = block(slot, i);
    const int16_t* const in = from->block(from_slot, i);
    for (int row = 0; row < 8; ++row) std::memcpy(out + row * kGroupColumns, in + row * kGroupColumns, 16);
    uint8_t& bound = last(slot / kGroupBlocks)[to_places[i].group];
    bound = std::max(bound, from->last(from_slot / kGroupBlocks)[from_places[i].group]);
  }
}

void McuCursor::Seek(uint64_t bit, const std::array<int, 4>& dc) {
  bits_ = {0, 0, data_ + bit / 8};
  bits_.Refill();
  bits_.Drop(static_cast<uint32_t>(bit % 8));
  dc_ = dc;
}

bool McuCursor::Decode(McuStore* store, int slot, bool keep) {
  if (slot % kGroupBlocks == 0) store->Clear(slot / kGroupBlocks);
  return keep ? Blocks<true>(store, slot) : Blocks<false>(store, slot);
}

template <bool kStore>
bool McuCursor::Blocks(McuStore* store, int slot) {
  int16_t* const coefficients = store->coefficients(slot / kGroupBlocks);
  uint8_t* const last_of = store->last(slot / kGroupBlocks);
  const BatchLayout::Place* place = &layout_.places[slot % kGroupBlocks * layout_.blocks];
  Bits bits = bits_;
  for (const BlockTables& block : mcu_) {
    bits.Refill();
    int difference;
    if (!TakeDc(&bits, *block.dc, &difference)) return false;
    int& dc = dc_[block.component];
    dc += difference;
    if (dc < -kMaxDc || dc > kMaxDc) return false;
    DenseBlock dense{coefficients + place->offset};
    NoBlock nowhere;
    int last;
    if constexpr (kStore) {
      dense.out[0] = static_cast<int16_t>(dc);
      last = TakeAc(&bits, *block.ac, dense);
    } else {
      last = TakeAc(&bits, *block.ac, nowhere);
    }
    if (last < 0) return false;
    if constexpr (kStore) last_of[place->group] = std::max(last_of[place->group], static_cast<uint8_t>(last));
    ++place;
  }
  bits_ = bits;
  return true;
}

}  // namespace fastpre
