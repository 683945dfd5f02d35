// Sixteen callers at once, each with calls of its own: batches of small images of every kind, some damaged, and large
// images that idle threads help with. Some calls are cancelled at a random time. A call that ends by itself
// gives what a single thread gives; run under the thread sanitizer, this is also where races of a whole call show.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "core/call_context.h"
#include "device_batch.h"
#include "jpeg_writer.h"

namespace fastpre::test {
namespace {

constexpr int kCallers = 16, kRounds = 16;

struct Work {
  std::vector<Stream> streams;
  Spec spec;
  Affine affine;
  Layout layout;
  Outputs want;  // of one thread, with nothing beside it
};

Work Finish(std::vector<Stream> streams, bool exact) {
  Work w;
  w.streams = std::move(streams);
  w.spec.resize_height = w.spec.resize_width = 48;
  w.spec.crop_height = w.spec.crop_width = 40;
  w.spec.exact = exact;
  w.affine = ComputeAffine(w.spec);
  w.layout = DenseLayout(static_cast<int>(w.streams.size()), w.spec);
  w.want = OnCpu(w.streams, w.spec, w.affine, w.layout);
  return w;
}

Work DrawMixed(uint64_t seed, bool exact) {
  Choices choose(seed);
  std::vector<Stream> streams;
  for (int i = 0; i < 12; ++i) {
    JpegStream stream = WriteJpeg(DrawSpec(choose, 120), choose);
    if (i % 3 == 2) Damage(&stream, choose);
    streams.push_back(std::move(stream.bytes));
  }
  return Finish(std::move(streams), exact);
}

// Fewer images than threads, each enough for several: with and without restart markers.
Work DrawLarge(uint64_t seed) {
  Choices choose(seed);
  std::vector<Stream> streams;
  for (const int restart : {0, JpegSpec::kRow}) {
    JpegSpec spec = MakeSpec(1200, 900, {{2, 2}, {1, 1}, {1, 1}});
    spec.scans[0].restart = restart;
    spec.density = 20;
    streams.push_back(WriteJpeg(spec, choose).bytes);
  }
  return Finish(std::move(streams), true);
}

// What one caller saw. The counts say that the test did what it is for.
struct Tally {
  long ended = 0, cancelled = 0;
  std::string wrong;
};

void CompareWith(const Work& work, const Outputs& got, Tally* tally) {
  if (got.memory != work.want.memory) tally->wrong += " pixels";
  for (size_t i = 0; i < got.records.size(); ++i) {
    const Record &a = got.records[i], &b = work.want.records[i];
    if (a.ok != b.ok || a.reason != b.reason) tally->wrong += " image " + std::to_string(i) + ": " + a.reason;
  }
}

enum class Ending { kByItself, kBeforeItBegan, kMeanwhile };

void Call(const Work& work, int threads, Ending ending, int after_us, Tally* tally) {
  Outputs got;
  got.memory.assign(work.layout.elements * ElementSize(work.spec.dtype), 0xC3);
  const std::vector<Source> sources = SourcesOf(work.streams);
  const auto flag = std::make_shared<std::atomic<bool>>(ending == Ending::kBeforeItBegan);
  long polls = 0;  // not atomic: only this thread may poll
  CallContext context([&polls] { return ++polls < 0; }, flag);
  context.SetDeadline(3600);
  Batch batch;
  batch.sources = &sources;
  batch.spec = &work.spec;
  batch.affine = &work.affine;
  batch.slot = [&](size_t i) { return ViewOf(&got.memory, work.spec, work.layout, i); };
  batch.fill = 7.0f;  // as OnCpu's
  batch.threads = threads;
  batch.context = &context;
  std::thread canceller;
  if (ending == Ending::kMeanwhile) {
    canceller = std::thread([flag, after_us] {
      std::this_thread::sleep_for(std::chrono::microseconds(after_us));
      flag->store(true, std::memory_order_relaxed);
    });
  }
  bool cancelled = false;
  try {
    got.records = Run(batch);
  } catch (const Cancelled&) {
    cancelled = true;
  }
  // Memory is the caller's again, whichever way the call ended: a thread that still wrote would be a race with this.
  if (cancelled) got.memory.assign(got.memory.size(), 0);
  if (canceller.joinable()) canceller.join();
  if (cancelled && ending == Ending::kByItself) tally->wrong += " cancelled without cause";
  if (!cancelled && ending == Ending::kBeforeItBegan) tally->wrong += " not cancelled";
  if (!cancelled) CompareWith(work, got, tally);
  ++(cancelled ? tally->cancelled : tally->ended);
}

long TestCallers(const std::vector<Work>& works) {
  std::vector<Tally> tallies(kCallers);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      Choices choose(static_cast<uint64_t>(100 + caller));
      for (int round = 0; round < kRounds; ++round) {
        const Work& work = works[static_cast<size_t>(caller + round) % works.size()];
        const Ending ending = round % 2 == 1   ? Ending::kMeanwhile
                              : round % 8 == 4 ? Ending::kBeforeItBegan
                                               : Ending::kByItself;
        // Up to 16 threads a call, so that most calls have a helper: one that still works for a call that has been
        // cancelled is what there is to find.
        const int threads = 1 << choose.Between(0, 4), after_us = 50 << choose.Between(0, 13);
        Call(work, threads, ending, after_us, &tallies[static_cast<size_t>(caller)]);
      }
    });
  }
  for (std::thread& t : callers) t.join();
  Tally all;
  for (const Tally& t : tallies) {
    CHECK(t.wrong.empty(), "caller " + std::to_string(&t - tallies.data()) + ":" + t.wrong);
    all.ended += t.ended, all.cancelled += t.cancelled;
  }
  CHECK(all.cancelled >= kCallers, "no less than one a caller: " + std::to_string(all.cancelled));
  CHECK(all.ended >= kCallers * kRounds * 3 / 8, std::to_string(all.ended));
  std::printf("%ld ended by themselves, %ld were cancelled\n", all.ended, all.cancelled);
  return all.ended + all.cancelled;
}

}  // namespace
}  // namespace fastpre::test

int main() {
  using namespace fastpre::test;
  const long cases = TestCallers({DrawMixed(1, true), DrawLarge(2), DrawMixed(3, false), DrawMixed(4, true)});
  return Summary("threads", cases);
}
