#include "cpu/planar_pipeline.h"

#include <algorithm>
#include <vector>

#include "core/round.h"
#include "jpeg/color.h"
#include "jpeg/mcu_rect.h"

namespace fastpre {

// The MCUs that hold what any component's taps read.
McuRect PlanarPipeline::NeededMcus() const {
  McuRect mcus{frame_.mcus_x, frame_.mcus_y, 0, frame_.mcus_y};
  for (int i = 0; i < frame_.components; ++i) {
    const PlanePlan& p = plan_.of(i);
    const int side_x = frame_.component[i].h * p.scale, side_y = frame_.component[i].v * p.scale;
    mcus.x0 = std::min(mcus.x0, p.columns.first() / side_x);
    mcus.x1 = std::max(mcus.x1, CeilDiv(p.columns.last(), side_x));
    mcus.y0 = std::min(mcus.y0, p.rows.first() / side_y);
  }
  return mcus;
}

// Sample rows that must be decoded before an output row can be made.
int PlanarPipeline::RowsNeeded(const Channel& channel, int line) const {
  return channel.plan->rows.start[line] + channel.plan->rows.length[line];
}

// Components need different rows of MCUs at a time; goes through the motions to see how many there must be.
int PlanarPipeline::KeptRows(int first_row) const {
  int kept = 1, next = first_row;
  for (int from = 0; from < plan_.plane[0].rows.count; from += kBand) {
    const int to = std::min(from + kBand, plan_.plane[0].rows.count);
    int lowest = next;
    for (int i = 0; i < frame_.components; ++i) {
      const Taps& rows = plan_.of(i).rows;
      const int side = frame_.component[i].v * plan_.of(i).scale;
      for (int j = from; j < to; ++j) {
        next = std::max(next, CeilDiv(rows.start[j] + rows.length[j], side));
        lowest = std::min(lowest, rows.start[j] / side);
      }
    }
    kept = std::max(kept, next - lowest);
  }
  return kept;
}

void PlanarPipeline::Run(const ImageTask& task) {
  StageClock clock(task.record);
  frame_ = ParseFrame(task.bytes, task.header);
  plan_ = ComputePlanarPlan(task.header, task.plan);
  const KernelTable* kernels = &ActiveKernels();
  for (int i = 0; i < frame_.components; ++i) {
    kernels = &KernelsFor(KernelsFor(*kernels, plan_.of(i).columns), plan_.of(i).rows);
  }
  task.record->target = kernels->name;
  size_t widest = 0;
  for (int i = 0; i < frame_.components; ++i) {
    Channel& c = channels_[i];
    if (plan_.same_sampling[i] != i) continue;
    c.plan = &plan_.plane[i];
    c.first = c.plan->columns.first();
    PackHorizontal(*kernels, c.plan->columns, c.first, &c.columns);
    PackVertical(*kernels, c.plan->rows, &c.lines);
    c.bytes = c.plan->columns.last() - c.first;
    widest = std::max(widest, static_cast<size_t>(c.bytes + c.columns.overread_pixels));
  }
  const int count = plan_.plane[0].columns.count, lines = plan_.plane[0].rows.count;
  tall_stride_ = RoundUp(widest + kRowSlack, 64);
  line_stride_ = RoundUp(static_cast<size_t>(count) + kRowSlack, 64);
  tall_.Reserve(tall_stride_ * kQuad);
  quad_.Reserve(widest * kPixelBytes + kRowSlack);
  narrow_.Reserve(static_cast<size_t>(count) * kPixelBytes + kRowSlack);
  lines_.Reserve(line_stride_ * kBand * frame_.components);
  pixels_.Reserve(static_cast<size_t>(count) * kPixelBytes + kRowSlack);

  const JpegKernels& jpeg = JpegKernelsFor(kernels->target);
  Store store(*kernels, task.affine, task.spec.color, task.out, ComputePlacement(task.plan, task.out), count);
  store.Padding(task.plan);
  clock.Charge(kStageResample);
  const McuRect mcus = NeededMcus();
  PlaneOptions options;
  options.kept_rows = KeptRows(mcus.y0);
  for (int i = 0; i < frame_.components; ++i) options.scale[i] = plan_.of(i).scale;
  planes_.Open(task.bytes, frame_, mcus, options, jpeg, task.helpers);
  for (int from = 0; from < lines; from += kBand) {
    const int to = std::min(from + kBand, lines);
    for (int i = 0; i < frame_.components; ++i) {
      const int side = frame_.component[i].v * plan_.of(i).scale;
      for (int j = from; j < to; ++j) {
        while (planes_.next_row() * side < RowsNeeded(channels_[plan_.same_sampling[i]], j)) planes_.DecodeRow();
      }
    }
    clock.Charge(kStageDecode);
    for (int i = 0; i < frame_.components; ++i) Resample(i, from, to, *kernels);
    clock.Charge(kStageResample);
    for (int j = from; j < to; ++j) {
      const uint8_t* in[4] = {};
      for (int i = 0; i < frame_.components; ++i) in[i] = Line(i, j - from);
      PlanesToRgbx(frame_.color, jpeg, in, count, pixels_.data());
      if (task.spec.color == Color::kL) kernels->luma(pixels_.data(), count);
      store.Row(pixels_.data(), j);
    }
    clock.Charge(kStageStore);
  }
  task.record->peak_bytes = static_cast<int64_t>(planes_.capacity() + tall_.capacity() + quad_.capacity() +
                                                 narrow_.capacity() + lines_.capacity() + pixels_.capacity());
}

// Output rows [from, to) of component c into its lines.
void PlanarPipeline::Resample(int c, int from, int to, const KernelTable& kernels) {
  Channel& channel = channels_[plan_.same_sampling[c]];
  const Taps& rows = channel.plan->rows;
  std::vector<const uint8_t*> taps(RoundUp(std::max(rows.longest(), 1), kQuad));
  for (int j = from; j < to; j += kQuad) {
    const uint8_t* tall[kQuad];
    uint8_t* lines[kQuad];
    for (int k = 0; k < kQuad; ++k) {
      lines[k] = Line(c, j - from + k);
      tall[k] = tall_.data() + tall_stride_ * std::min(k, to - 1 - j);
      if (j + k >= to) continue;
      const int first = rows.start[j + k], last = first + rows.length[j + k] - 1;
      for (size_t t = 0; t < RoundUp(rows.length[j + k], kQuad); ++t) {
        taps[t] = planes_.row(c, std::min(first + static_cast<int>(t), last)) + channel.first;
      }
      kernels.vertical(taps.data(), channel.lines, j + k, channel.bytes, tall_.data() + tall_stride_ * k);
    }
    const JpegKernels& jpeg = JpegKernelsFor(kernels.target);
    uint8_t *quad = quad_.data(), *narrow = narrow_.data();
    jpeg.interleave4(tall, channel.bytes, quad);
    kernels.horizontal(&quad, 1, channel.columns, &narrow);
    jpeg.deinterleave4(narrow, channel.plan->columns.count, lines);
  }
}

void PlanarPipeline::Trim(size_t keep_bytes) {
  planes_.Close();
  planes_.Trim(keep_bytes);
  for (Buffer* b : {&tall_, &quad_, &narrow_, &lines_, &pixels_}) b->ShrinkAbove(keep_bytes);
}

}  // namespace fastpre
