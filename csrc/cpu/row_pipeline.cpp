#include "cpu/row_pipeline.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/call_context.h"
#include "core/round.h"

namespace fastpre {
namespace {

// Rows are decoded in blocks so that a block and the taps' weights share L2, and so that reading
// the clock (about 25 ns) is paid per block and not per row.
constexpr size_t kBlockBytes = size_t{128} << 10;
constexpr int kMaxBlockRows = 16;
// libjpeg-turbo's colour conversion writes 32-byte aligned rows with non-temporal stores, past the
// caches: reading such rows back cost 0.09 ms of a 0.2 MP image's 0.12 ms of horizontal resampling.
constexpr size_t kMisalignment = 16;

// Rows of the first pass's result (or, transposed, of the source) that the second pass still needs.
class Ring {
 public:
  Ring(Buffer* buffer, int rows, size_t row_bytes)
      : stride_(RoundUp(row_bytes + kRowSlack, Buffer::kAlignment)),
        rows_(rows),
        data_(buffer->Reserve(stride_ * rows)) {}
  uint8_t* row(int index) { return data_ + (index % rows_) * stride_; }

 private:
  size_t stride_;
  int rows_;
  uint8_t* data_;
};

// The second pass down a ring, shared by both orders: calls emit(j, pointers) for every output
// position whose last tap has arrived.
class VerticalPass {
 public:
  VerticalPass(const Taps& taps, Ring* ring) : taps_(taps), ring_(ring) {
    pointers_.resize(static_cast<size_t>(RoundUp(std::max(taps_.longest(), 1), kQuad)));
  }
  template <class Emit>
  void Arrived(int row, Emit emit) {
    while (next_ < taps_.count && taps_.start[next_] + taps_.length[next_] <= row + 1) {
      const int first = taps_.start[next_], last = first + taps_.length[next_] - 1;
      const int padded = static_cast<int>(RoundUp(taps_.length[next_], kQuad));
      for (int k = 0; k < padded; ++k) pointers_[k] = ring_->row(std::min(first + k, last));
      emit(next_, pointers_.data());
      ++next_;
    }
  }
  bool done() const { return next_ == taps_.count; }

 private:
  const Taps& taps_;
  Ring* ring_;
  std::vector<const uint8_t*> pointers_;
  int next_ = 0;
};

}  // namespace

void RowPipeline::Run(RowReader& reader, const ImageTask& task) {
  StageClock clock(task.record);
  const Plan& plan = task.plan;
  const KernelTable& kernels = KernelsFor(KernelsFor(ActiveKernels(), plan.columns), plan.rows);
  task.record->target = kernels.name;
  Store store(kernels, task.affine, task.spec.color, task.out, ComputePlacement(plan, task.out), plan.columns.count);
  store.Padding(plan);
  if (plan.columns.copies() && plan.rows.copies()) return Copy(reader, task, kernels, &store);
  clock.Charge(kStageResample);
  Resample(reader, task, kernels, &store);
}

void RowPipeline::Trim(size_t keep_bytes) {
  for (Buffer* b : {&rows_, &ring_, &narrow_, &row_out_, &columns_.weights, &columns_.permutation, &lines_.weights})
    b->ShrinkAbove(keep_bytes);
}

void RowPipeline::Copy(RowReader& reader, const ImageTask& task, const KernelTable& kernels, Store* store) {
  StageClock clock(task.record);
  const Plan& plan = task.plan;
  const size_t row_stride = RoundUp(reader.row_bytes() + kRowSlack, 64);
  const int block = std::clamp(static_cast<int>(kBlockBytes / row_stride), 1, kMaxBlockRows);
  uint8_t* rows = rows_.Reserve(block * row_stride + kMisalignment) + kMisalignment;
  for (int y = plan.source.y0; y < plan.source.y1; y += block) {
    const int count = std::min(block, plan.source.y1 - y);
    CheckCancelledByRow();
    reader.Read(count, rows, row_stride);
    clock.Charge(kStageDecode);
    for (int k = 0; k < count; ++k) {
      uint8_t* pixels = rows + k * row_stride + reader.left_bytes();
      if (task.spec.color == Color::kL) kernels.luma(pixels, plan.source.width());
      store->Row(pixels, y + k - plan.source.y0);
    }
    clock.Charge(kStageStore);
  }
  task.record->peak_bytes = static_cast<int64_t>(rows_.capacity());
}

void RowPipeline::Resample(RowReader& reader, const ImageTask& task, const KernelTable& kernels, Store* store) {
  StageClock clock(task.record);
  const Plan& plan = task.plan;
  PackHorizontal(kernels, plan.columns, plan.source.x0, &columns_);
  PackVertical(kernels, plan.rows, &lines_);

  const size_t left = reader.left_bytes();
  const size_t row_stride = RoundUp(reader.row_bytes() + columns_.overread_pixels * kPixelBytes + kRowSlack, 64);
  const int block = std::clamp(static_cast<int>(kBlockBytes / row_stride), 1, kMaxBlockRows);
  const int narrow_bytes = plan.columns.count * kPixelBytes;
  const int source_bytes = plan.source.width() * kPixelBytes;
  const size_t line_stride = RoundUp(narrow_bytes + kRowSlack, 64);
  uint8_t* lines = narrow_.Reserve(kMaxBlockRows * line_stride);
  uint8_t* tall = row_out_.Reserve(source_bytes + columns_.overread_pixels * kPixelBytes + kRowSlack);
  uint8_t* rows = rows_.Reserve(block * row_stride + kMisalignment) + kMisalignment;
  const int kept = std::max(plan.rows.longest(), 1) + kRowsAtOnce - 1;
  Ring ring(&ring_, kept, plan.vertical_first ? source_bytes + columns_.overread_pixels * kPixelBytes : narrow_bytes);
  VerticalPass vertical(plan.rows, &ring);
  clock.Charge(kStageResample);

  // Finished rows wait here so that the clock is read once for several of them.
  int pending[kMaxBlockRows], pending_count = 0;
  auto flush = [&] {
    CheckCancelledByRow();
    clock.Charge(kStageResample);
    for (int i = 0; i < pending_count; ++i) store->Row(lines + i * line_stride, pending[i]);
    pending_count = 0;
    clock.Charge(kStageStore);
  };

  for (int y = plan.source.y0; y < plan.source.y1; y += block) {
    const int count = std::min(block, plan.source.y1 - y);
    reader.Read(count, rows, row_stride);
    clock.Charge(kStageDecode);
    for (int k = 0; k < count; k += kRowsAtOnce) {
      const int taken = std::min(kRowsAtOnce, count - k);
      const uint8_t* from[kRowsAtOnce];
      uint8_t* to[kRowsAtOnce];
      for (int r = 0; r < taken; ++r) {
        uint8_t* pixels = rows + (k + r) * row_stride + left;
        if (task.spec.color == Color::kL) kernels.luma(pixels, plan.source.width());
        from[r] = pixels;
        to[r] = ring.row(y + k + r);
        if (plan.vertical_first) std::memcpy(to[r], from[r], source_bytes);
      }
      if (!plan.vertical_first) kernels.horizontal(from, taken, columns_, to);
      vertical.Arrived(y + k + taken - 1, [&](int j, const uint8_t* const* taps) {
        uint8_t* line = lines + pending_count * line_stride;
        if (plan.vertical_first) {
          kernels.vertical(taps, lines_, j, source_bytes, tall);
          kernels.horizontal(&tall, 1, columns_, &line);
        } else {
          kernels.vertical(taps, lines_, j, narrow_bytes, line);
        }
        pending[pending_count++] = j;
        if (pending_count == kMaxBlockRows) flush();
      });
    }
    flush();
  }
  task.record->peak_bytes =
      static_cast<int64_t>(rows_.capacity() + ring_.capacity() + narrow_.capacity() + row_out_.capacity() +
                           columns_.weights.capacity() + lines_.weights.capacity());
  if (!vertical.done()) ThrowInternal("rows ended before the plan did");
}

}  // namespace fastpre
