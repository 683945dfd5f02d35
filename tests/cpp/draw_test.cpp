// Draws on the CPU: crops, flips and mirroring against the whole image, and draws that were made for another one.
#include <string>
#include <vector>

#include "check.h"
#include "cpu/worker.h"
#include "jpeg_writer.h"
#include "random_draw.h"

namespace fastpre::test {
namespace {

long cases = 0;

// A draw that keeps pixels is a rectangle of the whole image, mirrored.
void TestDraws(uint64_t seed, Worker& worker) {
  Choices choose(seed);
  const std::vector<uint8_t> jpeg = WriteJpeg(DrawSpec(choose, 90), choose).bytes;
  Spec spec;
  spec.resize = Spec::Resize::kNone;
  spec.dtype = DType::kU8;
  spec.crop_height = spec.crop_width = 0;
  spec.normalize = false;
  const Header header = ParseHeader(jpeg, spec.limits, false);
  const int w = header.width, h = header.height;
  const Affine affine = ComputeAffine(spec);
  const auto run = [&](const Draw* draw, int width, int height, Record* record) {
    std::vector<uint8_t> out(3 * static_cast<size_t>(width) * height);
    const OutputView view{out.data(), DType::kU8, 3, height, width, ptrdiff_t{height} * width, width, 1};
    ImageTask task{spec, affine, Mirrored(view, draw), record, nullptr, draw};
    worker.Run(Source(Bytes(jpeg)), &task);
    return out;
  };
  Record whole_record, record;
  const std::vector<uint8_t> whole = run(nullptr, w, h, &whole_record);
  spec.crop_width = choose.Between(1, w), spec.crop_height = choose.Between(1, h);
  Draw draw = *RandomDraw(choose, jpeg, spec);
  draw.crop.width = draw.resized_width = spec.crop_width, draw.crop.height = draw.resized_height = spec.crop_height;
  draw.crop.x = choose.Between(0, w - draw.crop.width), draw.crop.y = choose.Between(0, h - draw.crop.height);
  draw.window = {0, 0, draw.crop.width, draw.crop.height};
  spec.crop_height = spec.crop_width = 0;
  const std::vector<uint8_t> part = run(&draw, draw.crop.width, draw.crop.height, &record);
  CHECK(record.ok == whole_record.ok, record.reason + whole_record.reason);
  bool equal = true;
  for (int c = 0; c < 3 && record.ok; ++c) {
    for (int y = 0; y < draw.crop.height; ++y) {
      for (int x = 0; x < draw.crop.width; ++x) {
        int sx = draw.crop.x + (draw.mirror_x ? draw.crop.width - 1 - x : x);
        int sy = draw.crop.y + (draw.mirror_y ? draw.crop.height - 1 - y : y);
        if (draw.flip_x) sx = w - 1 - sx;
        if (draw.flip_y) sy = h - 1 - sy;
        equal &= part[(static_cast<size_t>(c) * draw.crop.height + y) * draw.crop.width + x] ==
                 whole[(static_cast<size_t>(c) * h + sy) * w + sx];
      }
    }
  }
  CHECK(equal, "draw, seed " + std::to_string(seed));
  for (const Box& outside : {Box{1, 0, w, h}, Box{0, 1, w, h}, Box{-1, 0, 1, 1}, Box{0, 0, 0, 1}}) {
    Draw bad = draw;
    bad.crop = outside;
    run(&bad, draw.crop.width, draw.crop.height, &record);
    CHECK(!record.ok && record.error_kind == ErrorKind::kIo, "a draw for another image: " + record.reason);
  }
  ++cases;
}

}  // namespace
}  // namespace fastpre::test

int main() {
  using namespace fastpre;
  Worker worker;
  for (uint64_t seed = 0; seed < 400; ++seed) test::TestDraws(seed, worker);
  return test::Summary("draw", test::cases);
}
