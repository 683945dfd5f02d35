// The device that is no GPU: kernels run on the host, thread by thread, from the same source.
//
// Nothing a stream is asked for happens before it is waited for, and waiting for one stream does no other stream's work
// unless an event says so. That is what a busy GPU may look like, so what lacks a wait fails here as well.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

#include "cuda/kernels/canary.h"
#include "cuda/kernels/descriptor.h"
#include "cuda/kernels/idct.h"
#include "cuda/kernels/resample.h"
#include "cuda/kernels/thread_block.h"
#include "cuda/runtime.h"

namespace fastpre::cuda {
namespace {

constexpr size_t kAlignment = 256;

struct HostStream {
  std::deque<std::function<void()>> work;
  uint64_t asked = 0, done = 0;
};

struct HostEvent {
  HostStream* stream = nullptr;
  uint64_t position = 0;  // work of `stream` that comes before it
};

class Emulator final : public Runtime {
 public:
  explicit Emulator(ThreadOrder order) : shuffle_(order == ThreadOrder::kShuffled) {
    order_.resize(kThreads);
    std::iota(order_.begin(), order_.end(), 0);
    if (order == ThreadOrder::kDescending) std::reverse(order_.begin(), order_.end());
  }

  std::unique_ptr<Entered> Enter() override { return std::make_unique<Entered>(); }
  DeviceInfo info() const override { return {-1, "emulated", 0, 0, 1, size_t{1} << 40}; }
  bool emulated() const override { return true; }

  void* Allocate(Memory, size_t bytes) override {
    void* memory = nullptr;
    if (posix_memalign(&memory, kAlignment, std::max<size_t>(bytes, 1)) != 0) return nullptr;
    std::memset(memory, 0xA5, bytes);  // zeros must not be counted on
    return memory;
  }
  void Free(Memory, void* memory) noexcept override { std::free(memory); }

  Stream CreateStream() override {
    std::lock_guard<std::recursive_mutex> lock(mutex_);
    return reinterpret_cast<Stream>(&streams_.emplace_back());
  }
  // What was asked for is still done, and events may still be waited for.
  void DestroyStream(Stream stream) noexcept override { SynchronizeStream(stream); }
  Event CreateEvent() override { return reinterpret_cast<Event>(new HostEvent); }
  void DestroyEvent(Event event) noexcept override { delete Of(event); }

  void Record(Event event, Stream stream) override {
    std::lock_guard<std::recursive_mutex> lock(mutex_);
    HostStream* const s = Of(stream);
    *Of(event) = {s, s->asked};
  }
  void Wait(Stream stream, Event event) override {
    std::lock_guard<std::recursive_mutex> lock(mutex_);
    Ask(stream, [this, e = *Of(event)] { RunUntil(e); });
  }
  void Synchronize(Event event) override {
    std::lock_guard<std::recursive_mutex> lock(mutex_);
    RunUntil(*Of(event));
  }
  void SynchronizeStream(Stream stream) override {
    std::lock_guard<std::recursive_mutex> lock(mutex_);
    HostStream* const s = Of(stream);
    RunUntil({s, s->asked});
  }

  bool Done(Event event) override {
    std::lock_guard<std::recursive_mutex> lock(mutex_);
    const HostEvent& e = *Of(event);
    return !e.stream || e.stream->done >= e.position;
  }

  void CopyToDevice(void* device, const void* host, size_t bytes, Stream stream) override {
    Ask(stream, [=] { std::memcpy(device, host, bytes); });
  }
  void CopyToHost(void* host, const void* device, size_t bytes, Stream stream) override {
    Ask(stream, [=] { std::memcpy(host, device, bytes); });
  }

  void Launch(const ResampleLaunch& launch, Stream stream) override {
    Ask(stream, [this, launch] {
      Run(launch.tiles, launch.shared_bytes, [&](const HostBlock& block) { ResampleTile(block, launch); });
    });
  }
  void Launch(const IdctLaunch& launch, Stream stream) override {
    Ask(stream,
        [this, launch] { Run(launch.tiles, kIdctShared, [&](const HostBlock& block) { IdctTile(block, launch); }); });
  }
  void Launch(const CanaryLaunch& launch, Stream stream) override {
    Ask(stream, [this, launch] {
      Run(static_cast<uint32_t>(launch.count), 0, [&](const HostBlock& block) { CanaryPlane(block, launch); });
    });
  }

  void PushRange(const char*) override {}
  void PopRange() noexcept override {}

 private:
  HostStream* Of(Stream stream) { return stream ? reinterpret_cast<HostStream*>(stream) : &default_; }
  static HostEvent* Of(Event event) { return reinterpret_cast<HostEvent*>(event); }

  void Ask(Stream stream, std::function<void()> work) {
    std::lock_guard<std::recursive_mutex> lock(mutex_);
    HostStream* const s = Of(stream);
    s->work.push_back(std::move(work));
    ++s->asked;
  }

  void RunUntil(HostEvent event) {
    while (event.stream && event.stream->done < event.position) {
      const std::function<void()> work = std::move(event.stream->work.front());
      event.stream->work.pop_front();
      work();
      ++event.stream->done;
    }
  }

  // Each block gets memory of its own, exactly as much as was asked for: a sanitizer sees one byte more.
  template <class Body>
  void Run(uint32_t blocks, size_t shared_bytes, const Body& body) {
    for (uint32_t i = 0; i < blocks; ++i) {
      if (shuffle_) std::shuffle(order_.begin(), order_.end(), random_);
      std::unique_ptr<uint8_t, decltype(&std::free)> shared(
          static_cast<uint8_t*>(std::malloc(std::max<size_t>(shared_bytes, 1))), &std::free);
      std::memset(shared.get(), 0x5A, shared_bytes);
      body(HostBlock(shared.get(), i, order_.data()));
    }
  }

  const bool shuffle_;
  std::vector<int> order_;
  std::minstd_rand random_{1};
  std::recursive_mutex mutex_;
  HostStream default_;
  std::deque<HostStream> streams_;
};

}  // namespace

std::unique_ptr<Runtime> MakeEmulator(ThreadOrder order) { return std::make_unique<Emulator>(order); }

}  // namespace fastpre::cuda
