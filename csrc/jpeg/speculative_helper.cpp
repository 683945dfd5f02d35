// The helpers' side of SpeculativeDecoder: chunks decoded before it is known where their MCUs begin.
#include "jpeg/speculative.h"

namespace fastpre {
namespace {

// Speculation that meets a broken code within so many MCUs began badly, and begins again a byte later.
constexpr int kFalseStarts = 64;
// Then the chunk is left to the owner: hostile data must not cost much more than one thread would take.
constexpr int kRetries = 32;

}  // namespace

void SpeculativeDecoder::Help() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stop_) {
    if (claimed_ == prepared_) {
      changed_.wait(lock);
      continue;
    }
    const int64_t index = claimed_++;
    Chunk& chunk = *chunks_[index];
    chunk.state = State::kRunning;
    lock.unlock();
    try {
      Decode(index);
    } catch (...) {  // out of memory: the owner is to try, and to report it
      chunk.count = 0;
      chunk.broken = true;
    }
    lock.lock();
    chunk.state = State::kDone;
    changed_.notify_all();
  }
}

void SpeculativeDecoder::Decode(int64_t index) {
  segments_.empty() ? DecodeSpeculatively(index) : DecodeSegments(index);
}

void SpeculativeDecoder::DecodeSpeculatively(int64_t index) {
  Chunk& chunk = *chunks_[index];
  const uint64_t limit = begins_[index + 1];
  McuCursor cursor = Cursor();
  uint64_t begin = begins_[index];
  int retries = 0;
  cursor.Seek(begin, {});
  chunk.first = kHeadroom;
  chunk.count = 0;
  chunk.starts.clear();
  while (true) {
    chunk.end = cursor.bit();
    chunk.dc = cursor.dc();
    if (chunk.end >= limit || chunk.count >= most_speculative_mcus_ || stop_.load(std::memory_order_relaxed)) return;
    if (cursor.Decode(&chunk.store, chunk.first + chunk.count) && cursor.bit() <= total_bits_) {
      chunk.starts.push_back(chunk.end);
      ++chunk.count;
    } else if (chunk.count < kFalseStarts && begin + 8 < limit && retries++ < kRetries) {
      begin += 8;
      cursor.Seek(begin, {});
      chunk.count = 0;
      chunk.starts.clear();
    } else {
      return;
    }
  }
}

void SpeculativeDecoder::DecodeSegments(int64_t index) {
  Chunk& chunk = *chunks_[index];
  McuCursor cursor = Cursor();
  chunk.first = chunk.count = 0;
  chunk.mcu = static_cast<int64_t>(begins_[index]) * interval_;
  chunk.broken = false;
  for (uint64_t s = begins_[index]; s < begins_[index + 1] && !chunk.broken && !stop_.load(std::memory_order_relaxed);
       ++s) {
    const bool final = s + 1 == segments_.size();
    const uint64_t limit = final ? total_bits_ : segments_[s + 1];
    const int64_t mcus = std::min<int64_t>(interval_, mcus_ - static_cast<int64_t>(s) * interval_);
    cursor.Seek(segments_[s], {});
    for (int64_t m = 0; m < mcus && !chunk.broken; ++m, ++chunk.count) {
      const bool wanted = IsWanted(chunk.mcu + chunk.count);
      chunk.broken = cursor.bit() >= limit || !cursor.Decode(&chunk.store, chunk.count, wanted);
    }
    chunk.broken |= cursor.bit() > limit || (!final && limit - cursor.bit() >= 8);
  }
}

}  // namespace fastpre
