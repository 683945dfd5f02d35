// The rules for decoders, and the split of a batch: pure functions, no device.
#include "cuda/decode_path.h"
#include <algorithm>
#include <array>

#include "check.h"
#include "plan/plan.h"

namespace fastpre::test {
namespace {

using cuda::DecodePath;

long cases = 0;

struct Image {
  Header header;
  Frame frame;
  Spec spec;
  Plan plan;
};

// A photograph of ordinary kind, 4:2:0.
Image Photograph(int width = 640, int height = 480) {
  Image image;
  image.header.width = width;
  image.header.height = height;
  image.header.components = 3;
  image.header.sof = 0xC0;
  image.header.jfif = true;
  image.header.component_id = {1, 2, 3};
  image.header.sampling = {{{2, 2}, {1, 1}, {1, 1}}};
  image.header.bytes = 100'000;
  image.frame = GeometryOf(image.header);
  image.frame.scans.resize(1);
  image.spec.exact = false;
  image.plan = ComputePlan(image.header, image.spec, nullptr);
  return image;
}

constexpr size_t kPlenty = size_t{1} << 30;

std::string Allowed(const Image& i, const cuda::Capabilities& capabilities, const std::string& declined = "",
                    bool complete = true) {
  const cuda::PathChoice choice = cuda::AllowedPaths(i.header, &i.frame, declined, complete, i.plan, capabilities);
  std::string text;
  for (int r = 0; r < cuda::kPaths; ++r) {
    if (choice.may[r]) text += std::string(text.empty() ? "" : " ") + cuda::PathName(static_cast<DecodePath>(r));
  }
  ++cases;
  return text;
}

void Expect(const std::string& got, const std::string& want, const std::string& what) {
  CHECK(got == want, what + ": " + got + ", not " + want);
}

void TestRules() {
  const cuda::Capabilities all{false, true, true, kPlenty}, exact{true, true, true, kPlenty},
      none{false, false, false, kPlenty};
  const std::string everything = "hardware hybrid coefficients pixels";
  Expect(Allowed(Photograph(), all), everything, "a photograph");
  Expect(Allowed(Photograph(), exact), "coefficients pixels", "exact fidelity");
  Expect(Allowed(Photograph(), none), "coefficients pixels", "no nvJPEG");
  Expect(Allowed(Photograph(), all, "", false), "coefficients pixels", "a stream that does not end where it should");
  Expect(Allowed(Photograph(), all, "damaged"), "pixels", "a stream that our decoder declines");
  Expect(Allowed(Photograph(15, 480), all), "coefficients pixels", "too narrow for nvJPEG");
  Expect(Allowed(Photograph(20000, 480), all), "coefficients pixels", "too wide for nvJPEG");

  Image i = Photograph();
  i.frame.scans.resize(3);
  Expect(Allowed(i, all), "hybrid coefficients pixels", "one scan a component");
  i = Photograph();
  i.header.sof = 0xC1;
  Expect(Allowed(i, all), "hybrid coefficients pixels", "extended sequential");
  i.header.sof = 0xC2;
  Expect(Allowed(i, all, "progressive"), "hybrid pixels", "progressive");
  Expect(Allowed(i, all, "progressive", false), "pixels", "progressive, cut short");
  i = Photograph();
  i.frame.color = ColorModel::kRgb;
  Expect(Allowed(i, all), "coefficients pixels", "RGB");
  i = Photograph();
  i.frame.component[0].h = 4;
  Expect(Allowed(i, all), "coefficients pixels", "4:1:1");
  i = Photograph();
  i.frame.component[1].v = 2;
  Expect(Allowed(i, all), "coefficients pixels", "chroma of more than one block");
  i = Photograph();
  i.frame.components = 4;
  i.frame.color = ColorModel::kCmyk;
  Expect(Allowed(i, all), "coefficients pixels", "CMYK");
  Expect(Allowed(Photograph(4000, 3000), {false, true, true, size_t{1} << 20}), "pixels", "too large for its share");
}

void TestScale() {
  const cuda::Capabilities all{false, true, true, kPlenty};
  for (const auto& [width, height, scale] :
       {std::array{500, 375, 8}, std::array{1100, 1100, 8}, std::array{2100, 2100, 4}, std::array{4200, 4200, 2},
        std::array{9000, 9000, 1}}) {
    const Image i = Photograph(width, height);
    const cuda::PathChoice choice = cuda::AllowedPaths(i.header, &i.frame, "", true, i.plan, all);
    CHECK(choice.hardware_scale == scale, std::to_string(width) + ": " + std::to_string(choice.hardware_scale));
    // The quality guard: at least four times the output's samples are left.
    CHECK(int64_t{height} * choice.hardware_scale >= 8 * 4 * 256 || choice.hardware_scale == 8, std::to_string(width));
    ++cases;
  }
}

int Count(const std::vector<DecodePath>& paths, DecodePath r) {
  return static_cast<int>(std::count(paths.begin(), paths.end(), r));
}

void TestSplit() {
  const Image i = Photograph();
  const cuda::PathChoice any = cuda::AllowedPaths(i.header, &i.frame, "", true, i.plan, {false, true, true, kPlenty});
  const cuda::PathChoice cores =
      cuda::AllowedPaths(i.header, &i.frame, "", true, i.plan, {false, false, false, kPlenty});
  const std::vector<cuda::Candidate> batch(100, {&any, 1e6}), only_cores(100, {&cores, 1e6});
  cuda::Rates rates;
  for (int k = 0; k < 40; ++k)
    rates.Observe(DecodePath::kHardware, 1e8, 3.0), rates.Observe(DecodePath::kCoefficients, 1e8, 1.0);
  // The engines take a third of the time's reciprocal: a quarter of the images.
  std::vector<DecodePath> paths = cuda::Split(batch, rates, "auto");
  CHECK(Count(paths, DecodePath::kHardware) >= 23 && Count(paths, DecodePath::kHardware) <= 26,
        std::to_string(Count(paths, DecodePath::kHardware)));
  CHECK(Count(paths, DecodePath::kHybrid) == 0, "not measured, so not taken");
  for (int k = 0; k < 40; ++k) rates.Observe(DecodePath::kHardware, 1e8, 0.25);
  paths = cuda::Split(batch, rates, "auto");
  CHECK(Count(paths, DecodePath::kHardware) >= 75 && Count(paths, DecodePath::kHardware) <= 82,
        std::to_string(Count(paths, DecodePath::kHardware)));
  for (int k = 0; k < 40; ++k) rates.Observe(DecodePath::kHybrid, 1e8, 0.5);
  paths = cuda::Split(batch, rates, "auto");
  CHECK(Count(paths, DecodePath::kHybrid) > 20 && Count(paths, DecodePath::kCoefficients) == 0,
        "the faster use of the cores");
  CHECK(Count(cuda::Split(only_cores, rates, "auto"), DecodePath::kCoefficients) == 100, "no engines");
  CHECK(Count(cuda::Split(batch, rates, "hardware"), DecodePath::kHardware) == 100, "forced");
  CHECK(Count(cuda::Split(only_cores, rates, "hardware"), DecodePath::kCoefficients) == 100,
        "forced where it is allowed");
  CHECK(Count(cuda::Split(batch, rates, "pixels"), DecodePath::kPixels) == 100, "forced to the CPU");
  CHECK(cuda::Split({}, rates, "auto").empty(), "nothing");
  // One small image is not worth the engines' latency.
  const std::vector<cuda::Candidate> one(1, {&any, 2e4});
  CHECK(Count(cuda::Split(one, cuda::Rates(), "auto"), DecodePath::kCoefficients) == 1, "a thumbnail");
  cases += 10;
}

}  // namespace
}  // namespace fastpre::test

int main() {
  fastpre::test::TestRules();
  fastpre::test::TestScale();
  fastpre::test::TestSplit();
  return fastpre::test::Summary("path", fastpre::test::cases);
}
