// A device for tests of what merely passes streams and memory on.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>

#include "check.h"
#include "cuda/runtime.h"

namespace fastpre::test {

// The heap, and streams whose work is done when it is asked for; sees to it that only what exists is used.
class HostRuntime final : public cuda::Runtime {
 public:
  std::unique_ptr<Entered> Enter() override { return std::make_unique<Entered>(); }
  cuda::DeviceInfo info() const override { return {}; }
  bool emulated() const override { return true; }
  void* Allocate(cuda::Memory, size_t bytes) override { return std::malloc(bytes ? bytes : 1); }
  void Free(cuda::Memory, void* memory) noexcept override { std::free(memory); }
  cuda::Stream CreateStream() override { return reinterpret_cast<cuda::Stream>(*streams_.insert(new int).first); }
  void DestroyStream(cuda::Stream stream) noexcept override { Drop(&streams_, stream); }
  cuda::Event CreateEvent() override { return reinterpret_cast<cuda::Event>(*events_.insert(new int).first); }
  void DestroyEvent(cuda::Event event) noexcept override { Drop(&events_, event); }
  void Record(cuda::Event event, cuda::Stream stream) override {
    CHECK(events_.contains(event), "an event is recorded");
    CheckStream(stream);
  }
  void Wait(cuda::Stream stream, cuda::Event event) override {
    CHECK(events_.contains(event), "an event is waited for");
    CheckStream(stream);
  }
  void Synchronize(cuda::Event event) override {
    CHECK(events_.contains(event), "an event is waited for");
    ++event_waits_;
  }
  void SynchronizeStream(cuda::Stream stream) override { CheckStream(stream); }
  bool Done(cuda::Event event) override { return events_.contains(event); }
  void CopyToDevice(void* to, const void* from, size_t bytes, cuda::Stream) override { std::memcpy(to, from, bytes); }
  void CopyToHost(void* to, const void* from, size_t bytes, cuda::Stream) override { std::memcpy(to, from, bytes); }
  void Launch(const cuda::ResampleLaunch&, cuda::Stream) override {}
  void Launch(const cuda::IdctLaunch&, cuda::Stream) override {}
  void Launch(const cuda::CanaryLaunch&, cuda::Stream) override {}
  void PushRange(const char*) override {}
  void PopRange() noexcept override {}

  ~HostRuntime() override { CHECK(events_.empty() && streams_.empty(), "events and streams are destroyed"); }
  int event_waits() const { return event_waits_; }

 private:
  void Drop(std::set<void*>* all, void* one) {
    CHECK(all->erase(one) == 1, "only what exists is destroyed");
    delete static_cast<int*>(one);
  }
  void CheckStream(cuda::Stream stream) { CHECK(!stream || streams_.contains(stream), "a stream that exists"); }

  std::set<void*> streams_, events_;
  int event_waits_ = 0;
};

}  // namespace fastpre::test
