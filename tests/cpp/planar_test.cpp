// The fused kernel on planes that are resampled one by one (fidelity="fast" of a decoder that scales), on the emulator:
// given the same planes, bit for bit the CPU's.
#include <cstring>

#include "check.h"
#include "cpu/kernels/kernels.h"
#include "cuda/batch_packer.h"
#include "device_batch.h"
#include "jpeg/planes.h"
#include "jpeg_writer.h"
#include "plan/planar.h"
#include "plan/quality_guard.h"
#include "random_draw.h"

namespace fastpre::test {
namespace {

long cases = 0;

// A whole component, as the CPU's decoder scales it.
struct Planes {
  Frame frame;
  std::vector<std::vector<uint8_t>> samples;
  std::vector<int> width, height;
};
Planes DecodePlanes(const Stream& stream, const Header& header, const PlanarPlan& plan) {
  Planes p;
  p.frame = ParseFrame(stream, header);
  PlaneOptions options;
  options.kept_rows = p.frame.mcus_y;
  for (int c = 0; c < p.frame.components; ++c) options.scale[c] = plan.of(c).scale;
  PlaneDecoder decoder;
  decoder.Open(stream, p.frame, {0, 0, p.frame.mcus_x, p.frame.mcus_y}, options, JpegKernelsFor(ActiveKernels().target),
               nullptr);
  while (decoder.next_row() < p.frame.mcus_y) decoder.DecodeRow();
  for (int c = 0; c < p.frame.components; ++c) {
    p.width.push_back(decoder.width(c));
    p.height.push_back(decoder.height(c));
    std::vector<uint8_t>& samples = p.samples.emplace_back(static_cast<size_t>(p.width[c]) * p.height[c]);
    for (int y = 0; y < p.height[c]; ++y) {
      std::memcpy(samples.data() + static_cast<size_t>(y) * p.width[c], decoder.row(c, y), p.width[c]);
    }
  }
  decoder.Close();
  return p;
}

std::vector<uint8_t> OnKernel(cuda::Runtime& runtime, const Header& header, const Spec& spec, const Affine& affine,
                              const Plan& plan, const PlanarPlan& planar, const Planes& planes, const Layout& layout,
                              const Draw* draw) {
  std::vector<uint8_t> out(layout.elements * ElementSize(spec.dtype), 0xC3);
  std::vector<cuda::AxisPair> axes;
  for (int c = 0; c < header.components; ++c) axes.push_back({&planar.of(c).columns, &planar.of(c).rows});
  const cuda::Tiling tiling = cuda::ChooseTiling(axes, true, true);
  CHECK(tiling.shared_bytes <= cuda::kMostShared, "tiling");
  std::vector<uint8_t> memory(cuda::BatchPacker::MostBytes(axes, tiling) + cuda::BatchPacker::BatchBytes(1));
  cuda::BatchPacker packer(memory.data(), memory.data(), memory.size());
  cuda::DeviceImage image;
  image.plan = &plan;
  image.planar = &planar;
  image.color = planes.frame.color;
  image.components = header.components;
  image.luma = spec.color == Color::kL;
  image.out = Mirrored(ViewOf(&out, spec, layout, 0), draw);
  for (int c = 0; c < header.components; ++c) {
    image.plane[c] = {planes.samples[c].data(), planes.width[c],   0, 0, planes.width[c],
                      planes.height[c],         Upsampling::kNone, 1, 1};
  }
  packer.Add(image, tiling);
  runtime.Launch(packer.FinishResample(spec, affine), nullptr);
  runtime.SynchronizeStream(nullptr);
  return out;
}

void TestDrawn(cuda::Runtime& runtime, uint64_t seed) {
  Choices choose(seed);
  static constexpr std::array<std::array<int, 2>, 5> kLuma{{{2, 2}, {2, 1}, {1, 1}, {1, 2}, {4, 1}}};
  const auto luma = kLuma[choose.Below(5)];
  std::vector<std::array<int, 2>> sampling(choose.OneIn(4) ? 1 : choose.OneIn(4) ? 4 : 3, {1, 1});
  sampling[0] = luma;
  JpegSpec jpeg = MakeSpec(choose.Between(100, 420), choose.Between(100, 420), sampling);
  jpeg.adobe = sampling.size() == 4 && choose.OneIn(2) ? 2 : -1;
  const Stream stream = WriteJpeg(jpeg, choose).bytes;
  Spec spec;
  spec.exact = false;
  spec.filter = static_cast<Filter>(1 + choose.Below(5));
  spec.dtype = static_cast<DType>(choose.Below(4));
  spec.normalize = spec.dtype != DType::kU8;
  spec.color = static_cast<Color>(choose.Below(3));
  if (spec.color == Color::kL) spec.mean[1] = spec.mean[2] = 0.0f, spec.std[1] = spec.std[2] = 1.0f;
  spec.resize_height = spec.resize_width = choose.Between(8, 45);
  spec.crop_height = choose.Between(4, 50), spec.crop_width = choose.Between(4, 50);
  const Header header = ParseHeader(stream, spec.limits, false);
  std::optional<Draw> draw;
  if (choose.OneIn(2)) draw = RandomDraw(choose, stream, spec);
  const Plan plan = ComputePlan(header, spec, Pointer(draw));
  if (LumaScale(header, plan) == 8) return;
  const Affine affine = ComputeAffine(spec);
  const Layout layout = DenseLayout(1, spec);
  const Outputs cpu = OnCpu({stream}, spec, affine, layout, {Pointer(draw)});
  CHECK(cpu.records[0].ok && cpu.records[0].declined.empty(), cpu.records[0].reason + cpu.records[0].declined);
  const PlanarPlan planar = ComputePlanarPlan(header, plan);
  const Planes planes = DecodePlanes(stream, header, planar);
  CHECK(cpu.memory == OnKernel(runtime, header, spec, affine, plan, planar, planes, layout, Pointer(draw)),
        "seed " + std::to_string(seed) + ", " + Describe(jpeg));
  ++cases;
}

}  // namespace
}  // namespace fastpre::test

int main() {
  using namespace fastpre;
  const auto ascending = cuda::MakeEmulator(), descending = cuda::MakeEmulator(cuda::ThreadOrder::kDescending);
  for (uint64_t seed = 0; seed < 300; ++seed) test::TestDrawn(seed % 2 ? *ascending : *descending, seed);
  return test::Summary("planar", test::cases);
}
