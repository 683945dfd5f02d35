#include "cuda/batch.h"

#include <algorithm>

#include "core/thread_pool.h"
#include "cuda/image_job.h"
#include "cuda/micro_batch.h"

namespace fastpre::cuda {
namespace {

// Images whose plans, and files, are in memory at once: a plan of a hostile header takes a megabyte.
constexpr size_t kMostJobs = 512;

Capabilities CapabilitiesOf(Device& device, const Batch& batch) {
  Capabilities capabilities;
  capabilities.exact = batch.spec->exact;
  // Half of a staging buffer, so that an image's coefficients and descriptors fit beside its samples.
  capabilities.image_bytes = std::min(device.staging().most_device_bytes(), device.staging().most_pinned_bytes()) / 2;
  const bool wanted = batch.decoder == "auto" || batch.decoder == "hardware" || batch.decoder == "hybrid";
  if (!capabilities.exact && wanted) {
    const Device::Nvjpeg& nvjpeg = device.nvjpeg();
    capabilities.hybrid = nvjpeg.hybrid_missing.empty();
    capabilities.hardware = nvjpeg.hardware != nullptr;
  }
  return capabilities;
}

void AssignPaths(Device& device, const Batch& batch, std::vector<ImageJob>* jobs) {
  std::vector<Candidate> candidates;
  std::vector<ImageJob*> chosen;
  for (ImageJob& job : *jobs) {
    if (job.failed) continue;
    candidates.push_back({&job.choice, job.plan.cost});
    chosen.push_back(&job);
  }
  device.rates().Forgive();
  const std::vector<DecodePath> paths = Split(candidates, device.rates(), batch.decoder);
  for (size_t i = 0; i < chosen.size(); ++i) {
    ImageJob& job = *chosen[i];
    job.path = paths[i];
    if (batch.decoder != "auto" && batch.decoder != PathName(job.path)) {
      job.choice.declined += job.choice.declined.empty() ? "" : "; ";
      job.choice.declined += "not for the decoder that was asked for, " + batch.decoder;
      job.record->declined = job.choice.declined;
    }
    if (job.path != DecodePath::kHardware) continue;
    // nvJPEG has the last word on what its engines take.
    Device::Nvjpeg& nvjpeg = device.nvjpeg();
    std::lock_guard<std::mutex> lock(nvjpeg.hardware_mutex);
    const NvjpegTask asked = job.ForNvjpeg();
    if (nvjpeg.hardware->WhyNot(asked, job.choice.hardware_scale).empty()) continue;
    job.choice.hardware_scale = 8;
    job.record->declined = nvjpeg.hardware->WhyNot(asked, 8);
    if (!job.record->declined.empty()) job.path = DecodePath::kCoefficients;
  }
}

void ToPixels(ImageJob* job) {
  job->path = DecodePath::kPixels;
  job->planar.reset();
  job->choice.declined = "no device memory is left for its samples";
  LayOut(job);
}

// Splits until memory suffices; what is too large for a staging buffer of its own is decoded by the CPU.
void RunMicroBatches(Device& device, const Batch& batch, std::span<ImageJob> jobs) {
  const auto fits = [&](size_t count) {
    return MicroBatch::DeviceBytes(jobs.first(count)) <= device.staging().most_device_bytes() &&
           MicroBatch::PinnedBytes(jobs.first(count)) <= device.staging().most_pinned_bytes();
  };
  while (!jobs.empty()) {
    size_t count = jobs.size();
    while (count > 1 && !fits(count)) count = (count + 1) / 2;
    while (true) {
      if (count == 1 && jobs[0].path != DecodePath::kPixels && !fits(1)) ToPixels(&jobs[0]);
      MicroBatch micro_batch(&device, batch, jobs.first(count));
      if (micro_batch.TakeStaging()) {
        micro_batch.Run();
        break;
      }
      if (count > 1) {
        count = (count + 1) / 2;
      } else if (jobs[0].path == DecodePath::kPixels) {
        throw CudaError("out of device or pinned memory");
      } else {
        ToPixels(&jobs[0]);
      }
    }
    jobs = jobs.subspan(count);
  }
}

}  // namespace

std::vector<Record> Run(Device& device, const Batch& batch) {
  const auto entered = device.runtime().Enter();
  const CallContext::Scope scope(batch.context);
  const std::vector<Source>& sources = *batch.sources;
  std::vector<Record> records(sources.size());
  const Capabilities capabilities = CapabilitiesOf(device, batch);
  try {
    for (size_t first = 0; first < sources.size(); first += kMostJobs) {
      std::vector<ImageJob> jobs(std::min(kMostJobs, sources.size() - first));
      {
        const Range range(device.runtime(), "fastpre: prepare");
        ParallelOrThrow(jobs.size(), batch.threads, [&](size_t i) {
          jobs[i].record = &records[first + i];
          jobs[i].draw = batch.draw(first + i);
          jobs[i].out = Mirrored(batch.slot(first + i), jobs[i].draw);
          const CallContext::Scope working(batch.context);
          Prepare(sources[first + i], *batch.spec, capabilities, &jobs[i]);
        });
        if (batch.context && batch.context->cancelled()) throw Cancelled();
        AssignPaths(device, batch, &jobs);
        ParallelOrThrow(jobs.size(), batch.threads, [&](size_t i) {
          if (!Recorded(jobs[i].record, [&] { LayOut(&jobs[i]); })) jobs[i].failed = true;
        });
      }
      RunMicroBatches(device, batch, jobs);
    }
    if (batch.context && batch.context->cancelled()) throw Cancelled();
  } catch (...) {
    // Earlier micro-batches may still be writing to the tensor, which the caller may let go now.
    try {
      device.runtime().SynchronizeStream(batch.stream);
    } catch (const CudaError&) {
      // The first error says more.
    }
    throw;
  }
  return records;
}

}  // namespace fastpre::cuda
