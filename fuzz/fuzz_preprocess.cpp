// libFuzzer target: twelve bytes choose the Spec, the rest is the JPEG (make_seeds.py writes both).
//
// Five properties besides "no crash": a failure is never InternalError; a worker that has seen
// other images gives what a new one gives; a crop's pixels are those of the whole image; with
// `partial`, images are truncated where without it they are corrupt, and the others are the same; the
// CUDA backend, its kernels run on the host, gives what the CPU gives.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/error.h"
#include "cpu/kernels/kernels.h"
#include "cpu/worker.h"
#include "cuda/batch.h"
#include "plan/affine.h"
#include "plan/geometry.h"

namespace {

using namespace fastpre;

constexpr size_t kSpecBytes = 12;
constexpr int kMaxSide = 96;  // of outputs; small, so that time goes into streams

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "fuzz_preprocess: %s\n", what.c_str());
  std::abort();
}

Spec ReadSpec(const uint8_t* b) {
  Spec s;
  auto side = [](uint8_t v) { return 1 + v % kMaxSide; };
  s.filter = static_cast<Filter>(b[0] % 6);
  s.resize = b[0] & 0x80 ? Spec::Resize::kExact : Spec::Resize::kShorterSide;
  s.resize_height = side(b[1]);
  s.resize_width = s.resize == Spec::Resize::kExact ? side(b[2]) : s.resize_height;
  s.crop_height = side(b[3]);
  s.crop_width = side(b[4]);
  s.dtype = static_cast<DType>(b[5] % 4);
  s.color = static_cast<Color>(b[6] % 3);
  s.pass_order = b[7] & 1 ? PassOrder::kAdaptive : PassOrder::kHorizontalFirst;
  s.exif_orientation = b[7] & 2;
  s.exact = b[7] & 4;
  s.normalize = b[7] & 8;
  s.rescale = b[7] & 16 ? Rescale::kMultiply : Rescale::kDivide;
  s.partial = b[7] & 64;
  s.limits.max_pixels = 4'000'000;
  s.limits.max_bytes = 1 << 20;
  s.limits.max_work = 120'000'000;
  return s;
}

struct Slot {
  std::vector<uint8_t> bytes;
  OutputView view;
};

Slot MakeSlot(const Spec& spec, int height, int width, bool channels_last) {
  Slot s;
  const ptrdiff_t c = spec.channels(), h = height, w = width;
  s.bytes.assign(static_cast<size_t>(c * h * w) * ElementSize(spec.dtype), 0xA5);
  s.view = {s.bytes.data(),
            spec.dtype,
            spec.channels(),
            height,
            width,
            channels_last ? 1 : h * w,
            channels_last ? w * c : w,
            channels_last ? c : 1};
  return s;
}

Record Run(Worker& worker, Bytes jpeg, const Spec& spec, const Slot& slot, const Draw* draw = nullptr) {
  Record record;
  const Affine affine = ComputeAffine(spec);
  ImageTask task{spec, affine, Mirrored(slot.view, draw), &record, nullptr, draw};
  worker.Run(jpeg, &task);
  if (!record.ok && record.error_kind == ErrorKind::kInternal) Fail("InternalError: " + record.reason);
  return record;
}

void CheckWorkers(Worker& used, Bytes jpeg, const Spec& spec, bool channels_last, const Draw* draw) {
  Slot a = MakeSlot(spec, spec.crop_height, spec.crop_width, channels_last), b = a;
  b.view.data = b.bytes.data();
  Worker fresh;
  const Record ra = Run(used, jpeg, spec, a, draw), rb = Run(fresh, jpeg, spec, b, draw);
  if (ra.ok != rb.ok) Fail("accepted by one worker only: " + ra.reason + rb.reason);
  if (ra.truncated != rb.truncated) Fail("truncated to one worker only");
  if (ra.ok && a.bytes != b.bytes) Fail("a used worker and a new one differ");
}

void CheckPartial(Worker& worker, Bytes jpeg, Spec spec, bool channels_last) {
  try {
    (void)ParseHeader(jpeg, spec.limits, spec.exif_orientation);
  } catch (const Error&) {
    return;
  }
  Slot a = MakeSlot(spec, spec.crop_height, spec.crop_width, channels_last), b = a;
  b.view.data = b.bytes.data();
  spec.partial = false;
  const Record strict = Run(worker, jpeg, spec, a);
  spec.partial = true;
  const Record partial = Run(worker, jpeg, spec, b);
  if (!strict.ok && strict.error_kind == ErrorKind::kLimit) return;
  if (strict.truncated) Fail("truncated, and no error");
  if (!partial.ok) {
    // What an older libjpeg-turbo lacks, and headers that contradict each other, are errors either way.
    if (strict.ok || strict.reason != partial.reason) Fail("not even partial: " + partial.reason);
  } else if (partial.truncated == strict.ok) {
    Fail("whole and truncated are confused: " + strict.reason);
  } else if (strict.ok && a.bytes != b.bytes) {
    Fail("a whole image is another one with `partial`");
  }
}

// The whole image and a centred crop of it, neither resized.
void CheckCrop(Worker& worker, Bytes jpeg, Spec spec, int crop_height, int crop_width) {
  spec.resize = Spec::Resize::kNone;
  spec.dtype = DType::kU8;
  spec.color = Color::kRGB;
  spec.exact = true;
  spec.crop_height = spec.crop_width = 0;
  Geometry whole;
  try {
    whole = ComputeGeometry(ParseHeader(jpeg, spec.limits, spec.exif_orientation), spec);
  } catch (const Error&) {
    return;
  }
  if (int64_t{whole.out_width} * whole.out_height > 500'000) return;
  Spec cut = spec;
  cut.crop_height = std::min(crop_height, whole.out_height);
  cut.crop_width = std::min(crop_width, whole.out_width);
  const Geometry g = ComputeGeometry(ParseHeader(jpeg, cut.limits, cut.exif_orientation), cut);
  const Slot full = MakeSlot(spec, whole.out_height, whole.out_width, false);
  const Slot part = MakeSlot(cut, g.out_height, g.out_width, false);
  const Record rf = Run(worker, jpeg, spec, full), rp = Run(worker, jpeg, cut, part);
  if (rf.ok != rp.ok) Fail("the whole and its crop disagree on acceptance: " + rf.reason + " | " + rp.reason);
  if (rf.truncated != rp.truncated) Fail("the whole and its crop disagree on truncation");
  if (!rf.ok) return;
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < g.out_height; ++y) {
      const uint8_t* want = full.bytes.data() +
                            (static_cast<size_t>(c) * whole.out_height + g.window_y + y) * whole.out_width + g.window_x;
      const uint8_t* got = part.bytes.data() + (static_cast<size_t>(c) * g.out_height + y) * g.out_width;
      if (std::memcmp(want, got, g.out_width) != 0) {
        Fail("crop " + std::to_string(g.out_height) + "x" + std::to_string(g.out_width) + " of " +
             std::to_string(whole.out_height) + "x" + std::to_string(whole.out_width) + " differs in channel " +
             std::to_string(c) + ", row " + std::to_string(y));
      }
    }
  }
}

// Made of bytes, as the Spec is; it may reach past the image, or show nothing of it: that is an error like others.
Draw ReadDraw(const uint8_t* b, const Spec& spec) {
  Draw d;
  d.flip_x = b[0] & 1, d.flip_y = b[0] & 2, d.mirror_x = b[0] & 4, d.mirror_y = b[0] & 8;
  d.crop = {b[1], b[2], 1 + b[3], 1 + b[4]};
  d.resized_width = b[0] & 16 ? d.crop.width : 1 + b[5] % kMaxSide;
  d.resized_height = b[0] & 16 ? d.crop.height : 1 + b[6] % kMaxSide;
  d.window = {b[7] % kMaxSide - kMaxSide / 2, b[8] % kMaxSide - kMaxSide / 2, spec.crop_width, spec.crop_height};
  d.filter = spec.filter;
  d.fill = {b[9], b[10], b[11]};
  return d;
}

// In exact fidelity: the same verdict, the same bits.
void CheckDevice(Worker& worker, Bytes jpeg, Spec spec, bool channels_last, const Draw* draw) {
  static cuda::Device device(cuda::MakeEmulator(), {size_t{256} << 20, size_t{256} << 20});
  spec.exact = true;
  Slot a = MakeSlot(spec, spec.crop_height, spec.crop_width, channels_last), b = a;
  b.view.data = b.bytes.data();
  const Record want = Run(worker, jpeg, spec, a, draw);
  const Affine affine = ComputeAffine(spec);
  std::vector<Source> sources(1);
  sources[0].bytes = jpeg;
  cuda::Batch batch;
  batch.sources = &sources;
  batch.spec = &spec;
  batch.affine = &affine;
  batch.draws = {draw};
  batch.slot = [&](size_t) { return b.view; };
  const Record got = cuda::Run(device, batch)[0];
  device.runtime().SynchronizeStream(nullptr);
  if (want.ok != got.ok || want.reason != got.reason) Fail("devices disagree: " + want.reason + " | " + got.reason);
  if (want.truncated != got.truncated) Fail("devices disagree on truncation: " + want.declined + " | " + got.declined);
  if (want.ok && a.bytes != b.bytes) Fail("the CUDA backend's pixels differ from the CPU's");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kSpecBytes) return 0;
  static Worker used;
  static const std::vector<const KernelTable*> tables = AvailableKernels();
  SetTarget(tables[data[8] % tables.size()]->name);
  const Bytes jpeg(data + kSpecBytes, size - kSpecBytes);
  CheckWorkers(used, jpeg, ReadSpec(data), data[7] & 32, nullptr);
  CheckPartial(used, jpeg, ReadSpec(data), data[7] & 32);
  CheckCrop(used, jpeg, ReadSpec(data), 1 + data[9] % kMaxSide, 1 + data[10] % kMaxSide);
  const Spec spec = ReadSpec(data);
  const Draw draw = ReadDraw(data, spec);
  CheckWorkers(used, jpeg, spec, data[7] & 32, &draw);
  // The emulator is slow.
  if (data[11] % 4 == 0) CheckDevice(used, jpeg, spec, data[7] & 32, data[11] % 8 == 0 ? &draw : nullptr);
  return 0;
}
