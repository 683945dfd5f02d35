#include "cuda/image_job.h"

#include <algorithm>

#include "core/call_context.h"
#include "core/file.h"
#include "core/round.h"
#include "cpu/decoder_choice.h"
#include "jpeg/declined.h"
#include "jpeg/mcu_rect.h"
#include "jpeg/whole_stream.h"

namespace fastpre::cuda {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kNvjpegPitch = 64;

std::vector<AxisPair> PixelAxes(const Plan& plan) { return {{&plan.columns, &plan.rows}}; }

std::vector<AxisPair> PlaneAxes(const PlanarPlan& plan, int components) {
  std::vector<AxisPair> axes;
  for (int c = 0; c < components; ++c) axes.push_back({&plan.of(c).columns, &plan.of(c).rows});
  return axes;
}

void Choose(Capabilities capabilities, ImageJob* job) {
  // Nearest picks single pixels; another inverse DCT changes nothing about that, but it is exact in both fidelities.
  if (job->plan.filter == Filter::kNearest) capabilities.exact = true;
  const char* reason = OutOfScope(job->header);
  std::string declined = reason ? reason : "";
  try {
    if (declined.empty()) {
      job->frame = ParseFrame(job->bytes, job->header);
    } else if (job->header.sof == marker::kSOF2 && !capabilities.exact) {
      job->frame = GeometryOf(job->header);
    }
  } catch (const Declined& e) {
    declined = e.what();
    job->frame.reset();
  }
  // Streams that end in a scan, or go on behind it, are the CPU's: it says what they are worth.
  if (job->frame && !capabilities.exact) {
    job->stream_bytes = job->header.progressive() ? ValidateProgressive(job->bytes, job->header)
                                                  : ValidateSequential(job->bytes, *job->frame);
  }
  const bool complete = job->stream_bytes > 0;
  job->tiling = ChooseTiling(PixelAxes(job->plan), job->plan.vertical_first, false);
  if (job->tiling.shared_bytes > kMostShared) {
    job->choice.declined = "a reduction whose taps are over the device's shared memory";
  } else {
    job->choice =
        AllowedPaths(job->header, job->frame ? &*job->frame : nullptr, declined, complete, job->plan, capabilities);
  }
}

}  // namespace

void Prepare(const Source& source, const Spec& spec, const Capabilities& capabilities, ImageJob* job) {
  Record* const record = job->record;
  StageClock clock(record);
  job->failed = !Recorded(record, [&] {
    if (CallContext* const context = CallContext::Current()) context->Begin();
    job->bytes = ReadSource(source, spec.limits.max_bytes, &job->file);
    clock.Charge(kStageRead);
    job->header = ParseHeader(job->bytes, spec.limits, spec.exif_orientation);
    job->plan = ComputePlan(job->header, spec, job->draw, job->out, record);
    Choose(capabilities, job);
  });
  // A plan's taps may be megabytes, and pixels have no use for them.
  const bool pixels_only = !job->choice.allows(DecodePath::kCoefficients) && !job->choice.allows(DecodePath::kHybrid);
  if (job->failed || pixels_only) job->plan.columns = job->plan.rows = Taps();
  clock.Charge(kStageHeader);
}

NvjpegTask ImageJob::ForNvjpeg() const {
  NvjpegTask n;
  n.bytes = bytes.first(stream_bytes);
  n.frame_width = frame->width;
  n.frame_height = frame->height;
  n.components = frame->components;
  for (int c = 0; c < n.components; ++c) {
    n.width[c] = frame->component[c].width;
    n.height[c] = frame->component[c].height;
  }
  return n;
}

PlaneSize NvjpegPlane(const ImageJob& job, int c) {
  const FrameComponent& f = job.frame->component[c];
  const int scale = job.path == DecodePath::kHardware ? job.choice.hardware_scale : 8;
  PlaneSize size;
  size.width = CeilDiv(f.width * scale, 8);
  size.height = CeilDiv(f.height * scale, 8);
  size.pitch = RoundUp(static_cast<size_t>(size.width), kNvjpegPitch);
  // Whole MCUs, should a decoder write those.
  size.bytes = RoundUp(size.pitch * RoundUp(static_cast<size_t>(size.height), 16), kAlignment);
  return size;
}

void LayOut(ImageJob* job) {
  job->region_bytes = job->plane_bytes = job->descriptor_bytes = 0;
  job->pixel_bytes = RoundUp(static_cast<size_t>(job->out.channels) * job->out.height * job->out.width, kAlignment);
  if (job->failed || job->path == DecodePath::kPixels) return;
  if (job->path == DecodePath::kCoefficients) {
    job->coefficients =
        LayOutCoefficients(*job->frame, job->plan.source, job->bytes.size() - job->frame->scans[0].begin);
    job->region_bytes = RoundUp(job->coefficients.region_bytes, kAlignment);
    job->plane_bytes = job->coefficients.plane_bytes;
  } else {
    for (int c = 0; c < job->frame->components; ++c) job->plane_bytes += NvjpegPlane(*job, c).bytes;
  }
  const bool reduced = job->path == DecodePath::kHardware && job->choice.hardware_scale < 8;
  if (reduced) {
    job->planar = ComputePlanarPlan(job->header, job->plan, job->choice.hardware_scale);
    const std::vector<AxisPair> axes = PlaneAxes(*job->planar, job->frame->components);
    job->tiling = ChooseTiling(axes, true, true);
    if (job->tiling.shared_bytes > kMostShared) ThrowInternal("planes whose taps are over the device's shared memory");
    job->descriptor_bytes = BatchPacker::MostBytes(axes, job->tiling);
  } else {
    job->descriptor_bytes = BatchPacker::MostBytes(PixelAxes(job->plan), job->tiling);
  }
}

}  // namespace fastpre::cuda
