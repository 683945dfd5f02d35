#include "cuda/coefficients.h"

#include <algorithm>
#include <cstring>

#include "core/round.h"
#include "jpeg/declined.h"
#include "jpeg/mcu_rect.h"

namespace fastpre::cuda {
namespace {

constexpr size_t kAlignment = 256;
constexpr int kPitchStep = 64;

}  // namespace

CoefficientLayout LayOutCoefficients(const Frame& frame, const Rect& source, size_t compressed_bytes) {
  CoefficientLayout layout;
  const McuRect mcus = NeededMcus(frame, source);
  size_t at = 0, blocks = 0;
  for (int i = 0; i < frame.components; ++i) {
    const FrameComponent& f = frame.component[i];
    CoefficientLayout::Component& c = layout.component[i];
    c.column = mcus.x0 * f.h;
    c.row = mcus.y0 * f.v;
    c.blocks_x = std::min(mcus.x1, frame.mcus_x) * f.h - c.column;
    c.blocks_y = std::min(mcus.y1, frame.mcus_y) * f.v - c.row;
    const size_t count = static_cast<size_t>(c.blocks_x) * c.blocks_y;
    c.offsets = at;
    at = RoundUp(at + count * sizeof(uint32_t), kAlignment);
    c.counts = at;
    at = RoundUp(at + count, kAlignment);
    c.pitch = static_cast<int>(RoundUp(static_cast<size_t>(c.blocks_x) * 8, kPitchStep));
    c.plane = layout.plane_bytes;
    layout.plane_bytes += RoundUp(static_cast<size_t>(c.pitch) * c.blocks_y * 8, kAlignment);
    blocks += count;
  }
  layout.words = at;
  // Photographs take up to 1.8 words a byte (benchmarks/upload.py); what takes more than two, and one a block, is the
  // CPU's. And no block takes more than its most, however much of the file is something else.
  const size_t words = std::min(2 * compressed_bytes + blocks, blocks * kMostBlockWords) + 2 * kMostBlockWords;
  layout.region_bytes = RoundUp(at + words * sizeof(uint16_t), kAlignment);
  return layout;
}

size_t CoefficientPacker::Pack(Bytes stream, const Frame& frame, const Rect& source, const CoefficientLayout& layout,
                               bool check_tail, const JpegKernels& kernels, HelperThreads* helpers, uint8_t* region) {
  struct Closer {
    GroupDecoder& groups;
    ~Closer() { groups.Close(); }
  } const closer{groups_};
  // Blocks of an MCU that a scan of one component does not code are flat and gray where they are looked at.
  std::array<SparseTables, 4> tables;
  for (int i = 0; i < frame.components; ++i) {
    const CoefficientLayout::Component& c = layout.component[i];
    const size_t count = static_cast<size_t>(c.blocks_x) * c.blocks_y;
    tables[i] = {reinterpret_cast<uint32_t*>(region + c.offsets), region + c.counts, c.column, c.row, c.blocks_x};
    std::memset(region + c.offsets, 0, count * sizeof(uint32_t));
    std::memset(region + c.counts, 0, count);
  }
  auto* const words = reinterpret_cast<uint16_t*>(region + layout.words);
  words[0] = 0;
  writer_.Open(words, 1, reinterpret_cast<uint16_t*>(region + layout.region_bytes), kernels);
  const McuRect mcus = NeededMcus(frame, source);
  groups_.Open(stream, frame, mcus, kernels, helpers);
  while (groups_.next_row() < mcus.y1) groups_.DecodeRow(tables, &writer_);
  if (check_tail) groups_.CheckTail();
  return static_cast<size_t>(reinterpret_cast<uint8_t*>(writer_.next()) - region);
}

void CoefficientPacker::Trim(size_t keep_bytes) {
  groups_.Close();
  groups_.Trim(keep_bytes);
}

}  // namespace fastpre::cuda
