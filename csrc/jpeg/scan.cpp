#include "jpeg/scan.h"

#include <algorithm>

#include "core/call_context.h"
#include "jpeg/block.h"
#include "jpeg/declined.h"

namespace fastpre {
namespace {

constexpr int kAtOnce = 256;  // MCUs, so that predictions cannot overflow before they are looked at
constexpr const char* kNoRestart = "a restart marker is not where it belongs";

}  // namespace

std::vector<BlockTables> McuTables(const Frame& frame, const Scan& scan, HuffmanCache* cache) {
  std::vector<BlockTables> mcu;
  for (int i = 0; i < scan.count; ++i) {
    const ScanComponent& c = scan.component[i];
    const FrameComponent& f = frame.component[c.index];
    const BlockTables block{cache->Dc(frame.dc_code[c.dc]), cache->Ac(frame.ac_code[c.ac]), i};
    mcu.insert(mcu.end(), scan.count == 1 ? 1 : f.h * f.v, block);
  }
  return mcu;
}

void ScanDecoder::Open(Bytes stream, const Frame& frame, const Scan& scan, HuffmanCache* cache,
                       const JpegKernels& kernels) {
  mcu_ = McuTables(frame, scan, cache);
  interval_ = until_restart_ = scan.restart_interval;
  next_restart_ = 0;
  dc_.fill(0);
  reader_.Open(stream, scan.begin, kernels);
  reader_.Start(&bits_);
}

void ScanDecoder::Restart(Bits* bits) {
  if (!reader_.NextSegment(next_restart_, bits)) throw Declined(kNoRestart);
  next_restart_ = (next_restart_ + 1) % 8;
  until_restart_ = interval_;
  dc_.fill(0);
}

// block(m, i, dc, bits, tables): the AC coefficients of block i of MCU m; returns the position of the last one.
template <class Block>
[[gnu::always_inline]] inline void ScanDecoder::Run(int count, const Block& block) {
  Bits bits = bits_;
  const BlockTables* const mcu = mcu_.data();
  const int blocks = this->blocks();
  for (int m = 0; m < count; ++m) {
    if (interval_ > 0) {
      if (until_restart_ == 0) Restart(&bits);
      --until_restart_;
    }
    if (!reader_.Reserve(&bits)) throw Declined(kEndsEarly);
    for (int i = 0; i < blocks; ++i) {
      const BlockTables& tables = mcu[i];
      bits.Refill();
      int difference;
      if (!TakeDc(&bits, *tables.dc, &difference)) throw Declined("a code that no Huffman table has");
      int& dc = dc_[tables.component];
      dc += difference;
      if (block(m, i, dc, &bits, *tables.ac) < 0) throw Declined("a broken block");
    }
  }
  if (!reader_.Reserve(&bits)) throw Declined(kEndsEarly);
  bits_ = bits;
  // libjpeg-turbo gives up where predictions overflow; those of a photograph stay within 12 bits.
  for (const int dc : dc_) {
    if (dc < -(1 << 20) || dc > 1 << 20) throw Declined("DC coefficients out of range");
  }
}

void ScanDecoder::Decode(int count, const BlockTarget* targets) {
  Run(count, [&](int, int, int dc, Bits* bits, const AcTable& table) __attribute__((always_inline)) {
    const BlockTarget& target = *targets++;
    DenseBlock out{target.coefficients};
    target.coefficients[0] = static_cast<int16_t>(dc);
    const int last = TakeAc(bits, table, out);
    *target.last = std::max(*target.last, static_cast<uint8_t>(last));
    return last;
  });
}

void ScanDecoder::DecodeSparse(int count, const SparseTarget* targets, int first, SparseWriter* writer) {
  for (; count > kAtOnce; count -= kAtOnce, first += kAtOnce) RunSparse(kAtOnce, targets, first, writer);
  if (count > 0) RunSparse(count, targets, first, writer);
}

void ScanDecoder::RunSparse(int count, const SparseTarget* targets, int first, SparseWriter* writer) {
  Run(count, [&](int m, int i, int dc, Bits* bits, const AcTable& table) __attribute__((always_inline)) {
    SparseEntries out = writer->Begin(dc);
    const int last = TakeAc(bits, table, out);
    if (last >= 0) writer->End(out, targets[i], first + m);
    return last;
  });
}

void ScanDecoder::Skip(int64_t count) {
  const auto skip = [&](int mcus) {
    Run(mcus, [](int, int, int, Bits* bits, const AcTable& table) __attribute__((always_inline)) {
      NoBlock out;
      return TakeAc(bits, table, out);
    });
  };
  for (; count > kAtOnce; count -= kAtOnce) {
    CheckCancelledByRow();
    skip(kAtOnce);
  }
  if (count > 0) skip(static_cast<int>(count));
}

// What a damaged interval holds would not have mattered: libjpeg, too, starts afresh behind the marker.
int64_t ScanDecoder::SkipSegments(int64_t count) {
  const int64_t segments = interval_ > 0 ? count / interval_ : 0;
  if (segments == 0) return count;
  if (!reader_.SkipSegments(0, segments, &bits_)) throw Declined(kNoRestart);
  next_restart_ = static_cast<int>(segments % 8);
  return count - segments * interval_;
}

}  // namespace fastpre
