// The CUDA backend with nvJPEG's decoders, on the emulator and a library that stands for nvJPEG: what it decodes is
// equal to the CPU's (its inverse DCT is libjpeg-turbo's), and what it gets wrong, in the ways it is known to, is done
// again. `device_nvjpeg_test LIBRARY`
#include <dlfcn.h>

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <thread>
// jpeglib.h needs size_t and FILE first.
#include <jpeglib.h>

#include "check.h"
#include "device_batch.h"
#include "jpeg_writer.h"

namespace fastpre::test {
namespace {

long cases = 0;
void (*fake_set)(const char*, int) = nullptr;
int (*fake_get)(const char*) = nullptr;

constexpr cuda::MemoryBounds kRoomy{size_t{1} << 30, size_t{1} << 30};

// Without a reduction the CPU's fast fidelity is exact, so that everything must be.
Spec FastSpec() {
  Spec spec;
  spec.exact = false;
  spec.resize_height = spec.resize_width = 60;
  spec.crop_height = spec.crop_width = 48;
  return spec;
}

Stream Draw(uint64_t seed, int width, int height, const std::vector<std::array<int, 2>>& sampling) {
  Choices choose(seed);
  JpegSpec jpeg = MakeSpec(width, height, sampling);
  jpeg.jfif = sampling.size() == 3;
  jpeg.density = 30;
  return WriteJpeg(jpeg, choose).bytes;
}

// Waves much longer than a block, by libjpeg-turbo: no filter differs much from another.
Stream Smooth(int width, int height, bool progressive = false) {
  jpeg_compress_struct cinfo{};
  jpeg_error_mgr error;
  cinfo.err = jpeg_std_error(&error);  // exits; nothing here can fail
  jpeg_create_compress(&cinfo);
  unsigned char* memory = nullptr;
  unsigned long bytes = 0;
  jpeg_mem_dest(&cinfo, &memory, &bytes);
  cinfo.image_width = static_cast<JDIMENSION>(width);
  cinfo.image_height = static_cast<JDIMENSION>(height);
  cinfo.input_components = 3;
  cinfo.in_color_space = JCS_RGB;
  jpeg_set_defaults(&cinfo);
  jpeg_set_quality(&cinfo, 95, TRUE);
  if (progressive) jpeg_simple_progression(&cinfo);
  jpeg_start_compress(&cinfo, TRUE);
  std::vector<uint8_t> row(static_cast<size_t>(width) * 3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        row[3 * x + c] = static_cast<uint8_t>(128 + 100 * std::sin(x / (90.0 + 20 * c) + c) * std::cos(y / 110.0));
      }
    }
    JSAMPROW rows[1] = {row.data()};
    (void)jpeg_write_scanlines(&cinfo, rows, 1);
  }
  jpeg_finish_compress(&cinfo);
  Stream stream(memory, memory + bytes);
  std::free(memory);
  jpeg_destroy_compress(&cinfo);
  return stream;
}

std::vector<Stream> DrawBatch(int count, uint64_t seed) {
  const std::vector<std::vector<std::array<int, 2>>> samplings = {
      {{2, 2}, {1, 1}, {1, 1}}, {{2, 1}, {1, 1}, {1, 1}}, {{1, 1}, {1, 1}, {1, 1}}, {{1, 2}, {1, 1}, {1, 1}}, {{1, 1}}};
  std::vector<Stream> streams;
  Choices choose(seed);
  for (int i = 0; i < count; ++i) {
    streams.push_back(Draw(seed * 1000 + i, choose.Between(64, 110), choose.Between(64, 110),
                           samplings[static_cast<size_t>(i) % samplings.size()]));
  }
  return streams;
}

struct Run {
  Outputs cpu, gpu;
};
Run RunBoth(cuda::Device& device, const std::vector<Stream>& streams, const Spec& spec, const std::string& decoder) {
  const Affine affine = ComputeAffine(spec);
  const Layout layout = DenseLayout(static_cast<int>(streams.size()), spec);
  ++cases;
  return {OnCpu(streams, spec, affine, layout), OnDevice(device, streams, spec, affine, layout, 2, decoder)};
}

int CountDecoder(const Outputs& o, const std::string& name) {
  int n = 0;
  for (const Record& r : o.records) n += r.decoder == name;
  return n;
}

int CountRetried(const Outputs& o) {
  int n = 0;
  for (const Record& r : o.records) n += !r.retried.empty();
  return n;
}

void TestEqual() {
  cuda::Device device(cuda::MakeEmulator(), kRoomy);
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const std::vector<Stream> streams = DrawBatch(11, seed);
    Spec spec = FastSpec();
    spec.filter = static_cast<Filter>(1 + seed % 5);
    spec.dtype = static_cast<DType>(seed % 4);
    spec.normalize = spec.dtype != DType::kU8;
    for (const auto& [decoder, name] : {std::pair("hardware", "nvjpeg-hardware"), std::pair("hybrid", "nvjpeg-cuda"),
                                        std::pair("coefficients", "fastpre")}) {
      const Run run = RunBoth(device, streams, spec, decoder);
      CHECK(run.cpu.memory == run.gpu.memory, std::string(decoder) + " seed " + std::to_string(seed));
      CHECK(CountDecoder(run.gpu, name) == 11,
            std::string(decoder) + ": " + std::to_string(CountDecoder(run.gpu, name)));
      CHECK(CountRetried(run.gpu) == 0, decoder);
    }
  }
  const Run exact = RunBoth(device, DrawBatch(5, 99), Spec(), "hardware");
  CHECK(CountDecoder(exact.gpu, "fastpre") == 5, "exact fidelity never takes nvJPEG's pixels");
  CHECK(exact.cpu.memory == exact.gpu.memory, "exact");
}

// What was not decoded, was decoded in part, or refused, is the CPU's; and no other image is.
void TestFaults() {
  cuda::Device device(cuda::MakeEmulator(), kRoomy);
  const std::vector<Stream> streams = DrawBatch(9, 5);
  for (const char* fault : {"skip_image", "half_image", "fail_batch"}) {
    for (const int image : {0, 4, 8}) {
      fake_set(fault, image);
      const Run run = RunBoth(device, streams, FastSpec(), "hardware");
      fake_set(fault, -1);
      const std::string context = std::string(fault) + " " + std::to_string(image);
      CHECK(run.cpu.memory == run.gpu.memory, context);
      CHECK(CountRetried(run.gpu) == 1, context + ": " + std::to_string(CountRetried(run.gpu)) + " retried");
      CHECK(CountDecoder(run.gpu, "nvjpeg-hardware") == 8, context);
      for (const Record& r : run.gpu.records) CHECK(r.ok, context);
    }
  }
}

// Streams that end early or go on behind their scan are not nvJPEG's: it may report success for them.
void TestDamaged() {
  cuda::Device device(cuda::MakeEmulator(), kRoomy);
  std::vector<Stream> streams = DrawBatch(6, 7);
  streams[1].resize(streams[1].size() / 2);
  streams[3].resize(streams[3].size() - 2);
  streams[4] = {0xFF, 0xD8, 0xFF};
  const Run run = RunBoth(device, streams, FastSpec(), "hardware");
  CHECK(run.cpu.memory == run.gpu.memory, "damaged");
  CHECK(CountDecoder(run.gpu, "nvjpeg-hardware") == 3, "damaged streams stay with the CPU");
  for (size_t i = 0; i < streams.size(); ++i) {
    CHECK(run.cpu.records[i].ok == run.gpu.records[i].ok, std::to_string(i));
    CHECK(run.cpu.records[i].reason == run.gpu.records[i].reason, run.gpu.records[i].reason);
  }
}

// Engines that scale: how the planes are resampled is planar_test's; here, that every scale finds its way. The
// library's scaled planes are averages of boxes, and nothing says what the real ones are.
void TestReduced() {
  cuda::Device device(cuda::MakeEmulator(), kRoomy);
  for (const auto& [to, psnr_at_least] : {std::pair(12, 40.0), std::pair(20, 40.0), std::pair(45, 40.0)}) {
    std::vector<Stream> streams;
    for (int i = 0; i < 4; ++i) streams.push_back(Smooth(500, 400 + i));
    Spec exact;
    exact.dtype = DType::kU8;
    exact.normalize = false;
    exact.resize_height = exact.resize_width = exact.crop_height = exact.crop_width = to;
    Spec fast = exact;
    fast.exact = false;
    const Layout layout = DenseLayout(4, exact);
    const Affine affine = ComputeAffine(exact);
    const Outputs want = OnCpu(streams, exact, affine, layout);
    const Outputs got = OnDevice(device, streams, fast, affine, layout, 1, "hardware");
    CHECK(CountDecoder(got, "nvjpeg-hardware") == 4 && CountRetried(got) == 0, "reduced to " + std::to_string(to));
    double squares = 0;
    for (size_t i = 0; i < want.memory.size(); ++i) squares += std::pow(want.memory[i] - got.memory[i], 2.0);
    const double psnr =
        10 * std::log10(255.0 * 255 * static_cast<double>(want.memory.size()) / std::max(squares, 1e-9));
    CHECK(psnr > psnr_at_least, "reduced to " + std::to_string(to) + ": " + std::to_string(psnr) + " dB");
    ++cases;
  }
}

size_t Find(const Stream& stream, int marker) {
  for (size_t i = 2; i + 1 < stream.size(); i += 2 + (stream[i + 2] << 8 | stream[i + 3])) {
    if (stream[i + 1] == marker) return i;
  }
  return 0;
}

// Progressive streams are given away unread, so where each byte belongs must be beyond doubt.
void TestProgressive() {
  cuda::Device device(cuda::MakeEmulator(), kRoomy);
  const Stream good = Smooth(90, 80, true);
  const size_t sof = Find(good, 0xC2), dht = Find(good, 0xC4), length = 2 + (good[sof + 2] << 8 | good[sof + 3]);
  CHECK(sof > 0 && dht > 0, "the test's own stream");
  const auto begin = good.begin() + static_cast<ptrdiff_t>(sof);
  std::vector<std::pair<std::string, Stream>> streams;
  const auto add = [&](const char* name) -> Stream& { return streams.emplace_back(name, good).second; };
  {  // a larger frame before it, plain and hidden in a segment that some take for a bare marker
    Stream other(begin, begin + static_cast<ptrdiff_t>(length));
    other[5] = 0x20;
    Stream& two = add("two frame headers");
    two.insert(two.begin() + static_cast<ptrdiff_t>(sof), other.begin(), other.end());
    Stream& hidden = add("a reserved marker");
    hidden.insert(hidden.begin() + static_cast<ptrdiff_t>(sof), {0xFF, 0xF0, 0x00, 0x15});
  }
  add("hierarchical")[sof + 1] = 0xC6;
  add("arithmetic")[sof + 1] = 0xCA;
  add("no EOI").resize(good.size() - 2);
  add("cut short").resize(good.size() / 2);
  const size_t dqt = Find(good, 0xDB), sos = Find(good, 0xDA);
  add("lossless predictor in a scan")[sos + 4 + 1 + 6] = 1;
  add("a first scan that refines")[sos + 4 + 1 + 6 + 2] = 0x21;
  add("a component twice in a scan")[sos + 4 + 3] = good[sos + 4 + 1];
  add("tables that are not there")[sos + 4 + 2] = 0x33;
  add("a Huffman table that overflows")[dht + 5] = 255;
  add("a Huffman class that is none")[dht + 4] = 0xFF;
  add("a quantization table that is none")[dqt + 4] = 0x09;
  add("a frame without its quantization table")[sof + 4 + 6 + 2] = 255;
  add("two components of one name")[sof + 4 + 6 + 3] = good[sof + 4 + 6];
  streams.emplace_back("a restart marker without an interval", good);
  streams.back().second.insert(streams.back().second.begin() + static_cast<ptrdiff_t>(good.size()) - 4, {0xFF, 0xD0});
  const Spec spec = FastSpec();
  const Affine affine = ComputeAffine(spec);
  const Layout layout = DenseLayout(1, spec);
  Stream appended = good;
  appended.insert(appended.end(), good.begin(), good.end());
  CHECK(CountDecoder(OnDevice(device, {appended}, spec, affine, layout, 1, "hybrid"), "nvjpeg-cuda") == 1, "appended");
  const Outputs whole = OnDevice(device, {good}, spec, affine, layout, 1, "hybrid");
  CHECK(CountDecoder(whole, "nvjpeg-cuda") == 1, "a good one is nvJPEG's");
  CHECK(whole.memory == OnCpu({good}, spec, affine, layout).memory, "a good one");
  for (const auto& [name, stream] : streams) {
    const Outputs want = OnCpu({stream}, spec, affine, layout);
    const Outputs got = OnDevice(device, {stream}, spec, affine, layout, 1, "hybrid");
    CHECK(CountDecoder(got, "nvjpeg-cuda") == 0, name);
    CHECK(want.records[0].ok == got.records[0].ok && want.memory == got.memory, name);
    ++cases;
  }
}

// A phone's motion photograph: a film behind EOI, which costs nothing; and buffers that it has not filled.
void TestAppendedBytes() {
  cuda::Device device(cuda::MakeEmulator(), {size_t{16} << 20, size_t{16} << 20});
  std::vector<Stream> streams = DrawBatch(2, 77);
  for (Stream& stream : streams) stream.resize(stream.size() + (size_t{8} << 20));
  const Run run = RunBoth(device, streams, Spec(), "coefficients");
  CHECK(run.cpu.memory == run.gpu.memory, "appended bytes");
  CHECK(CountDecoder(run.gpu, "fastpre") == 2, "appended bytes");
  CHECK(device.staging().pinned_memory().used() <= size_t{4} << 20,
        std::to_string(device.staging().pinned_memory().used()));
}

// What nvJPEG keeps for its largest image is never the buffers'.
void TestStarving() {
  cuda::Device device(cuda::MakeEmulator(), {size_t{64} << 20, size_t{32} << 20});
  std::vector<Stream> large;
  for (int i = 0; i < 12; ++i) large.push_back(Smooth(1600, 1200, true));
  const Spec spec = FastSpec();
  const Affine affine = ComputeAffine(spec);
  for (int i = 0; i < 3; ++i) {
    const Outputs o = OnDevice(device, large, spec, affine, DenseLayout(12, spec), 8, "hybrid");
    for (const Record& r : o.records) CHECK(r.ok, r.reason);
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] { CHECK(RunBoth(device, DrawBatch(4, 31), Spec(), "auto").gpu.records[0].ok, "small"); });
  }
  for (std::thread& t : threads) t.join();
  const cuda::BoundedMemory& own = device.nvjpeg_pinned_memory();
  CHECK(own.peak() <= own.bound() && own.bound() + device.staging().pinned_memory().bound() <= size_t{32} << 20,
        "bounds");
}

// Engines that never give anything are not asked for ever.
void TestDistrust() {
  cuda::Device device(cuda::MakeEmulator(), {size_t{64} << 20, size_t{64} << 20});
  fake_set("allocator_probe", 256 << 20);
  std::vector<Stream> streams;
  for (uint64_t i = 0; i < 30; ++i) streams.push_back(Draw(900 + i, 600, 500, {{2, 2}, {1, 1}, {1, 1}}));
  Spec spec = FastSpec();
  spec.resize_height = spec.resize_width = 300;
  const Run run = RunBoth(device, streams, spec, "auto");
  fake_set("allocator_probe", 0);
  CHECK(run.cpu.memory == run.gpu.memory, "distrust");
  CHECK(CountRetried(run.gpu) >= 4, std::to_string(CountRetried(run.gpu)) + " were the engines'");
  CHECK(device.rates().distrusted(cuda::DecodePath::kHardware), "they are not trusted any more");
  CHECK(!device.rates().distrusted(cuda::DecodePath::kCoefficients), "others are");
}

// Planes too narrow to be checked are not taken on trust.
void TestNarrow() {
  cuda::Device device(cuda::MakeEmulator(), kRoomy);
  std::vector<Stream> streams;
  for (uint64_t i = 0; i < 3; ++i) streams.push_back(Draw(500 + i, 40, 40, {{2, 2}, {1, 1}, {1, 1}}));
  Spec spec = FastSpec();
  spec.resize_height = spec.resize_width = spec.crop_height = spec.crop_width = 1;
  fake_set("skip_image", 0);
  const Run run = RunBoth(device, streams, spec, "hardware");
  fake_set("skip_image", -1);
  CHECK(CountDecoder(run.gpu, "nvjpeg-hardware") == 2 && CountRetried(run.gpu) == 1, "narrow");
}

// A staging buffer that grew past its share gives way; a device in trouble does not leave a call waiting.
void TestStagingGivesWay() {
  cuda::Device device(cuda::MakeEmulator(), {size_t{64} << 20, size_t{64} << 20});
  for (const size_t mib : {27, 14, 27, 14, 14, 27}) {
    cuda::StagingBuffer* const buffer = device.staging().Take(mib << 20, mib << 20);
    CHECK(buffer != nullptr, std::to_string(mib) + " MiB");
    if (!buffer) continue;
    const cuda::Stream busy = device.runtime().CreateStream();
    static uint8_t byte;
    device.runtime().CopyToHost(&byte, buffer->device, 1, busy);  // not waited for here
    device.runtime().Record(buffer->drained, busy);
    device.staging().Return(buffer);
    ++cases;
  }
  CHECK(device.staging().Take(size_t{60} << 20, 1) == nullptr, "more than there is");
}

// A caller's next batch does not wait for its last one: while that is unfinished, it gets another buffer.
void TestStagingInTurn() {
  cuda::Device device(cuda::MakeEmulator(), kRoomy);
  cuda::Runtime& runtime = device.runtime();
  cuda::StagingBuffer* const one = device.staging().Take(1, 1);
  const cuda::Stream busy = runtime.CreateStream();
  uint8_t byte = 0;
  runtime.CopyToHost(&byte, one->device, 1, busy);
  runtime.Record(one->drained, busy);
  device.staging().Return(one);
  cuda::StagingBuffer* const two = device.staging().Take(1, 1);
  CHECK(two != one, "another buffer");
  runtime.SynchronizeStream(busy);
  device.staging().Return(two);
  ++cases;
}

void TestNoEngines() {
  fake_set("engines", 0);
  cuda::Device device(cuda::MakeEmulator(), kRoomy);
  const Run run = RunBoth(device, DrawBatch(5, 3), FastSpec(), "auto");
  fake_set("engines", 2);
  CHECK(run.cpu.memory == run.gpu.memory, "no engines");
  CHECK(CountDecoder(run.gpu, "nvjpeg-hardware") == 0, "no engines");
  CHECK(!device.nvjpeg().hardware && !device.nvjpeg().hardware_missing.empty(), "and it says why");
}

// A bound that leaves nvJPEG nothing: the images come from the CPU, and nothing is left behind.
void TestBound() {
  cuda::Device device(cuda::MakeEmulator(), {size_t{8} << 20, size_t{8} << 20});
  fake_set("allocator_probe", 64 << 20);
  const Run run = RunBoth(device, DrawBatch(6, 13), FastSpec(), "hardware");
  fake_set("allocator_probe", 0);
  CHECK(run.cpu.memory == run.gpu.memory, "bound");
  for (const Record& r : run.gpu.records) CHECK(r.ok, r.reason);
  CHECK(device.staging().device_memory().peak() <= device.staging().device_memory().bound(), "the bound holds");
}

// By the assumed rates, before anything was measured, so that it does not depend on this machine's speed.
void TestAuto() {
  cuda::Device device(cuda::MakeEmulator(), kRoomy);
  std::vector<Stream> streams;
  for (uint64_t i = 0; i < 30; ++i) streams.push_back(Draw(100 + i, 600, 500, {{2, 2}, {1, 1}, {1, 1}}));
  Spec spec = FastSpec();
  spec.resize_height = spec.resize_width = 300;  // no reduction
  const Run run = RunBoth(device, streams, spec, "auto");
  CHECK(run.cpu.memory == run.gpu.memory, "auto");
  const int hardware = CountDecoder(run.gpu, "nvjpeg-hardware"), cores = CountDecoder(run.gpu, "fastpre");
  CHECK(hardware > 0 && cores > 0 && hardware + cores == 30, std::to_string(hardware) + ", " + std::to_string(cores));
}

void TestThreads() {
  cuda::Device device(cuda::MakeEmulator(), kRoomy);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 5; ++t) {
    threads.emplace_back([&device, t] {
      for (uint64_t i = 0; i < 6; ++i) {
        const std::vector<Stream> streams = DrawBatch(5, 200 + 10 * t + i);
        const Spec spec = FastSpec();
        const Affine affine = ComputeAffine(spec);
        const Layout layout = DenseLayout(5, spec);
        const char* decoders[] = {"auto", "hardware", "hybrid", "coefficients", "pixels"};
        const Outputs want = OnCpu(streams, spec, affine, layout);
        const Outputs got = OnDevice(device, streams, spec, affine, layout, 2, decoders[(t + i) % 5]);
        CHECK(want.memory == got.memory, "threads");
      }
    });
  }
  for (std::thread& t : threads) t.join();
  cases += 30;
}

// Sizes vary; after a while nothing is allocated any more.
void TestFlatMemory() {
  cuda::Device device(cuda::MakeEmulator(), kRoomy);
  size_t used = 0;
  for (uint64_t i = 0; i < 60; ++i) {
    const std::vector<Stream> streams = DrawBatch(1 + static_cast<int>(i * 7 % 12), 300 + i);
    const Spec spec = FastSpec();
    OnDevice(device, streams, spec, ComputeAffine(spec), DenseLayout(static_cast<int>(streams.size()), spec), 2,
             i % 2 ? "hardware" : "coefficients");
    if (i == 19) used = device.staging().device_memory().used() + device.staging().pinned_memory().used();
  }
  CHECK(device.staging().device_memory().used() + device.staging().pinned_memory().used() == used, "memory is flat");
  ++cases;
}

}  // namespace
}  // namespace fastpre::test

int main(int argc, char** argv) {
  using namespace fastpre::test;
  if (argc != 2) return EXIT_FAILURE;
  setenv("FASTPRE_NVJPEG", argv[1], 1);
  void* const library = dlopen(argv[1], RTLD_NOW);
  if (!library) return EXIT_FAILURE;
  fake_set = reinterpret_cast<void (*)(const char*, int)>(dlsym(library, "fake_nvjpeg_set"));
  fake_get = reinterpret_cast<int (*)(const char*)>(dlsym(library, "fake_nvjpeg_get"));
  if (!fake_set || !fake_get) return EXIT_FAILURE;
  TestEqual();
  TestFaults();
  TestDamaged();
  TestReduced();
  TestProgressive();
  TestAppendedBytes();
  TestStarving();
  TestDistrust();
  TestNarrow();
  TestStagingInTurn();
  TestStagingGivesWay();
  TestNoEngines();
  TestBound();
  TestAuto();
  TestThreads();
  TestFlatMemory();
  return Summary("device_nvjpeg", cases);
}
