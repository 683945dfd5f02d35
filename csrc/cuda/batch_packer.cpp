#include "cuda/batch_packer.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"
#include "core/round.h"
#include "cuda/kernels/idct.h"

namespace fastpre::cuda {
namespace {

constexpr size_t kAlignment = 16;
// A tile has at most 64 positions a side, which are whole sectors of every dtype, and 1024 in all.
constexpr int kMostSide = 6, kMostTile = 10;  // log2
// Registers allow four blocks of 256 threads on a multiprocessor (64 each on most); up to here shared memory does too,
// also where there are 100 KB of it.
constexpr size_t kGoodShared = size_t{24} << 10;
constexpr size_t kChunkBytes = size_t{6} << 10;
constexpr int kMostChunkLines = 64;

// The longest stretch of source that a tile of `positions` positions reads.
int LongestSpan(const Taps& taps, int positions, int alignment) {
  int longest = 0;
  for (int from = 0; from < taps.count; from += positions) {
    const int to = std::min(from + positions, taps.count);
    int begin = taps.start[from], end = 0;
    for (int i = from; i < to; ++i) {
      begin = std::min(begin, taps.start[i]);
      end = std::max(end, taps.start[i] + taps.length[i]);
    }
    longest = std::max(longest, end - begin / alignment * alignment);
  }
  return longest;
}

Tiling TilingOf(const std::vector<AxisPair>& planes, bool vertical_first, bool planar, int x_log2, int y_log2) {
  const size_t element = planar ? 1 : 4;
  int along = 0, lines = 0;
  for (const AxisPair& p : planes) {
    const int x = LongestSpan(*p.columns, 1 << x_log2, planar ? 1 : 4), y = LongestSpan(*p.rows, 1 << y_log2, 1);
    along = std::max(along, vertical_first ? y : x);
    lines = std::max(lines, vertical_first ? x : y);
  }
  Tiling t;
  t.x_log2 = x_log2;
  t.y_log2 = y_log2;
  // Columns of pixels are staged by fours. An odd number of words a line keeps a warp that goes across lines off one
  // bank.
  t.line_length = vertical_first ? along | 1 : static_cast<int>(RoundUp(along, 4));
  t.lines = vertical_first && !planar ? static_cast<int>(RoundUp(lines, 4)) : lines;
  const int fitting = static_cast<int>(kChunkBytes / (element * t.line_length)) / 4 * 4;
  t.chunk_lines = std::clamp(fitting, 4, std::min(kMostChunkLines, static_cast<int>(RoundUp(lines, 4))));
  const size_t tile = size_t{1} << (x_log2 + y_log2);
  const size_t narrow = static_cast<size_t>(t.lines) << (vertical_first ? y_log2 : x_log2);
  t.shared_bytes = tile * 4 + element * (static_cast<size_t>(t.chunk_lines) * t.line_length + narrow);
  return t;
}

int TilesOf(int count, int log2) { return CeilDiv(count, 1 << log2); }

size_t AxisBytes(const Taps& taps, int tile_log2) {
  return sizeof(Span) * (taps.count + TilesOf(taps.count, tile_log2)) +
         sizeof(int32_t) * static_cast<size_t>(taps.count) * taps.longest() + 3 * kAlignment;
}

// Equal for equal taps, and cheap: who has it looks at the rest.
size_t Summary(const Taps& taps) {
  size_t h = static_cast<size_t>(taps.count) * 31 + static_cast<size_t>(taps.stride);
  for (const int i : {0, taps.count / 2, taps.count - 1}) {
    h = h * 1000003 ^ static_cast<size_t>(taps.start[i]);
    h = h * 1000003 ^ static_cast<size_t>(taps.length[i]);
    h = h * 1000003 ^ static_cast<size_t>(taps.weight[static_cast<size_t>(i) * taps.stride]);
  }
  return h;
}

bool Same(const Taps& a, const Taps& b) {
  return &a == &b || (a.count == b.count && a.stride == b.stride && a.start == b.start && a.length == b.length &&
                      a.weight == b.weight);
}

}  // namespace

// Of the tilings that leave room for other blocks, the one that stages the least for each result; where none does, the
// one that needs the least memory.
Tiling ChooseTiling(const std::vector<AxisPair>& planes, bool vertical_first, bool planar) {
  const int width = planes[0].columns->count, height = planes[0].rows->count;
  Tiling best;
  best.shared_bytes = SIZE_MAX;
  double least = 0;
  for (int x = kMostSide; x >= 0; --x) {
    for (int y = std::min(kMostSide, kMostTile - x); y >= 0; --y) {
      const Tiling t = TilingOf(planes, vertical_first, planar, x, y);
      const double results = static_cast<double>(std::min(width, 1 << x)) * std::min(height, 1 << y);
      // Rows of less than 32 positions are half-used sectors and idle threads.
      const double narrowness = x >= 5 ? 1.0 : 1.0 + 0.15 * (5 - x);
      const double cost = narrowness * t.lines * t.line_length / results;
      const bool good = t.shared_bytes <= kGoodShared, best_good = best.shared_bytes <= kGoodShared;
      if (good != best_good ? good : good ? cost < least : t.shared_bytes < best.shared_bytes) {
        best = t;
        least = cost;
      }
    }
  }
  return best;
}

size_t BatchPacker::MostBytes(const std::vector<AxisPair>& planes, const Tiling& tiling) {
  size_t bytes = 0;
  for (const AxisPair& p : planes) bytes += AxisBytes(*p.columns, tiling.x_log2) + AxisBytes(*p.rows, tiling.y_log2);
  return bytes + BatchBytes(1);
}

size_t BatchPacker::BatchBytes(size_t images) {
  constexpr size_t kTasks = 5;  // an image and four strips of padding
  return images * (kTasks * (sizeof(ResampleTask) + sizeof(uint32_t)) +
                   4 * (sizeof(IdctTask) + sizeof(uint32_t) + 64 * sizeof(int16_t)) + 16 * kAlignment) +
         3 * 256 * (sizeof(float) + sizeof(uint16_t)) + 16 * kAlignment;
}

const uint8_t* BatchPacker::PutBytes(const void* values, size_t bytes) {
  const size_t at = RoundUp(used_, kAlignment);
  if (at + bytes > capacity_) ThrowInternal("descriptors take more than was laid out for them");
  if (bytes > 0) std::memcpy(host_ + at, values, bytes);
  used_ = at + bytes;
  return device_ + at;
}

DeviceAxis BatchPacker::PutAxis(const Taps& taps, int tile_log2) {
  const int longest = taps.longest();
  const auto range = axes_.equal_range(Summary(taps));
  for (auto it = range.first; it != range.second; ++it) {
    if (it->second.tile_log2 == tile_log2 && Same(*it->second.taps, taps)) return it->second.axis;
  }

  std::vector<Span> spans(taps.count), tiles(TilesOf(taps.count, tile_log2), Span{INT32_MAX, 0});
  std::vector<int32_t> weights(static_cast<size_t>(taps.count) * longest, 0);
  for (int i = 0; i < taps.count; ++i) {
    spans[i] = {taps.start[i], taps.start[i] + taps.length[i]};
    Span& tile = tiles[i >> tile_log2];
    tile = {std::min(tile.begin, spans[i].begin), std::max(tile.end, spans[i].end)};
    for (int k = 0; k < taps.length[i]; ++k) {
      weights[static_cast<size_t>(k) * taps.count + i] = taps.weight[static_cast<size_t>(i) * taps.stride + k];
    }
  }
  DeviceAxis axis;
  axis.taps.span = Put(spans.data(), spans.size());
  axis.taps.weight = Put(weights.data(), weights.size());
  axis.taps.count = taps.count;
  axis.tile_span = Put(tiles.data(), tiles.size());
  axes_.emplace(Summary(taps), Axis{&taps, tile_log2, axis});
  return axis;
}

void BatchPacker::AddTask(const ResampleTask& task, size_t shared_bytes) {
  if (task.out.columns <= 0 || task.out.rows <= 0) return;
  tasks_.push_back(task);
  first_tile_.push_back(tiles_);
  const int64_t tiles = int64_t{TilesOf(task.out.columns, task.tile_x_log2)} * TilesOf(task.out.rows, task.tile_y_log2);
  if (tiles > INT32_MAX - tiles_) ThrowInternal("a batch of more tiles than a grid has");
  tiles_ += static_cast<uint32_t>(tiles);
  shared_bytes_ = std::max(shared_bytes_, shared_bytes);
}

void BatchPacker::Add(const DeviceImage& image, const Tiling& tiling) {
  const Plan& plan = *image.plan;
  ResampleTask task{};
  task.kind = TaskKind::kResample;
  task.color = image.color;
  task.components = static_cast<uint8_t>(image.components);
  task.planar = image.planar != nullptr;
  task.vertical_first = task.planar || plan.vertical_first;  // cpu/planar_pipeline.h has that order
  task.luma = image.luma;
  task.tile_x_log2 = static_cast<uint8_t>(tiling.x_log2);
  task.tile_y_log2 = static_cast<uint8_t>(tiling.y_log2);
  task.chunk_lines = tiling.chunk_lines;
  task.line_length = tiling.line_length;
  std::copy(image.plane.begin(), image.plane.end(), task.plane);
  if (image.planar) {
    for (int c = 0; c < image.components; ++c) {
      task.columns[c] = PutAxis(image.planar->of(c).columns, tiling.x_log2);
      task.rows[c] = PutAxis(image.planar->of(c).rows, tiling.y_log2);
    }
  } else {
    task.columns[0] = PutAxis(plan.columns, tiling.x_log2);
    task.rows[0] = PutAxis(plan.rows, tiling.y_log2);
  }
  const Placement place = ComputePlacement(plan, image.out);
  task.out.data =
      static_cast<uint8_t*>(image.out.data) + place.origin * static_cast<ptrdiff_t>(ElementSize(image.out.dtype));
  task.out.channel_step = image.out.stride_c;
  task.out.column_step = place.column_step;
  task.out.row_step = place.row_step;
  task.out.columns = plan.columns.count;
  task.out.rows = plan.rows.count;
  task.out.transposed = plan.orientation.transpose;
  AddTask(task, tiling.shared_bytes);
  AddPadding(image);
}

// As Store::Padding.
void BatchPacker::AddPadding(const DeviceImage& image) {
  const Geometry& g = image.plan->geometry;
  const int bottom = g.pad_top + g.window_height, right = g.pad_left + g.window_width;
  const std::array<uint8_t, 3>* const fill = &image.plan->fill;
  AddRectangle(image.out, 0, 0, g.out_width, g.pad_top, fill, 0);
  AddRectangle(image.out, 0, bottom, g.out_width, g.out_height, fill, 0);
  AddRectangle(image.out, 0, g.pad_top, g.pad_left, bottom, fill, 0);
  AddRectangle(image.out, right, g.pad_top, g.out_width, bottom, fill, 0);
}

void BatchPacker::Fill(const OutputView& out, float value) {
  AddRectangle(out, 0, 0, out.width, out.height, nullptr, value);
}

void BatchPacker::AddRectangle(const OutputView& out, int x0, int y0, int x1, int y1,
                               const std::array<uint8_t, 3>* padding, float value) {
  if (x0 >= x1 || y0 >= y1) return;
  ResampleTask task{};
  task.kind = TaskKind::kFill;
  task.tile_x_log2 = kMostSide;
  task.tile_y_log2 = kMostTile - kMostSide;
  task.out.data = static_cast<uint8_t*>(out.data) +
                  (y0 * out.stride_y + x0 * out.stride_x) * static_cast<ptrdiff_t>(ElementSize(out.dtype));
  task.out.channel_step = out.stride_c;
  task.out.column_step = out.stride_x;
  task.out.row_step = out.stride_y;
  task.out.columns = x1 - x0;
  task.out.rows = y1 - y0;
  std::fill(std::begin(task.fill), std::end(task.fill), ElementBits(out.dtype, value));
  if (padding) padding_.push_back({tasks_.size(), *padding});
  AddTask(task, 0);
}

void BatchPacker::AddIdct(const IdctTask& task) {
  idct_.push_back(task);
  idct_first_.push_back(idct_tiles_);
  idct_tiles_ += static_cast<uint32_t>(CeilDiv(task.blocks, kTileBlocks));
}

IdctLaunch BatchPacker::FinishIdct() {
  IdctLaunch launch{};
  launch.tasks = Put(idct_.data(), idct_.size());
  launch.first_tile = Put(idct_first_.data(), idct_first_.size());
  launch.count = static_cast<int32_t>(idct_.size());
  launch.tiles = idct_tiles_;
  return launch;
}

ResampleLaunch BatchPacker::FinishResample(const Spec& spec, const Affine& affine) {
  ResampleLaunch launch{};
  for (int c = 0; c < 3; ++c) launch.order[c] = spec.color == Color::kBGR ? 2 - c : c;
  launch.dtype = spec.dtype;
  launch.channels = spec.channels();
  for (const Padding& p : padding_) {
    for (int c = 0; c < launch.channels; ++c) {
      const int color = launch.order[c];
      const uint8_t value = p.fill[color];
      tasks_[p.task].fill[c] = spec.dtype == DType::kF32  ? std::bit_cast<uint32_t>(affine.f32[color][value])
                               : spec.dtype == DType::kU8 ? value
                                                          : affine.u16[color][value];
    }
  }
  launch.tasks = Put(tasks_.data(), tasks_.size());
  launch.first_tile = Put(first_tile_.data(), first_tile_.size());
  launch.count = static_cast<int32_t>(tasks_.size());
  launch.tiles = tiles_;
  launch.shared_bytes = static_cast<uint32_t>(shared_bytes_);
  DeviceAffine& a = launch.affine;
  a.f32 = Put(affine.f32[0].data(), 3 * 256);
  a.u16 = Put(affine.u16[0].data(), 3 * 256);
  std::copy(affine.mean.begin(), affine.mean.end(), a.mean);
  std::copy(affine.std.begin(), affine.std.end(), a.std);
  std::copy(affine.inverse_std.begin(), affine.inverse_std.end(), a.inverse_std);
  a.multiply = affine.rescale == Rescale::kMultiply;
  a.computed = affine.reciprocal_exact;
  return launch;
}

}  // namespace fastpre::cuda
