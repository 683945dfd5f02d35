#include "cuda/pipeline.h"

#include <algorithm>

#include "cpu/pool.h"
#include "cuda/job.h"
#include "cuda/wave.h"

namespace fastpre::cuda {
namespace {

// Images whose plans, and files, are in memory at once: a plan of a hostile header takes a megabyte.
constexpr size_t kMostJobs = 512;

Offer OfferOf(Device& device, const Batch& batch) {
  Offer offer;
  offer.exact = batch.spec->exact;
  // Nearest picks single pixels; another inverse DCT changes nothing about that, but it is exact in both fidelities.
  if (batch.spec->filter == Filter::kNearest) offer.exact = true;
  // Half of a slot, so that an image's coefficients and descriptors fit beside its samples.
  offer.image_bytes = std::min(device.slot_device_bytes(), device.slot_pinned_bytes()) / 2;
  const bool wanted = batch.decoder == "auto" || batch.decoder == "hardware" || batch.decoder == "hybrid";
  if (!offer.exact && wanted) {
    const Device::Nvjpeg& nvjpeg = device.nvjpeg();
    offer.hybrid = nvjpeg.hybrid_missing.empty();
    offer.hardware = nvjpeg.hardware != nullptr;
  }
  return offer;
}

void AssignRoutes(Device& device, const Batch& batch, std::vector<Job>* jobs) {
  std::vector<Candidate> candidates;
  std::vector<Job*> chosen;
  for (Job& job : *jobs) {
    if (job.failed) continue;
    candidates.push_back({&job.choice, job.plan.cost});
    chosen.push_back(&job);
  }
  device.rates().Forgive();
  const std::vector<Route> routes = Split(candidates, device.rates(), batch.decoder);
  for (size_t i = 0; i < chosen.size(); ++i) {
    Job& job = *chosen[i];
    job.route = routes[i];
    if (batch.decoder != "auto" && batch.decoder != RouteName(job.route)) {
      job.choice.declined += job.choice.declined.empty() ? "" : "; ";
      job.choice.declined += "not for the decoder that was asked for, " + batch.decoder;
      job.record->declined = job.choice.declined;
    }
    if (job.route != Route::kHardware) continue;
    // nvJPEG has the last word on what its engines take.
    Device::Nvjpeg& nvjpeg = device.nvjpeg();
    std::lock_guard<std::mutex> lock(nvjpeg.hardware_mutex);
    const NvjpegJob asked = job.ForNvjpeg();
    if (nvjpeg.hardware->WhyNot(asked, job.choice.hardware_scale).empty()) continue;
    job.choice.hardware_scale = 8;
    job.record->declined = nvjpeg.hardware->WhyNot(asked, 8);
    if (!job.record->declined.empty()) job.route = Route::kCoefficients;
  }
}

void ToPixels(const Spec& spec, Job* job) {
  job->route = Route::kPixels;
  job->planar.reset();
  job->choice.declined = "no device memory is left for its samples";
  LayOut(spec, job);
}

// Splits until memory suffices; what is too large for a slot of its own is decoded by the CPU.
void RunWaves(Device& device, const Batch& batch, std::span<Job> jobs) {
  const auto fits = [&](size_t count) {
    return Wave::DeviceBytes(jobs.first(count)) <= device.slot_device_bytes() &&
           Wave::PinnedBytes(jobs.first(count)) <= device.slot_pinned_bytes();
  };
  while (!jobs.empty()) {
    size_t count = jobs.size();
    while (count > 1 && !fits(count)) count = (count + 1) / 2;
    while (true) {
      if (count == 1 && jobs[0].route != Route::kPixels && !fits(1)) ToPixels(*batch.spec, &jobs[0]);
      Wave wave(&device, batch, jobs.first(count));
      if (wave.TakeSlot()) {
        wave.Run();
        break;
      }
      if (count > 1) {
        count = (count + 1) / 2;
      } else if (jobs[0].route == Route::kPixels) {
        throw CudaError("out of device or pinned memory");
      } else {
        ToPixels(*batch.spec, &jobs[0]);
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
  const Offer offer = OfferOf(device, batch);
  try {
    for (size_t first = 0; first < sources.size(); first += kMostJobs) {
      std::vector<Job> jobs(std::min(kMostJobs, sources.size() - first));
      {
        const Range range(device.runtime(), "fastpre: prepare");
        ParallelOrThrow(jobs.size(), batch.threads, [&](size_t i, Worker&) {
          jobs[i].record = &records[first + i];
          jobs[i].out = batch.slot(first + i);
          const CallContext::Scope helper(batch.context);
          Prepare(sources[first + i], *batch.spec, offer, &jobs[i]);
        });
        if (batch.context && batch.context->cancelled()) throw Cancelled();
        AssignRoutes(device, batch, &jobs);
        ParallelOrThrow(jobs.size(), batch.threads, [&](size_t i, Worker&) {
          if (!Recorded(jobs[i].record, [&] { LayOut(*batch.spec, &jobs[i]); })) jobs[i].failed = true;
        });
      }
      RunWaves(device, batch, jobs);
    }
    if (batch.context && batch.context->cancelled()) throw Cancelled();
  } catch (...) {
    // Earlier waves may still be writing to the tensor, which the caller may let go now.
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
