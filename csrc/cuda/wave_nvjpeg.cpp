// nvJPEG's part of a wave: planes are marked, decoded by engines and by its CUDA decoder, and looked at; what is not as
// it should be goes to the CPU.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "cuda/canary.h"
#include "cuda/wave.h"

namespace fastpre::cuda {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<uint32_t> canary_seed{1};

}  // namespace

NvjpegJob Wave::NvjpegJobOf(Job* job) {
  struct NvjpegJob n = job->ForNvjpeg();
  uint8_t* at = slot_->device + job->planes;
  for (int c = 0; c < n.components; ++c) {
    const PlaneSize size = NvjpegPlane(*job, c);
    n.plane[c] = at;
    n.pitch[c] = size.pitch;
    at += size.bytes;
  }
  return n;
}

void Wave::MarkPlanes() {
  if (nvjpeg_.empty()) return;
  const Range range(device_.runtime(), "fastpre: mark");
  auto* const tasks = reinterpret_cast<CanaryTask*>(slot_->pinned + canaries_);
  int count = 0;
  for (size_t i = 0; i < nvjpeg_.size(); ++i) {
    const struct NvjpegJob n = NvjpegJobOf(nvjpeg_[i]);
    for (int c = 0; c < n.components; ++c) {
      const PlaneSize size = NvjpegPlane(*nvjpeg_[i], c);
      if (size.width < kLeastWidth) continue;
      tasks[count++] = {n.plane[c], static_cast<int32_t>(n.pitch[c]), size.width, size.height,
                        static_cast<uint32_t>(i)};
    }
  }
  std::memset(slot_->pinned + flags_, 0, nvjpeg_.size() * sizeof(uint32_t));
  Runtime& runtime = device_.runtime();
  runtime.CopyToDevice(slot_->device + canaries_, slot_->pinned + canaries_, mirrored_ - canaries_, slot_->decoders);
  canary_.tasks = reinterpret_cast<CanaryTask*>(slot_->device + canaries_);
  canary_.count = count;
  canary_.seed = canary_seed.fetch_add(1);
  runtime.Launch(canary_, slot_->decoders);
  // Not left to the order of a stream, which the engines do not keep.
  runtime.SynchronizeStream(slot_->decoders);
}

// One batch for each scale: nvJPEG has one for a whole call.
void Wave::DecodeOnEngines() {
  Device::Nvjpeg& nvjpeg = device_.nvjpeg();
  const Clock::time_point start = Clock::now();
  double cost = 0;
  for (const int scale : {8, 4, 2, 1}) {
    std::vector<struct NvjpegJob> list;
    std::vector<Job*> jobs;
    for (Job* job : nvjpeg_) {
      if (job->route != Route::kHardware || job->choice.hardware_scale != scale) continue;
      list.push_back(NvjpegJobOf(job));
      jobs.push_back(job);
      cost += job->plan.cost;
    }
    if (jobs.empty()) continue;
    std::vector<struct NvjpegJob*> pointers;
    for (struct NvjpegJob& n : list) pointers.push_back(&n);
    // Until the engines are done: the next batch of another call would write while this one is on its way.
    std::lock_guard<std::mutex> lock(nvjpeg.hardware_mutex);
    nvjpeg.hardware->Decode(pointers, scale, slot_->engines);
    device_.runtime().SynchronizeStream(slot_->engines);
    for (size_t i = 0; i < jobs.size(); ++i) {
      jobs[i]->record->decoder = "nvjpeg-hardware";
      jobs[i]->record->uploaded_bytes = static_cast<int64_t>(jobs[i]->bytes.size());
      jobs[i]->nvjpeg_failure = list[i].failure;
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    seconds_[static_cast<int>(Route::kHardware)] += seconds;
    cost_[static_cast<int>(Route::kHardware)] += cost;
  }
  for (Job* job : nvjpeg_) {
    if (job->route == Route::kHardware) job->record->stages_us[kStageDecode] += static_cast<float>(seconds * 1e6);
  }
}

void Wave::DecodeHybrid(Job* job) {
  StageClock clock(job->record);
  struct NvjpegJob n = NvjpegJobOf(job);
  std::unique_ptr<HybridDecoder> decoder;
  bool starved = false;
  try {
    decoder = device_.TakeHybrid();
  } catch (const CudaError& e) {  // one that cannot be made, for want of memory say, costs nobody the batch
    n.failure = e.what();
    starved = true;
  }
  if (decoder) {
    decoder->Decode(&n, nullptr, slot_->decoders);
    starved = n.out_of_memory;
    if (!starved) device_.ReturnHybrid(std::move(decoder));
  }
  if (starved) device_.DropIdleHybrids();
  job->record->decoder = "nvjpeg-cuda";
  job->record->uploaded_bytes = static_cast<int64_t>(job->bytes.size());
  job->nvjpeg_failure = n.failure;
  clock.Charge(kStageDecode);
}

// nvJPEG's word for an image is not taken: what it did not write goes to the CPU.
void Wave::FindUnwritten() {
  if (nvjpeg_.empty()) return;
  const Range range(device_.runtime(), "fastpre: verify");
  Runtime& runtime = device_.runtime();
  runtime.SynchronizeStream(slot_->engines);
  canary_.unwritten = reinterpret_cast<uint32_t*>(slot_->device + flags_);
  runtime.Launch(canary_, slot_->decoders);
  runtime.CopyToHost(slot_->pinned + flags_, slot_->device + flags_, nvjpeg_.size() * sizeof(uint32_t),
                     slot_->decoders);
  runtime.SynchronizeStream(slot_->decoders);
  const auto* const flags = reinterpret_cast<const uint32_t*>(slot_->pinned + flags_);
  for (size_t i = 0; i < nvjpeg_.size(); ++i) {
    if (nvjpeg_[i]->nvjpeg_failure.empty() && flags[i] != 0) {
      nvjpeg_[i]->nvjpeg_failure = "nvJPEG reported success and left samples unwritten";
    }
  }
}

void Wave::Observe(Route route, double sharing) {
  const int r = static_cast<int>(route);
  device_.rates().Observe(route, cost_[r], seconds_[r] / sharing);
  seconds_[r] = cost_[r] = 0;
}

// A route is as fast as what came of it: images that have to be done again are none of its work.
void Wave::Retry() {
  std::vector<Turn> turns;
  int asked[kRoutes] = {}, failed[kRoutes] = {};
  for (Job* job : nvjpeg_) {
    const int r = static_cast<int>(job->route);
    ++asked[r];
    if (job->nvjpeg_failure.empty()) continue;
    ++failed[r];
    cost_[r] -= job->plan.cost;
    job->record->retried = job->nvjpeg_failure;
    job->route = Route::kPixels;
    turns.push_back({job, job->plan.cost});
  }
  for (const Route route : {Route::kHardware, Route::kHybrid}) {
    const int r = static_cast<int>(route);
    if (asked[r] == 0) continue;
    Observe(route, route == Route::kHybrid ? sharing_ : 1);
    // A few bad images may be what one user sends; a whole batch is the route's.
    constexpr int kLeastFailed = 4;
    if (failed[r] == asked[r] && failed[r] >= kLeastFailed) device_.rates().Distrust(route);
  }
  Decode(std::move(turns));
}

}  // namespace fastpre::cuda
