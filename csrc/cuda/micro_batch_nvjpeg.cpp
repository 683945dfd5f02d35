// nvJPEG's part of a micro-batch: planes are marked, decoded by engines and by its CUDA decoder, and looked at; what is
// not as it should be goes to the CPU.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "cuda/batch.h"
#include "cuda/kernels/canary.h"
#include "cuda/micro_batch.h"

namespace fastpre::cuda {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<uint32_t> canary_seed{1};

}  // namespace

NvjpegTask MicroBatch::NvjpegTaskOf(ImageJob* job) {
  NvjpegTask n = job->ForNvjpeg();
  uint8_t* at = staging_->device + job->planes;
  for (int c = 0; c < n.components; ++c) {
    const PlaneSize size = NvjpegPlane(*job, c);
    n.plane[c] = at;
    n.pitch[c] = size.pitch;
    at += size.bytes;
  }
  return n;
}

void MicroBatch::MarkPlanes() {
  if (nvjpeg_.empty()) return;
  const Range range(device_.runtime(), "fastpre: mark");
  auto* const tasks = reinterpret_cast<CanaryTask*>(staging_->pinned + canaries_);
  int count = 0;
  for (size_t i = 0; i < nvjpeg_.size(); ++i) {
    const NvjpegTask n = NvjpegTaskOf(nvjpeg_[i]);
    for (int c = 0; c < n.components; ++c) {
      const PlaneSize size = NvjpegPlane(*nvjpeg_[i], c);
      if (size.width < kLeastWidth) continue;
      tasks[count++] = {n.plane[c], static_cast<int32_t>(n.pitch[c]), size.width, size.height,
                        static_cast<uint32_t>(i)};
    }
  }
  std::memset(staging_->pinned + flags_, 0, nvjpeg_.size() * sizeof(uint32_t));
  Runtime& runtime = device_.runtime();
  runtime.CopyToDevice(staging_->device + canaries_, staging_->pinned + canaries_, mirrored_ - canaries_,
                       staging_->decoders);
  canary_.tasks = reinterpret_cast<CanaryTask*>(staging_->device + canaries_);
  canary_.count = count;
  canary_.seed = canary_seed.fetch_add(1);
  runtime.Launch(canary_, staging_->decoders);
  // Not left to the order of a stream, which the engines do not keep.
  runtime.SynchronizeStream(staging_->decoders);
}

// One batch for each scale: nvJPEG has one for a whole call.
void MicroBatch::DecodeOnEngines() {
  Device::Nvjpeg& nvjpeg = device_.nvjpeg();
  const Clock::time_point start = Clock::now();
  double cost = 0;
  for (const int scale : {8, 4, 2, 1}) {
    std::vector<NvjpegTask> list;
    std::vector<ImageJob*> jobs;
    for (ImageJob* job : nvjpeg_) {
      if (job->path != DecodePath::kHardware || job->choice.hardware_scale != scale) continue;
      list.push_back(NvjpegTaskOf(job));
      jobs.push_back(job);
      cost += job->plan.cost;
    }
    if (jobs.empty()) continue;
    std::vector<NvjpegTask*> pointers;
    for (NvjpegTask& n : list) pointers.push_back(&n);
    // Until the engines are done: the next batch of another call would write while this one is on its way.
    std::lock_guard<std::mutex> lock(nvjpeg.hardware_mutex);
    nvjpeg.hardware->Decode(pointers, scale, staging_->engines);
    device_.runtime().SynchronizeStream(staging_->engines);
    for (size_t i = 0; i < jobs.size(); ++i) {
      jobs[i]->record->decoder = "nvjpeg-hardware";
      jobs[i]->record->uploaded_bytes = static_cast<int64_t>(jobs[i]->bytes.size());
      jobs[i]->nvjpeg_failure = list[i].failure;
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    seconds_[static_cast<int>(DecodePath::kHardware)] += seconds;
    cost_[static_cast<int>(DecodePath::kHardware)] += cost;
  }
  for (ImageJob* job : nvjpeg_) {
    if (job->path == DecodePath::kHardware) job->record->stages_us[kStageDecode] += static_cast<float>(seconds * 1e6);
  }
}

void MicroBatch::DecodeHybrid(ImageJob* job) {
  StageClock clock(job->record);
  NvjpegTask n = NvjpegTaskOf(job);
  std::unique_ptr<HybridDecoder> decoder;
  bool starved = false;
  try {
    decoder = device_.TakeHybrid();
  } catch (const CudaError& e) {  // one that cannot be made, for want of memory say, does not cost the batch
    n.failure = e.what();
    starved = true;
  }
  if (decoder) {
    decoder->Decode(&n, nullptr, staging_->decoders);
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
void MicroBatch::FindUnwritten() {
  if (nvjpeg_.empty()) return;
  const Range range(device_.runtime(), "fastpre: verify");
  Runtime& runtime = device_.runtime();
  runtime.SynchronizeStream(staging_->engines);
  canary_.unwritten = reinterpret_cast<uint32_t*>(staging_->device + flags_);
  runtime.Launch(canary_, staging_->decoders);
  runtime.CopyToHost(staging_->pinned + flags_, staging_->device + flags_, nvjpeg_.size() * sizeof(uint32_t),
                     staging_->decoders);
  runtime.SynchronizeStream(staging_->decoders);
  const auto* const flags = reinterpret_cast<const uint32_t*>(staging_->pinned + flags_);
  for (size_t i = 0; i < nvjpeg_.size(); ++i) {
    if (nvjpeg_[i]->nvjpeg_failure.empty() && flags[i] != 0) {
      nvjpeg_[i]->nvjpeg_failure = "nvJPEG reported success and left samples unwritten";
    }
  }
}

void MicroBatch::Observe(DecodePath path, double sharing) {
  const int r = static_cast<int>(path);
  device_.rates().Observe(path, cost_[r], seconds_[r] / sharing);
  seconds_[r] = cost_[r] = 0;
}

// A path is as fast as what came of it: images that have to be done again are none of its work.
void MicroBatch::Retry() {
  std::vector<Turn> turns;
  int asked[kPaths] = {}, failed[kPaths] = {};
  for (ImageJob* job : nvjpeg_) {
    const int r = static_cast<int>(job->path);
    ++asked[r];
    if (job->nvjpeg_failure.empty()) continue;
    ++failed[r];
    cost_[r] -= job->plan.cost;
    job->record->retried = job->nvjpeg_failure;
    job->path = DecodePath::kPixels;
    turns.push_back({job, job->plan.cost});
  }
  for (const DecodePath path : {DecodePath::kHardware, DecodePath::kHybrid}) {
    const int r = static_cast<int>(path);
    if (asked[r] == 0) continue;
    Observe(path, path == DecodePath::kHybrid ? sharing_ : 1);
    // A few bad images may be what one user sends; a whole batch is the path's.
    constexpr int kLeastFailed = 4;
    if (failed[r] == asked[r] && failed[r] >= kLeastFailed) device_.rates().Distrust(path);
  }
  Decode(std::move(turns));
}

}  // namespace fastpre::cuda
