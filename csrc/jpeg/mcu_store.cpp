#include "jpeg/mcu_store.h"

#include <algorithm>
#include <utility>

namespace fastpre {

// Predictions of a photograph take 12 bits. The sum is kept in 16, as libjpeg's coefficients are.
constexpr int kMaxDc = 32767;

void McuStore::Clear(int64_t quad) {
  while (static_cast<int64_t>(pages_.size()) <= quad / kPageQuads) {
    PageMemory page;
    page.coefficients.ReserveAs<int16_t>(kPageQuads * layout_->coefficients());
    page.last.resize(static_cast<size_t>(kPageQuads) * layout_->groups);
    pages_.push_back(std::move(page));
  }
  std::memset(coefficients(quad), 0, layout_->coefficients() * sizeof(int16_t));
  std::memset(last(quad), 0, layout_->groups);
}

void McuStore::ClearMcu(int position) {
  for (int i = 0; i < layout_->blocks; ++i) {
    for (int row = 0; row < 8; ++row) std::memset(block(position, i) + row * kGroupColumns, 0, 16);
  }
}

size_t McuStore::bytes() const {
  size_t sum = 0;
  for (const PageMemory& page : pages_) sum += page.coefficients.capacity();
  return sum;
}

void McuStore::Copy(int position, McuStore* from, int from_position) {
  const McuQuadLayout::Place* to_places = &layout_->places[position % kGroupBlocks * layout_->blocks];
  const McuQuadLayout::Place* from_places = &layout_->places[from_position % kGroupBlocks * layout_->blocks];
  for (int i = 0; i < layout_->blocks; ++i) {
    int16_t* const out = block(position, i);
    const int16_t* const in = from->block(from_position, i);
    for (int row = 0; row < 8; ++row) std::memcpy(out + row * kGroupColumns, in + row * kGroupColumns, 16);
    uint8_t& bound = last(position / kGroupBlocks)[to_places[i].group];
    bound = std::max(bound, from->last(from_position / kGroupBlocks)[from_places[i].group]);
  }
}

void McuCursor::Seek(uint64_t bit, const std::array<int, 4>& dc) {
  bits_ = {0, 0, data_ + bit / 8};
  bits_.Refill();
  bits_.Drop(static_cast<uint32_t>(bit % 8));
  dc_ = dc;
}

bool McuCursor::Decode(McuStore* store, int position, bool keep) {
  if (position % kGroupBlocks == 0) store->Clear(position / kGroupBlocks);
  return keep ? Blocks<true>(store, position) : Blocks<false>(store, position);
}

template <bool kStore>
bool McuCursor::Blocks(McuStore* store, int position) {
  int16_t* const coefficients = store->coefficients(position / kGroupBlocks);
  uint8_t* const last_of = store->last(position / kGroupBlocks);
  const McuQuadLayout::Place* place = &layout_.places[position % kGroupBlocks * layout_.blocks];
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
