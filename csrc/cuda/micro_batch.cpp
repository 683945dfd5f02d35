#include "cuda/micro_batch.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/round.h"
#include "core/thread_pool.h"
#include "cuda/batch.h"
#include "jpeg/declined.h"
#include "jpeg/kernels/upsample.h"

namespace fastpre::cuda {
namespace {

constexpr size_t kAlignment = 256;
using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

bool ByNvjpeg(const ImageJob& job) {
  return !job.failed && (job.path == DecodePath::kHardware || job.path == DecodePath::kHybrid);
}

size_t DescriptorBytes(std::span<const ImageJob> jobs) {
  size_t bytes = 0;
  for (const ImageJob& job : jobs) {
    // An image that ends up as pixels has the identity's taps: those of one output row and column.
    const size_t identity = (size_t{2} * sizeof(Span) + sizeof(int32_t)) * (job.out.width + job.out.height);
    bytes += std::max(job.descriptor_bytes, identity + BatchPacker::BatchBytes(1));
  }
  return RoundUp(bytes + BatchPacker::BatchBytes(1), kAlignment);
}

size_t CanaryBytes(std::span<const ImageJob> jobs) {
  const auto count = static_cast<size_t>(std::count_if(jobs.begin(), jobs.end(), ByNvjpeg));
  return RoundUp(count * 4 * sizeof(CanaryTask), kAlignment) + RoundUp(count * sizeof(uint32_t), kAlignment);
}

size_t MirroredBytes(std::span<const ImageJob> jobs) {
  size_t bytes = DescriptorBytes(jobs) + CanaryBytes(jobs);
  for (const ImageJob& job : jobs) bytes += job.region_bytes + job.pixel_bytes;
  return bytes;
}

}  // namespace

size_t MicroBatch::PinnedBytes(std::span<const ImageJob> jobs) { return MirroredBytes(jobs); }

size_t MicroBatch::DeviceBytes(std::span<const ImageJob> jobs) {
  size_t bytes = MirroredBytes(jobs);
  for (const ImageJob& job : jobs) bytes += job.plane_bytes;
  return bytes;
}

MicroBatch::MicroBatch(Device* device, const Batch& batch, std::span<ImageJob> jobs)
    : device_(*device),
      batch_(batch),
      jobs_(jobs) {
  pixel_spec_ = *batch.spec;
  pixel_spec_.dtype = DType::kU8;
  pixel_spec_.normalize = false;
  pixel_spec_.exact = true;  // what a device does not take is as in exact fidelity; fast is nvJPEG's matter here
  if (pixel_spec_.color == Color::kBGR) pixel_spec_.color = Color::kRGB;  // the kernel puts them in order
  pixel_affine_ = ComputeAffine(pixel_spec_);
  const int width = jobs[0].out.width, height = jobs[0].out.height;
  Geometry& g = identity_.geometry;
  g.oriented_width = g.part.width = g.resized_width = g.out_width = g.window_width = width;
  g.oriented_height = g.part.height = g.resized_height = g.out_height = g.window_height = height;
  identity_.columns = ComputeTaps(Filter::kBox, width, width, 0, width);
  identity_.rows = ComputeTaps(Filter::kBox, height, height, 0, height);
  identity_tiling_ = ChooseTiling({{&identity_.columns, &identity_.rows}}, false, false);
}

MicroBatch::~MicroBatch() {
  if (!staging_) return;
  if (!launched_) {
    // After a failure: no stream may still be at work in what the next call gets.
    for (const Stream s : {staging_->copies, staging_->engines, staging_->decoders, batch_.stream}) {
      try {
        device_.runtime().SynchronizeStream(s);
      } catch (const CudaError&) {
        // The context is broken, and every later call will say so.
      }
    }
  }
  device_.staging().Return(staging_);
}

bool MicroBatch::TakeStaging() {
  staging_ = device_.staging().Take(DeviceBytes(jobs_), PinnedBytes(jobs_));
  return staging_ != nullptr;
}

void MicroBatch::Run() {
  Place();
  MarkPlanes();
  std::vector<Turn> turns;
  double engines = 0;
  for (ImageJob& job : jobs_) {
    if (job.failed) continue;
    if (job.path == DecodePath::kHardware) {
      engines += job.plan.cost;
    } else {
      turns.push_back({&job, job.plan.cost});
    }
  }
  // The thread that waits for the engines hardly runs, so it is one more.
  if (engines > 0) turns.push_back({nullptr, INFINITY});
  Decode(std::move(turns));
  FindUnwritten();
  Retry();
  Launch();
}

void MicroBatch::Place() {
  size_t at = 0;
  const auto take = [&](size_t bytes) {
    const size_t here = at;
    at += RoundUp(bytes, kAlignment);
    return here;
  };
  for (ImageJob& job : jobs_) {
    job.region = take(job.region_bytes);
    job.pixels = take(job.pixel_bytes);
    if (ByNvjpeg(job)) nvjpeg_.push_back(&job);
  }
  descriptor_bytes_ = DescriptorBytes(jobs_);
  descriptors_ = take(descriptor_bytes_);
  canaries_ = take(nvjpeg_.size() * 4 * sizeof(CanaryTask));
  flags_ = take(nvjpeg_.size() * sizeof(uint32_t));
  mirrored_ = at;
  for (ImageJob& job : jobs_) job.planes = take(job.plane_bytes);
}

void MicroBatch::Decode(std::vector<Turn> turns) {
  if (turns.empty()) return;
  const Range range(device_.runtime(), "fastpre: decode");
  std::stable_sort(turns.begin(), turns.end(), [](const Turn& a, const Turn& b) { return a.cost > b.cost; });
  const bool engines = turns[0].job == nullptr;
  const int cpu_images = static_cast<int>(turns.size()) - engines;
  const int threads = batch_.threads + engines;
  Workers workers;
  ParallelOrThrow(turns.size(), threads, [&](size_t i) {
    const auto entered = device_.runtime().Enter();
    const CallContext::Scope scope(batch_.context);
    CheckCancelled();
    if (!turns[i].job) return DecodeOnEngines();
    ImageJob* const job = turns[i].job;
    const bool retried = !job->record->retried.empty();  // begun already
    if (!retried && batch_.context && !Recorded(job->record, [&] { batch_.context->Begin(); })) {
      job->failed = true;
      return;
    }
    PoolHelpers helpers(batch_.threads / cpu_images - 1, batch_.threads);
    const Clock::time_point start = Clock::now();
    DecodeOne(job, workers.OfThisThread(), &helpers);
    const double seconds = SecondsSince(start);
    std::lock_guard<std::mutex> lock(mutex_);
    const int path = static_cast<int>(job->path);
    seconds_[path] += seconds;
    cost_[path] += turns[i].cost;
  });
  const int sharing = std::max(1, std::min(batch_.threads, cpu_images));
  if (sharing_ == 0) sharing_ = sharing;
  for (const DecodePath r : {DecodePath::kCoefficients, DecodePath::kPixels}) {
    Observe(r, sharing);
  }
}

void MicroBatch::DecodeOne(ImageJob* job, Worker& worker, HelperThreads* helpers) {
  if (job->path == DecodePath::kHybrid) return DecodeHybrid(job);
  if (job->path == DecodePath::kCoefficients && DecodeCoefficients(job, helpers)) return;
  job->path = DecodePath::kPixels;
  DecodePixels(job, worker, helpers);
}

bool MicroBatch::DecodeCoefficients(ImageJob* job, HelperThreads* helpers) {
  StageClock clock(job->record);
  std::unique_ptr<CoefficientPacker> packer = device_.TakePacker();
  bool done = true;
  size_t used = 0;
  try {
    used = packer->Pack(job->bytes, *job->frame, job->plan.source, job->coefficients, batch_.spec->exact,
                        JpegKernelsFor(ActiveKernels().target), helpers, staging_->pinned + job->region);
  } catch (const Declined& declined) {
    job->choice.declined = declined.what();
    done = false;
  } catch (const Cancelled&) {
    throw;
  } catch (const std::exception& e) {  // no memory, say: one image's trouble; the CPU backend says so if it has it too
    job->choice.declined = e.what();
    done = false;
  }
  device_.ReturnPacker(std::move(packer));
  if (done) {
    device_.runtime().CopyToDevice(staging_->device + job->region, staging_->pinned + job->region, used,
                                   staging_->copies);
    job->record->decoder = "fastpre";
    job->record->uploaded_bytes = static_cast<int64_t>(used);
  }
  clock.Charge(kStageDecode);
  return done;
}

// The whole job on the CPU, up to the pixels that are to be normalized.
void MicroBatch::DecodePixels(ImageJob* job, Worker& worker, HelperThreads* helpers) {
  OutputView view = job->out;
  view.data = staging_->pinned + job->pixels;
  view.dtype = DType::kU8;
  view.stride_x = 1;
  view.stride_y = view.width;
  view.stride_c = static_cast<ptrdiff_t>(view.width) * view.height;
  Record record;
  ImageTask task{pixel_spec_, pixel_affine_, view, &record, helpers, job->draw};
  worker.Run(job->bytes, &task);
  for (int s = 0; s < kStageCount; ++s) record.stages_us[s] += job->record->stages_us[s];
  record.retried = job->record->retried;
  record.uploaded_bytes = static_cast<int64_t>(job->pixel_bytes);
  if (record.declined.empty()) record.declined = job->choice.declined;
  *job->record = std::move(record);
  job->failed = !job->record->ok;
  if (batch_.context && batch_.context->cancelled()) throw Cancelled();
  if (job->failed) return;
  device_.runtime().CopyToDevice(staging_->device + job->pixels, staging_->pinned + job->pixels, job->pixel_bytes,
                                 staging_->copies);
}

void MicroBatch::Launch() {
  Runtime& runtime = device_.runtime();
  const Range range(runtime, "fastpre: launch");
  BatchPacker packer(staging_->pinned + descriptors_, staging_->device + descriptors_, descriptor_bytes_);
  for (ImageJob& job : jobs_) {
    if (job.failed) {
      packer.Fill(job.out, batch_.fill);
    } else {
      AddToLaunch(job, &packer);
      job.record->ok = true;
    }
  }
  const IdctLaunch idct = packer.FinishIdct();
  const ResampleLaunch resample = packer.FinishResample(*batch_.spec, *batch_.affine);
  runtime.CopyToDevice(staging_->device + descriptors_, staging_->pinned + descriptors_, packer.used(),
                       staging_->copies);
  runtime.Record(staging_->uploaded, staging_->copies);
  runtime.Wait(batch_.stream, staging_->uploaded);
  runtime.Launch(idct, batch_.stream);
  runtime.Launch(resample, batch_.stream);
  runtime.Record(staging_->drained, batch_.stream);
  launched_ = true;
}

void MicroBatch::AddToLaunch(const ImageJob& job, BatchPacker* packer) {
  DeviceImage image;
  image.out = job.out;
  image.luma = batch_.spec->color == Color::kL;
  if (job.path == DecodePath::kPixels) {
    image.plan = &identity_;
    image.components = job.out.channels;
    image.color = image.components == 1 ? ColorModel::kGray : ColorModel::kRgb;
    const size_t plane = static_cast<size_t>(job.out.width) * job.out.height;
    for (int c = 0; c < image.components; ++c) {
      image.plane[c] = {staging_->device + job.pixels + c * plane,
                        job.out.width,
                        0,
                        0,
                        job.out.width,
                        job.out.height,
                        Upsampling::kNone,
                        1,
                        1};
    }
    return packer->Add(image, identity_tiling_);
  }
  job.record->target = "CUDA";
  const Frame& frame = *job.frame;
  image.plan = &job.plan;
  image.planar = job.planar ? &*job.planar : nullptr;
  image.components = frame.components;
  image.color = frame.color;
  const uint8_t* at = staging_->device + job.planes;
  for (int c = 0; c < frame.components; ++c) {
    const FrameComponent& f = frame.component[c];
    DevicePlane& p = image.plane[c];
    const int h = frame.hmax / f.h, v = frame.vmax / f.v;
    p.upsampling = ChooseUpsampling(f.width, h, v);
    p.h = static_cast<uint8_t>(h);
    p.v = static_cast<uint8_t>(v);
    if (job.path != DecodePath::kCoefficients) {
      const PlaneSize size = NvjpegPlane(job, c);
      p.data = at;
      p.pitch = static_cast<int32_t>(size.pitch);
      p.x1 = size.width;
      p.y1 = size.height;
      at += size.bytes;
      continue;
    }
    const CoefficientLayout::Component& l = job.coefficients.component[c];
    uint8_t* const samples = staging_->device + job.planes + l.plane;
    p.data = samples;
    p.pitch = l.pitch;
    p.x0 = l.column * 8;
    p.y0 = l.row * 8;
    p.x1 = std::min((l.column + l.blocks_x) * 8, f.width);
    p.y1 = std::min((l.row + l.blocks_y) * 8, f.height);
    const uint8_t* const region = staging_->device + job.region;
    IdctTask task{};
    task.offset = reinterpret_cast<const uint32_t*>(region + l.offsets);
    task.count = region + l.counts;
    task.words = reinterpret_cast<const uint16_t*>(region + job.coefficients.words);
    task.quant = packer->Put(f.quant.data(), f.quant.size());
    task.out = samples;
    task.pitch = l.pitch;
    task.blocks_x = l.blocks_x;
    task.blocks = l.blocks_x * l.blocks_y;
    packer->AddIdct(task);
  }
  packer->Add(image, job.tiling);
}

}  // namespace fastpre::cuda
