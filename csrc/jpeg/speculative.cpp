#include "jpeg/speculative.h"

#include <utility>

#include "core/call_context.h"
#include "jpeg/declined.h"
#include "jpeg/markers.h"

namespace fastpre {
namespace {

// Coefficients of a chunk: they should stay in L2 until they are transformed.
constexpr size_t kChunkBytes = size_t{384} << 10;
constexpr uint64_t kLeastChunkBits = size_t{8} * 4096;  // below, finding the true MCUs costs too much
constexpr int kFewestChunks = 4;
constexpr int64_t kFewestMcus = 4096;

}  // namespace

bool SpeculativeDecoder::Applies(const Frame& frame, Bytes stream) {
  const Scan& scan = frame.scans[0];
  const int64_t mcus = int64_t{frame.mcus_x} * frame.mcus_y;
  const bool plain = scan.count > 1 || (frame.component[0].h == 1 && frame.component[0].v == 1);
  return frame.scans.size() == 1 && plain && mcus >= kFewestMcus &&
         (stream.size() - scan.begin) * 8 >= kFewestChunks * kLeastChunkBits;
}

void SpeculativeDecoder::Open(Bytes stream, const Frame& frame, const McuRect& wanted, HuffmanCache* cache,
                              const JpegKernels& kernels, McuQuadLayout layout, HelperThreads* helpers) {
  Close();
  const Scan& scan = frame.scans[0];
  mcu_ = McuTables(frame, scan, cache);
  layout_ = std::move(layout);
  bridge_.Use(&layout_);
  interval_ = scan.restart_interval;
  wanted_ = wanted;
  mcus_x_ = frame.mcus_x;
  mcus_ = mcus_x_ * frame.mcus_y;
  oldest_ = resolved_ = true_mcu_ = 0;
  Unstuff(stream, scan, kernels);
  PlanChunks();
  chunks_.clear();
  chunks_.resize(begins_.size() - 1);
  claimed_ = prepared_ = 0;
  true_bit_ = 0;
  true_dc_.fill(0);
  // One to work on and two in store for each thread, and what a row of MCUs needs.
  chunks_ahead_ = 3 * (helpers->size() + 1) + 2;
  stop_ = false;
  Recycle(0);
  helpers_ = helpers;
  helpers_->Start([this] { Help(); });
}

void SpeculativeDecoder::Close() {
  if (!helpers_) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  std::exchange(helpers_, nullptr)->Stop();
  for (auto& chunk : chunks_) {
    if (chunk) spare_.push_back(std::move(chunk));
  }
  chunks_.clear();
}

void SpeculativeDecoder::Trim(size_t keep_bytes) {
  data_.ShrinkAbove(keep_bytes);
  if (segments_.capacity() * sizeof(segments_[0]) > keep_bytes) std::vector<uint64_t>().swap(segments_);
  size_t kept = 0;
  std::erase_if(spare_, [&](const auto& chunk) { return (kept += chunk->store.bytes()) > keep_bytes; });
}

void SpeculativeDecoder::Unstuff(Bytes stream, const Scan& scan, const JpegKernels& kernels) {
  const uint8_t* raw = stream.data() + scan.begin;
  const uint8_t* const end = stream.data() + stream.size();
  uint8_t* const data = data_.Reserve(end - raw + BitReader::kMcuBytes + kJpegSlack);
  uint8_t* to = data;
  segments_.clear();
  marker_after_ = 0;
  while (true) {
    if (interval_ > 0) segments_.push_back(static_cast<uint64_t>(to - data) * 8);
    size_t used = 0;
    to += kernels.unstuff(raw, end - raw, to, &used);
    raw += used;
    while (raw < end && *raw == 0xFF) ++raw;
    if (raw == end) break;
    const int code = *raw++;
    if (interval_ == 0 || !marker::IsRestart(code)) {
      marker_after_ = code;
      break;
    }
    if (static_cast<int64_t>(segments_.size() - 1) * interval_ >= mcus_)
      throw Declined("more restart markers than intervals");
    if (code != marker::kRST0 + static_cast<int>((segments_.size() - 1) % 8)) {
      throw Declined("a restart marker is not where it belongs");
    }
  }
  total_bits_ = static_cast<uint64_t>(to - data) * 8;
  std::memset(to, 0, BitReader::kMcuBytes);
}

void SpeculativeDecoder::PlanChunks() {
  const size_t mcu_bytes = layout_.coefficients() * sizeof(int16_t) / kGroupBlocks;
  const int64_t mcus_a_chunk = std::max<int64_t>(kChunkBytes / mcu_bytes, mcus_x_);
  begins_.clear();
  if (interval_ > 0) return PlanSegments(mcus_a_chunk);
  const uint64_t step = std::max(total_bits_ * mcus_a_chunk / mcus_, kLeastChunkBits) / 8 * 8;
  for (uint64_t bit = 0; bit < total_bits_; bit += step) begins_.push_back(bit);
  begins_.push_back(total_bits_);
  // Flat parts of a picture have more MCUs than its mean; a speculative chunk does not go on for ever.
  most_speculative_mcus_ = static_cast<int>(4 * (step * mcus_ / std::max<uint64_t>(total_bits_, 1)) + 64);
}

// Whole segments, from the one that holds the first wanted row.
void SpeculativeDecoder::PlanSegments(int64_t mcus_a_chunk) {
  const uint64_t count = std::min<uint64_t>(segments_.size(), (mcus_ + interval_ - 1) / interval_);
  segments_.resize(count);
  const uint64_t step = std::max<int64_t>(mcus_a_chunk / interval_, 1);
  const uint64_t first = std::min<uint64_t>(mcus_x_ * wanted_.y0 / interval_, count);
  for (uint64_t s = first; s < count; s += step) begins_.push_back(s);
  begins_.push_back(count);
  true_mcu_ = static_cast<int64_t>(first) * interval_;
}

void SpeculativeDecoder::Prepare(int64_t index) {
  std::unique_ptr<Chunk> chunk;
  if (spare_.empty()) {
    chunk = std::make_unique<Chunk>();
  } else {
    chunk = std::move(spare_.back());
    spare_.pop_back();
  }
  chunk->state = State::kIdle;
  chunk->store.Use(&layout_);
  chunks_[index] = std::move(chunk);
}

void SpeculativeDecoder::Recycle(int64_t mcu) {
  for (; oldest_ < resolved_ && chunks_[oldest_]->mcu + chunks_[oldest_]->count <= mcu; ++oldest_) {
    spare_.push_back(std::move(chunks_[oldest_]));
  }
  const auto count = static_cast<int64_t>(chunks_.size());
  const int64_t until = std::min(count, oldest_ + chunks_ahead_);
  if (prepared_ >= until) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (; prepared_ < until; ++prepared_) Prepare(prepared_);
  }
  changed_.notify_all();
}

// Returns when chunk `index` is decoded, speculatively or truly, having done some of the work meanwhile.
void SpeculativeDecoder::Obtain(int64_t index) {
  std::unique_lock<std::mutex> lock(mutex_);
  for (; prepared_ <= index; ++prepared_) Prepare(prepared_);  // a row of MCUs that lies in very many chunks
  Chunk& wanted = *chunks_[index];
  if (claimed_ == index) {
    ++claimed_;
    lock.unlock();
    segments_.empty() ? DecodeTrue(index) : DecodeSegments(index);
    return;
  }
  while (wanted.state != State::kDone) {
    if (claimed_ == prepared_) {
      changed_.wait(lock);
      continue;
    }
    const int64_t other = claimed_++;
    lock.unlock();
    Decode(other);
    lock.lock();
    chunks_[other]->state = State::kDone;
  }
  lock.unlock();
  if (!segments_.empty()) return;
  if (!Join(&wanted)) return DecodeTrue(index);
  // Speculation that stopped before its chunk's end may have left a part of an MCU behind.
  for (int position = wanted.first + wanted.count; position % kGroupBlocks != 0; ++position)
    wanted.store.ClearMcu(position);
  McuCursor cursor = Cursor();
  cursor.Seek(wanted.end, wanted.dc);
  Continue(index, &cursor);
}

void SpeculativeDecoder::Resolve() {
  CheckCancelled();
  if (resolved_ == static_cast<int64_t>(chunks_.size())) throw Declined(kEndsEarly);
  Obtain(resolved_);
  Chunk& chunk = *chunks_[resolved_];
  if (chunk.broken) throw Declined("a broken block");
  chunk.mcu = true_mcu_;
  true_mcu_ += chunk.count;
  true_bit_ = chunk.end;
  true_dc_ = chunk.dc;
  ++resolved_;
}

void SpeculativeDecoder::DecodeTrue(int64_t index) {
  Chunk& chunk = *chunks_[index];
  chunk.first = chunk.count = 0;
  chunk.broken = false;
  McuCursor cursor = Cursor();
  cursor.Seek(true_bit_, true_dc_);
  Continue(index, &cursor);
}

// From the true state behind the chunk's MCUs to where the next chunk begins.
void SpeculativeDecoder::Continue(int64_t index, McuCursor* cursor) {
  Chunk& chunk = *chunks_[index];
  for (; cursor->bit() < begins_[index + 1] && true_mcu_ + chunk.count < mcus_; ++chunk.count) {
    const bool wanted = IsWanted(true_mcu_ + chunk.count);
    if (!cursor->Decode(&chunk.store, chunk.first + chunk.count, wanted)) throw Declined("a broken block");
    if (cursor->bit() > total_bits_) throw Declined(kEndsEarly);
  }
  chunk.end = cursor->bit();
  chunk.dc = cursor->dc();
}

// Makes a speculative chunk true: decodes from the true state until it meets one of the chunk's MCUs, puts what
// it decoded before that one, and corrects the predictions after it. False: they do not meet.
bool SpeculativeDecoder::Join(Chunk* chunk) {
  McuCursor cursor = Cursor();
  cursor.Seek(true_bit_, true_dc_);
  int met = 0, decoded = 0;
  while (true) {
    while (met < chunk->count && chunk->starts[met] < cursor.bit()) ++met;
    if (met == chunk->count || true_mcu_ + decoded >= mcus_) return false;
    if (chunk->starts[met] == cursor.bit()) break;
    if (decoded == kHeadroom || !cursor.Decode(&bridge_, decoded)) return false;
    ++decoded;
  }
  const int blocks = layout_.blocks, join = chunk->first + met;
  std::array<int, 4> correction = cursor.dc();
  if (met > 0) {
    for (int i = 0; i < blocks; ++i) {  // the last block of each component counts
      const int c = mcu_[i].component;
      correction[c] = cursor.dc()[c] - chunk->store.block(join - 1, i)[0];
    }
  }
  const int begin = join - decoded;
  for (int quad = begin / kGroupBlocks; quad < kHeadroom / kGroupBlocks; ++quad) chunk->store.Clear(quad);
  // Wrong MCUs beside true ones must not be transformed with them: they may be out of range.
  for (int position = begin / kGroupBlocks * kGroupBlocks; position < begin; ++position)
    chunk->store.ClearMcu(position);
  for (int k = 0; k < decoded; ++k) chunk->store.Copy(begin + k, &bridge_, k);
  const int end = static_cast<int>(std::min<int64_t>(chunk->first + chunk->count, join + mcus_ - true_mcu_ - decoded));
  for (int position = join; position < end; ++position) {
    for (int i = 0; i < blocks; ++i) {
      int16_t& dc = chunk->store.block(position, i)[0];
      const int value = dc + correction[mcu_[i].component];
      if (value != static_cast<int16_t>(value)) throw Declined("DC coefficients out of range");
      dc = static_cast<int16_t>(value);
    }
  }
  for (int c = 0; c < 4; ++c) chunk->dc[c] += correction[c];
  chunk->first = begin;
  chunk->count = end - begin;
  chunk->broken = false;
  return true;
}

}  // namespace fastpre
