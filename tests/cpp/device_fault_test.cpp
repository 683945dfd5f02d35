// A device whose calls fail, at every point of a batch in turn: the call fails with a CudaError, nothing is left
// behind, and the next call works.
// `device_fault_test [LIBRARY]`: one that stands for nvJPEG, so that its part of a batch is there to fail as well.
#include <cstdlib>
#include <memory>

#include "check.h"
#include "device_batch.h"
#include "jpeg_writer.h"

namespace fastpre::test {
namespace {

long cases = 0;

// The emulator, until its `left`-th call from now.
class Failing final : public cuda::Runtime {
 public:
  int left = -1;  // never
  bool allocations_fail = false;

  std::unique_ptr<Entered> Enter() override { return inner_->Enter(); }
  cuda::DeviceInfo info() const override { return inner_->info(); }
  bool emulated() const override { return true; }
  void* Allocate(cuda::Memory kind, size_t bytes) override {
    return allocations_fail ? nullptr : inner_->Allocate(kind, bytes);
  }
  void Free(cuda::Memory kind, void* memory) noexcept override { inner_->Free(kind, memory); }
  cuda::Stream CreateStream() override { return inner_->CreateStream(); }
  void DestroyStream(cuda::Stream stream) noexcept override { inner_->DestroyStream(stream); }
  cuda::Event CreateEvent() override { return inner_->CreateEvent(); }
  void DestroyEvent(cuda::Event event) noexcept override { inner_->DestroyEvent(event); }
  void Record(cuda::Event event, cuda::Stream stream) override { Count(), inner_->Record(event, stream); }
  void Wait(cuda::Stream stream, cuda::Event event) override { Count(), inner_->Wait(stream, event); }
  void Synchronize(cuda::Event event) override { Count(), inner_->Synchronize(event); }
  void SynchronizeStream(cuda::Stream stream) override { Count(), inner_->SynchronizeStream(stream); }
  bool Done(cuda::Event event) override { return inner_->Done(event); }
  void CopyToDevice(void* to, const void* from, size_t bytes, cuda::Stream stream) override {
    Count(), inner_->CopyToDevice(to, from, bytes, stream);
  }
  void CopyToHost(void* to, const void* from, size_t bytes, cuda::Stream stream) override {
    Count(), inner_->CopyToHost(to, from, bytes, stream);
  }
  void Launch(const cuda::ResampleLaunch& l, cuda::Stream stream) override { Count(), inner_->Launch(l, stream); }
  void Launch(const cuda::IdctLaunch& l, cuda::Stream stream) override { Count(), inner_->Launch(l, stream); }
  void Launch(const cuda::CanaryLaunch& l, cuda::Stream stream) override { Count(), inner_->Launch(l, stream); }
  void PushRange(const char*) override {}
  void PopRange() noexcept override {}

 private:
  void Count() {
    if (left > 0 && --left == 0) throw cuda::CudaError("injected");
  }
  std::unique_ptr<cuda::Runtime> inner_ = cuda::MakeEmulator();
};

std::vector<Stream> DrawBatch() {
  std::vector<Stream> streams;
  Choices choose(4);
  for (int i = 0; i < 3; ++i) {
    streams.push_back(WriteJpeg(MakeSpec(60 + i, 50, {{2, 2}, {1, 1}, {1, 1}}), choose).bytes);
  }
  streams[1].resize(streams[1].size() / 3);
  return streams;
}

void TestEveryCall(bool exact) {
  auto owned = std::make_unique<Failing>();
  Failing* const failing = owned.get();
  cuda::Device device(std::move(owned), {size_t{64} << 20, size_t{64} << 20});
  const std::vector<Stream> streams = DrawBatch();
  Spec spec;
  spec.exact = exact;
  spec.resize_height = spec.resize_width = 40;
  spec.crop_height = spec.crop_width = 32;
  const std::string decoder = exact ? "auto" : "hardware";
  const Affine affine = ComputeAffine(spec);
  const Layout layout = DenseLayout(3, spec);
  device.nvjpeg();  // not what is to fail
  const Outputs want = OnCpu(streams, spec, affine, layout);
  bool failed = true;
  int call = 0;
  while (failed) {
    failing->left = ++call;
    failed = false;
    try {
      OnDevice(device, streams, spec, affine, layout, 2, decoder);
    } catch (const cuda::CudaError& e) {
      failed = true;
      CHECK(std::string(e.what()) == "injected", e.what());
    }
    failing->left = -1;
    // As many as there are staging buffers: each of them must have come back.
    for (int k = 0; k < cuda::StagingBuffers::kCount; ++k) {
      CHECK(OnDevice(device, streams, spec, affine, layout, 2, decoder).memory == want.memory,
            "after call " + std::to_string(call));
    }
    ++cases;
  }
  CHECK(call > (exact ? 6 : 12), "calls were counted: " + std::to_string(call));
}

// No memory at all: one clear error, and a device that works once there is some again.
void TestNoMemory() {
  auto owned = std::make_unique<Failing>();
  Failing* const failing = owned.get();
  cuda::Device device(std::move(owned), {size_t{64} << 20, size_t{64} << 20});
  const std::vector<Stream> streams = DrawBatch();
  Spec spec;
  const Affine affine = ComputeAffine(spec);
  const Layout layout = DenseLayout(3, spec);
  failing->allocations_fail = true;
  std::string message;
  try {
    OnDevice(device, streams, spec, affine, layout, 1);
  } catch (const cuda::CudaError& e) {
    message = e.what();
  }
  CHECK(message.find("memory") != std::string::npos, message);
  failing->allocations_fail = false;
  CHECK(OnDevice(device, streams, spec, affine, layout, 1).memory == OnCpu(streams, spec, affine, layout).memory,
        "again");
  ++cases;
}

}  // namespace
}  // namespace fastpre::test

int main(int argc, char** argv) {
  fastpre::test::TestEveryCall(true);
  if (argc > 1) {
    setenv("FASTPRE_NVJPEG", argv[1], 1);
    fastpre::test::TestEveryCall(false);
  }
  fastpre::test::TestNoMemory();
  return fastpre::test::Summary("device_fault", fastpre::test::cases);
}
