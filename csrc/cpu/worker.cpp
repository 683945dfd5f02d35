#include "cpu/worker.h"

#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "core/file.h"
#include "core/fork_safe.h"
#include "cpu/decoder_choice.h"
#include "cpu/kernels/kernels.h"
#include "jpeg/declined.h"

namespace fastpre {
namespace {

// Scratch that one image left behind and that is worth keeping for the next.
constexpr size_t kKeepBytes = size_t{8} << 20;

struct IdleWorkers {
  std::mutex mutex;
  std::vector<std::unique_ptr<Worker>> list;
};

}  // namespace

Worker::Worker() : turbo_(MakeTurboDecoder()) {}

// Failures go into the record, and big scratch memory goes back.
template <class Body>
void Worker::Guarded(Record* record, Body body) {
  record->ok = Recorded(record, body);
  Trim();
}

void Worker::Run(const Source& source, ImageTask* task) {
  Guarded(task->record, [&] {
    StageClock clock(task->record);
    task->bytes = ReadSource(source, task->spec.limits.max_bytes, &file_);
    if (source.is_path) clock.Charge(kStageRead);
    task->header = ParseHeader(task->bytes, task->spec.limits, task->spec.exif_orientation);
    if (const char* reason = OutOfScope(task->header)) task->record->declined = reason;
    task->plan = ComputePlan(task->header, task->spec, task->draw, task->out, task->record);
    clock.Charge(kStageHeader);
    Decode(*task);
  });
  file_.ShrinkAbove(kKeepBytes);
}

void Worker::RunPixels(const PixelView& view, ImageTask* task) {
  Guarded(task->record, [&] {
    StageClock clock(task->record);
    task->header.width = view.width;
    task->header.height = view.height;
    task->plan = ComputePlan(task->header, task->spec, task->draw, task->out, task->record);
    clock.Charge(kStageHeader);
    task->record->decoder = "pixels";
    PixelReader pixels(view, task->plan.source);
    rows_.Run(pixels, *task);
  });
}

void Worker::Decode(const ImageTask& task) {
  DecoderChoice choice = ChooseDecoder(task.header, task.spec, task.plan);
  task.record->decoder = choice.name();
  if (choice.declined.empty()) {
    try {
      return choice.scale < 8 ? planes_.Run(task) : DecodeRows(Baseline(), task);
    } catch (const Declined& declined) {
      Trim();
      choice.declined = declined.what();
      task.record->decoder = choice.name();
    }
  }
  task.record->declined = choice.declined;
  DecodeRows(*turbo_, task);
}

void Worker::DecodeRows(JpegDecoder& decoder, const ImageTask& task) {
  StageClock clock(task.record);
  decoder.Open(task.bytes, task.header, task.plan.source, task.helpers, task.spec.partial);
  clock.Charge(kStageDecode);
  rows_.Run(decoder, task);
  if (task.spec.exact) {
    StageClock tail(task.record);
    decoder.CheckTail();
    tail.Charge(kStageDecode);
  }
  task.record->truncated = decoder.truncated();
}

JpegDecoder& Worker::Baseline() {
  const int64_t target = ActiveKernels().target;
  if (!baseline_ || target != baseline_target_) {
    baseline_ = MakeBaselineDecoder(target);
    baseline_target_ = target;
  }
  return *baseline_;
}

void Worker::Trim() {
  turbo_->Close();
  if (baseline_) baseline_->Close();
  rows_.Trim(kKeepBytes);
  planes_.Trim(kKeepBytes);
}

Workers::Workers() : caller_(std::this_thread::get_id()) {
  IdleWorkers& idle = ForkSafe<IdleWorkers>::Get();
  const std::lock_guard<std::mutex> lock(idle.mutex);
  if (idle.list.empty()) {
    lent_ = std::make_unique<Worker>();
  } else {
    lent_ = std::move(idle.list.back());
    idle.list.pop_back();
  }
}

Workers::~Workers() {
  IdleWorkers& idle = ForkSafe<IdleWorkers>::Get();
  const std::lock_guard<std::mutex> lock(idle.mutex);
  try {
    idle.list.push_back(std::move(lent_));
  } catch (const std::bad_alloc&) {
    // The next call makes its own.
  }
}

Worker& Workers::OfThisThread() {
  if (std::this_thread::get_id() == caller_) return *lent_;
  thread_local Worker own;
  return own;
}

}  // namespace fastpre
