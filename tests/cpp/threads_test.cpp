// Sixteen callers at once, each with a mixed batch through the CPU pipeline: small images of every kind, damaged ones,
// and a large one that idle threads help with. All get what one caller alone gets; under the thread sanitizer, without
// a race.
#include <thread>
#include <vector>

#include "check.h"
#include "cpu/pool.h"
#include "jpeg_writer.h"
#include "plan/affine.h"

namespace fastpre::test {
namespace {

constexpr int kCallers = 16, kRounds = 6;

long cases = 0;

struct Batch {
  Spec spec;
  Affine affine;
  std::vector<std::vector<uint8_t>> streams;

  size_t slot_bytes() const {
    return ElementSize(spec.dtype) * static_cast<size_t>(spec.channels() * spec.crop_height * spec.crop_width);
  }
};

struct Outcome {
  std::vector<uint8_t> memory;
  std::vector<std::string> verdicts;  // of each image: its decoder, or why it failed
};

Batch DrawBatch(uint64_t seed, bool exact) {
  Choices choose(seed);
  Batch b;
  for (int i = 0; i < 10; ++i) {
    const JpegSpec jpeg = DrawSpec(choose, 120);
    JpegStream stream = WriteJpeg(jpeg, choose);
    if (i % 3 == 2) Damage(&stream, choose);
    b.streams.push_back(std::move(stream.bytes));
  }
  b.spec.resize_height = b.spec.resize_width = 48;
  b.spec.crop_height = b.spec.crop_width = 40;
  b.spec.exact = exact;
  b.affine = ComputeAffine(b.spec);
  return b;
}

// One image, enough for threads that have none of their own.
Batch DrawLarge(uint64_t seed) {
  Batch b = DrawBatch(seed, true);
  Choices choose(seed);
  JpegSpec jpeg = MakeSpec(1200, 900, {{2, 2}, {1, 1}, {1, 1}});
  jpeg.density = 25;
  b.streams = {WriteJpeg(jpeg, choose).bytes};
  return b;
}

Outcome Process(const Batch& b, int threads) {
  Outcome o;
  o.memory.resize(b.slot_bytes() * b.streams.size());
  std::vector<Record> records(b.streams.size());
  ParallelFor(b.streams.size(), threads, [&](size_t i, Worker& worker) {
    const ptrdiff_t height = b.spec.crop_height, width = b.spec.crop_width;
    const OutputView out{o.memory.data() + i * b.slot_bytes(),
                         b.spec.dtype,
                         b.spec.channels(),
                         b.spec.crop_height,
                         b.spec.crop_width,
                         height * width,
                         width,
                         1};
    PoolCrew crew(threads / static_cast<int>(b.streams.size()) - 1, threads);
    worker.Run(b.streams[i], b.spec, b.affine, out, &records[i], &crew);
    if (!records[i].ok) FillSlot(out, 0.0f);
  });
  for (const Record& r : records) o.verdicts.push_back(r.ok ? r.decoder : r.reason);
  return o;
}

void TestCallers(const std::vector<Batch>& batches) {
  std::vector<Outcome> want;
  for (const Batch& b : batches) want.push_back(Process(b, 1));
  std::vector<int> differences(kCallers);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < kRounds; ++round) {
        const size_t k = static_cast<size_t>(caller + round) % batches.size();
        const Outcome got = Process(batches[k], 1 + (caller + round) % 5);
        differences[caller] += got.memory != want[k].memory || got.verdicts != want[k].verdicts;
      }
    });
  }
  for (std::thread& t : callers) t.join();
  for (int caller = 0; caller < kCallers; ++caller) {
    CHECK(differences[caller] == 0, "caller " + std::to_string(caller));
    cases += kRounds;
  }
}

}  // namespace
}  // namespace fastpre::test

int main() {
  using namespace fastpre::test;
  TestCallers({DrawBatch(1, true), DrawBatch(2, false), DrawLarge(3), DrawBatch(4, true)});
  return Summary("threads", cases);
}
