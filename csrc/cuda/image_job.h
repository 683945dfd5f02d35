// One image on its way through the device.
#pragma once

#include <optional>

#include "core/buffer.h"
#include "core/record.h"
#include "core/source.h"
#include "cuda/batch_packer.h"
#include "cuda/coefficients.h"
#include "cuda/decode_path.h"
#include "cuda/nvjpeg/decoders.h"
#include "jpeg/frame.h"
#include "plan/plan.h"
#include "plan/planar.h"

namespace fastpre::cuda {

struct ImageJob {
  Record* record = nullptr;
  OutputView out;              // mirrored already where the draw says so
  const Draw* draw = nullptr;  // null: the Spec's geometry
  Buffer file;
  Bytes bytes;
  bool failed = false;  // the record says why; nothing of it is on the device

  Header header;
  Plan plan;
  std::optional<Frame> frame;  // for nvJPEG, geometry may be all that is in it
  size_t stream_bytes = 0;     // up to EOI, where that was looked for and found: what nvJPEG gets
  PathChoice choice;
  DecodePath path = DecodePath::kPixels;
  std::optional<PlanarPlan> planar;
  CoefficientLayout coefficients;
  Tiling tiling;

  // In the micro-batch's staging buffer. The mirrored part is the same in pinned and device memory.
  size_t region = 0, region_bytes = 0;  // mirrored: coefficients
  size_t pixels = 0, pixel_bytes = 0;   // mirrored: 8-bit pixels of the output, for images that the CPU decodes
  size_t planes = 0, plane_bytes = 0;   // device only
  size_t descriptor_bytes = 0;
  std::string nvjpeg_failure;

  NvjpegTask ForNvjpeg() const;  // without a place for its samples
};

// Header, plan and choice; a failure goes into the record.
void Prepare(const Source& source, const Spec& spec, const Capabilities& capabilities, ImageJob* job);

// What the path that it got needs.
void LayOut(ImageJob* job);

// Plane c of an image that nvJPEG decodes: samples, and bytes from row to row.
struct PlaneSize {
  int width = 0, height = 0;
  size_t pitch = 0, bytes = 0;
};
PlaneSize NvjpegPlane(const ImageJob& job, int c);

}  // namespace fastpre::cuda
