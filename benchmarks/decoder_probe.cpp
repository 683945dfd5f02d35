// Parts of the two decoders, each alone, for the benchmarks that time them side by side. A module of its own, which
// only development builds have (FASTPRE_BUILD_PROBE), so that wheels have none of it.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>
// jpeglib.h needs size_t and FILE first.
#include <jpeglib.h>

#include "core/buffer.h"
#include "core/error.h"
#include "cpu/decoder_choice.h"
#include "cpu/kernels/kernels.h"
#include "jpeg/declined.h"
#include "jpeg/decoder.h"
#include "jpeg/frame.h"
#include "jpeg/kernels/kernels.h"
#include "jpeg/scan.h"

namespace fastpre {
namespace {

// benchmarks/implementations/parts.py has the same.
uint64_t Weight(uint64_t position) {
  const uint64_t x = (position + 1) * 0x9E3779B97F4A7C15u;
  return (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
}

// Of the 64 coefficients of a block, row r of them at values + r * stride.
uint64_t BlockChecksum(int component, int block_y, int block_x, const int16_t* values, int stride) {
  const uint64_t block = (static_cast<uint64_t>(component) << 16 | block_y) << 16 | block_x;
  uint64_t sum = 0;
  for (int k = 0; k < 64; ++k) {
    const int value = values[k / 8 * stride + k % 8];
    if (value != 0) sum += static_cast<uint64_t>(int64_t{value}) * Weight(block << 6 | k);
  }
  return sum;
}

// --- libjpeg-turbo's coefficients ---

struct TurboReader {
  TurboReader() = default;
  TurboReader(const TurboReader&) = delete;
  TurboReader& operator=(const TurboReader&) = delete;
  ~TurboReader() { jpeg_destroy_decompress(&cinfo); }  // a zeroed structure is fine

  jpeg_decompress_struct cinfo{};
  jpeg_error_mgr error{};
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  jvirt_barray_ptr* arrays = nullptr;  // one a component
};

void OnError(j_common_ptr cinfo) {
  auto* reader = static_cast<TurboReader*>(cinfo->client_data);
  reader->error.format_message(cinfo, reader->message);
  std::longjmp(reader->jump, 1);
}

void OnMessage(j_common_ptr) {}

// False: the library has failed, and r->message says how. No object with a destructor may live
// here, because longjmp would skip it.
bool ReadCoefficients(TurboReader* r, Bytes bytes) {
  r->cinfo.err = jpeg_std_error(&r->error);
  r->error.error_exit = OnError;
  r->error.output_message = OnMessage;
  r->cinfo.client_data = r;
  if (setjmp(r->jump)) return false;
  jpeg_create_decompress(&r->cinfo);
  jpeg_mem_src(&r->cinfo, bytes.data(), static_cast<unsigned long>(bytes.size()));
  (void)jpeg_read_header(&r->cinfo, TRUE);
  r->arrays = jpeg_read_coefficients(&r->cinfo);
  return true;
}

// Padding blocks at the right and lower edges have values too: those of a scan of several components.
bool SumCoefficients(TurboReader* r, uint64_t* sum) {
  if (setjmp(r->jump)) return false;
  const auto round_up = [](int value, int step) { return (value + step - 1) / step * step; };
  for (int i = 0; i < r->cinfo.num_components; ++i) {
    const jpeg_component_info& c = r->cinfo.comp_info[i];
    const int height = round_up(static_cast<int>(c.height_in_blocks), c.v_samp_factor);
    const int width = round_up(static_cast<int>(c.width_in_blocks), c.h_samp_factor);
    for (int y = 0; y < height; ++y) {
      const JBLOCKARRAY rows = r->cinfo.mem->access_virt_barray(reinterpret_cast<j_common_ptr>(&r->cinfo), r->arrays[i],
                                                                static_cast<JDIMENSION>(y), 1, FALSE);
      for (int x = 0; x < width; ++x) *sum += BlockChecksum(i, y, x, rows[0][x], 8);
    }
  }
  return true;
}

// A new decompressor for each image, as TurboDecoder makes one.
uint64_t TurboCoefficients(Bytes bytes, bool checksum) {
  TurboReader reader;
  uint64_t result = 0;
  if (!ReadCoefficients(&reader, bytes)) ThrowCorrupt(reader.message);
  if (checksum) {
    if (!SumCoefficients(&reader, &result)) ThrowCorrupt(reader.message);
    return result;
  }
  for (int i = 0; i < reader.cinfo.num_components; ++i) {
    const jpeg_component_info& c = reader.cinfo.comp_info[i];
    result += uint64_t{c.width_in_blocks} * c.height_in_blocks;
  }
  return result;
}

// --- fastpre's coefficients ---

class EntropyDecoder {
 public:
  uint64_t Decode(Bytes bytes, const JpegKernels& kernels, bool checksum) {
    frame_ = ParseFrame(bytes);
    Clear(kGroups);
    uint64_t sum = 0;
    for (const Scan& scan : frame_.scans) {
      scan_.Open(bytes, frame_, scan, &cache_, kernels);
      const int groups = SetTargets(scan);
      const auto [columns, rows] = Mcus(scan);
      for (int y = 0; y < rows; ++y) {
        for (int x = 0; x < columns; x += kGroupBlocks) {
          const int count = std::min(kGroupBlocks, columns - x);
          scan_.Decode(count, targets_.data());
          if (checksum) sum += QuadChecksum(scan, count, x, y);
          Clear(groups);
        }
      }
    }
    CheckEnd();
    return checksum ? sum : Blocks();
  }

  uint64_t Skip(Bytes bytes, const JpegKernels& kernels) {
    frame_ = ParseFrame(bytes);
    for (const Scan& scan : frame_.scans) {
      scan_.Open(bytes, frame_, scan, &cache_, kernels);
      const auto [columns, rows] = Mcus(scan);
      scan_.Skip(int64_t{columns} * rows);
    }
    CheckEnd();
    return Blocks();
  }

 private:
  static constexpr int kGroups = 10;  // of a quad: an MCU has at most so many blocks
  struct Place {
    int component, row, column;  // in blocks, from the quad's first MCU
  };

  // (columns, rows) of a scan's MCUs; those of one component are single blocks.
  std::pair<int, int> Mcus(const Scan& scan) const {
    const FrameComponent& c = frame_.component[scan.component[0].index];
    return scan.count > 1 ? std::pair(frame_.mcus_x, frame_.mcus_y) : std::pair(c.blocks_x, c.blocks_y);
  }

  // As GroupDecoder has them: four MCUs make whole groups of every component. Returns how many.
  int SetTargets(const Scan& scan) {
    const int blocks = scan_.blocks();
    auto* const coefficients = reinterpret_cast<int16_t*>(coefficients_.data());
    targets_.resize(static_cast<size_t>(kGroupBlocks) * blocks);
    places_.resize(targets_.size());
    int block = 0, first = 0;
    for (int i = 0; i < scan.count; ++i) {
      const int index = scan.component[i].index;
      const int h = scan.count == 1 ? 1 : frame_.component[index].h;
      const int v = scan.count == 1 ? 1 : frame_.component[index].v;
      for (int k = 0; k < h * v; ++k, ++block) {
        for (int m = 0; m < kGroupBlocks; ++m) {
          const int row = k / h, column = m * h + k % h;
          const int group = first + row * h + column / kGroupBlocks;
          targets_[m * blocks + block] = {coefficients + group * kGroupStride + column % kGroupBlocks * 8,
                                          &last_[group]};
          places_[m * blocks + block] = {index, row, column};
        }
      }
      first += h * v;
    }
    return first;
  }

  uint64_t QuadChecksum(const Scan& scan, int count, int mcu_x, int mcu_y) const {
    uint64_t sum = 0;
    for (int i = 0; i < count * scan_.blocks(); ++i) {
      const Place& p = places_[i];
      const int h = scan.count == 1 ? 1 : frame_.component[p.component].h;
      const int v = scan.count == 1 ? 1 : frame_.component[p.component].v;
      sum +=
          BlockChecksum(p.component, mcu_y * v + p.row, mcu_x * h + p.column, targets_[i].coefficients, kGroupColumns);
    }
    return sum;
  }

  void Clear(int groups) {
    const size_t bytes = groups * kGroupStride * sizeof(int16_t);
    std::memset(coefficients_.Reserve(kGroups * kGroupStride * sizeof(int16_t)), 0, bytes);
    last_.fill(0);
  }

  void CheckEnd() const { RequireEoi(scan_.MarkerAfter()); }

  uint64_t Blocks() const {
    uint64_t blocks = 0;
    for (int i = 0; i < frame_.components; ++i) {
      blocks += static_cast<uint64_t>(frame_.component[i].blocks_x) * frame_.component[i].blocks_y;
    }
    return blocks;
  }

  Frame frame_;
  HuffmanCache cache_;
  ScanDecoder scan_;
  Buffer coefficients_;
  std::array<uint8_t, kGroups> last_{};
  std::vector<BlockTarget> targets_;
  std::vector<Place> places_;
};

// --- rows ---

// Blocks of rows as RowPipeline::Copy has them: small enough for L2, and misaligned, because libjpeg-turbo writes
// aligned rows past the caches.
constexpr size_t kBlockBytes = size_t{128} << 10;
constexpr int kMaxBlockRows = 16;
constexpr size_t kMisalignment = 16;

uint64_t RowChecksum(const uint8_t* pixels, int width, int y) {
  uint64_t sum = 0;
  for (int x = 0; x < width; ++x) {
    for (int c = 0; c < 3; ++c) sum += pixels[4 * x + c] * Weight((static_cast<uint64_t>(y) * width + x) * 3 + c);
  }
  return sum;
}

uint64_t ReadRows(JpegDecoder& decoder, Bytes bytes, const Header& header, Buffer* buffer, bool checksum) {
  struct Closer {
    JpegDecoder& decoder;
    ~Closer() { decoder.Close(); }
  } const closer{decoder};
  decoder.Open(bytes, header, {0, 0, header.width, header.height});
  const size_t stride = (decoder.row_bytes() + 63) / 64 * 64;
  const int block = std::clamp(static_cast<int>(kBlockBytes / stride), 1, kMaxBlockRows);
  uint8_t* const rows = buffer->Reserve(block * stride + kMisalignment) + kMisalignment;
  uint64_t sum = 0;
  for (int y = 0; y < header.height; y += block) {
    const int count = std::min(block, header.height - y);
    decoder.Read(count, rows, stride);
    for (int k = 0; checksum && k < count; ++k) {
      sum += RowChecksum(rows + k * stride + decoder.left_bytes(), header.width, y + k);
    }
  }
  decoder.CheckTail();
  return checksum ? sum : static_cast<uint64_t>(header.pixels());
}

// What a thread keeps from image to image.
struct Kept {
  explicit Kept(int64_t of) : target(of), turbo(MakeTurboDecoder()), baseline(MakeBaselineDecoder(of)) {}
  int64_t target;
  std::unique_ptr<JpegDecoder> turbo, baseline;
  EntropyDecoder entropy;
  Buffer rows;
};

Kept& OfThisThread(int64_t target) {
  thread_local std::optional<Kept> kept;
  if (!kept || kept->target != target) kept.emplace(target);
  return *kept;
}

// Does one part of decoding a whole image, with decoders that the calling thread keeps, as a Worker's are:
//
//   coefficients/libjpeg-turbo  header and jpeg_read_coefficients: every coefficient, kept for the whole image
//   coefficients/fastpre        ParseFrame, tables, and every MCU into groups that are cleared four MCUs later, as
//                               PlaneDecoder's are, without the inverse DCT
//   skip/fastpre                the same with symbols' lengths only
//   rgb/libjpeg-turbo           both headers and every row as RGBX, through a buffer as small as the pipeline's
//   rgb/fastpre                 the same
//
// `target` chooses the kernels (JpegKernelsFor). Returns how many blocks hold samples, or how many pixels
// there are; with `checksum`, for comparing results and not for timing, the sum of value * weight over
// all coefficients, or all R, G and B, with a weight of its own for every position.
//
// Throws Declined, Error, and std::invalid_argument for another name.
uint64_t Probe(std::string_view what, Bytes bytes, int64_t target, bool checksum) {
  Kept& kept = OfThisThread(target);
  if (what == "coefficients/libjpeg-turbo") return TurboCoefficients(bytes, checksum);
  if (what == "coefficients/fastpre") return kept.entropy.Decode(bytes, JpegKernelsFor(target), checksum);
  if (what == "skip/fastpre") return kept.entropy.Skip(bytes, JpegKernelsFor(target));
  if (what != "rgb/libjpeg-turbo" && what != "rgb/fastpre") {
    throw std::invalid_argument("no part of a decoder is called '" + std::string(what) + "'");
  }
  const Header header = ParseHeader(bytes, Limits{}, false);
  if (what == "rgb/libjpeg-turbo") return ReadRows(*kept.turbo, bytes, header, &kept.rows, checksum);
  if (const char* reason = OutOfScope(header)) throw Declined(reason);
  return ReadRows(*kept.baseline, bytes, header, &kept.rows, checksum);
}

uint64_t RunProbe(const pybind11::bytes& image, const std::string& what, bool checksum) {
  const int64_t target = ActiveKernels().target;
  const std::string_view view = image;
  const Bytes bytes(reinterpret_cast<const uint8_t*>(view.data()), view.size());
  // Safe: a bytes object never changes, and the caller's frame holds this one.
  pybind11::gil_scoped_release nogil;
  return Probe(what, bytes, target, checksum);
}

}  // namespace
}  // namespace fastpre

PYBIND11_MODULE(fastpre_probe, m, pybind11::mod_gil_not_used()) {
  m.doc() = "Parts of fastpre's decoder and of libjpeg-turbo, for benchmarks.";
  // RuntimeError with the reason where fastpre's decoder declines the image.
  m.def("probe", &fastpre::RunProbe, pybind11::arg("image"), pybind11::arg("what"), pybind11::arg("checksum") = false);
}
