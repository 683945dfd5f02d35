// What is made of truncated and damaged streams with Spec::partial, beside Pillow's own loop around libjpeg-turbo under
// LOAD_TRUNCATED_IMAGES: streams cut at every byte and at random, whole and as rectangles, and whether a call without
// `partial` would refuse them. (tests/decode/test_truncated.py has the real Pillow.)
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>
// jpeglib.h needs size_t and FILE first.
#include <jpeglib.h>

#include "check.h"
#include "core/error.h"
#include "cpu/worker.h"
#include "jpeg/color.h"
#include "jpeg/decoder.h"
#include "jpeg_writer.h"

namespace fastpre::test {
namespace {

using Stream = std::vector<uint8_t>;
long cases = 0;

struct Jumping {
  jpeg_error_mgr base;
  std::jmp_buf jump;
};

void Jump(j_common_ptr cinfo) { std::longjmp(reinterpret_cast<Jumping*>(cinfo->err)->jump, 1); }
void Quiet(j_common_ptr) {}

// Pillow's decoder: src/libImaging/JpegDecode.c, as far as it concerns whole RGB, L and CMYK images. It is fed what is
// left of its last input and a block more, and says how much it has consumed; -1: it is done.
class PillowDecoder {
 public:
  PillowDecoder(const Header& header, uint8_t* pixels) : header_(header), pixels_(pixels) {
    cinfo_.err = jpeg_std_error(&error_.base);
    error_.base.error_exit = Jump;
    error_.base.output_message = Quiet;
    jpeg_create_decompress(&cinfo_);
    cinfo_.src = &source_.base;
    source_.base.init_source = source_.base.term_source = [](j_decompress_ptr) {};
    source_.base.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
    source_.base.resync_to_restart = jpeg_resync_to_restart;
    source_.base.skip_input_data = Skip;
  }
  ~PillowDecoder() { jpeg_destroy_decompress(&cinfo_); }
  PillowDecoder(const PillowDecoder&) = delete;
  PillowDecoder& operator=(const PillowDecoder&) = delete;

  bool broken() const { return broken_; }

  ptrdiff_t Decode(const uint8_t* data, size_t size) {
    if (setjmp(error_.jump)) {
      broken_ = true;
      return -1;
    }
    source_.base.next_input_byte = data;
    source_.base.bytes_in_buffer = size;
    if (source_.skip > 0) {
      Skip(&cinfo_, source_.skip);
      if (source_.skip > 0) return source_.base.next_input_byte - data;
    }
    if (!Advance()) return source_.base.next_input_byte - data;
    return -1;
  }

 private:
  struct Source {
    jpeg_source_mgr base;
    long skip;
  };

  static void Skip(j_decompress_ptr cinfo, long count) {
    auto* source = reinterpret_cast<Source*>(cinfo->src);
    const long here = std::min(count, static_cast<long>(source->base.bytes_in_buffer));
    source->skip = count - here;
    source->base.next_input_byte += here;
    source->base.bytes_in_buffer -= static_cast<size_t>(here);
  }

  // False: suspended.
  bool Advance() {
    if (step_ == 0) {
      int status = JPEG_HEADER_TABLES_ONLY;
      while (status == JPEG_HEADER_TABLES_ONLY) status = jpeg_read_header(&cinfo_, FALSE);
      if (status == JPEG_SUSPENDED) return false;
      cinfo_.out_color_space = header_.components == 1   ? JCS_GRAYSCALE
                               : header_.components == 3 ? JCS_EXT_RGBX
                                                         : JCS_CMYK;
      step_ = 1;
    }
    if (step_ == 1) {
      if (!jpeg_start_decompress(&cinfo_)) return false;
      if (static_cast<int>(cinfo_.output_width) != header_.width) Jump(reinterpret_cast<j_common_ptr>(&cinfo_));
      step_ = 2;
    }
    for (; row_ < header_.height; ++row_) {
      uint8_t* row = pixels_ + static_cast<size_t>(row_) * header_.width * 4;
      if (jpeg_read_scanlines(&cinfo_, &row, 1) != 1) return false;
      if (header_.components == 1) GrayToRgbx(row, header_.width);
      if (header_.components == 4) InvertedCmykToRgbx(row, header_.width);
    }
    (void)jpeg_finish_decompress(&cinfo_);
    return true;
  }

  const Header& header_;
  uint8_t* const pixels_;
  jpeg_decompress_struct cinfo_{};
  Jumping error_{};
  Source source_{};
  int step_ = 0, row_ = 0;
  bool broken_ = false;
};

struct Picture {
  std::vector<uint8_t> pixels;  // RGB0
  bool truncated = false;       // without the flag, or without `partial`, it is refused
};

void ClearFourth(std::vector<uint8_t>* pixels) {
  for (size_t i = 3; i < pixels->size(); i += 4) (*pixels)[i] = 0;
}

// ImageFile.load and JpegImageFile.load_read.
Picture ByPillow(const Stream& stream, const Header& header) {
  constexpr size_t kBlock = 65536;
  Picture p;
  p.pixels.assign(static_cast<size_t>(header.pixels()) * 4, header.components == 4 ? 255 : 0);
  PillowDecoder decoder(header, p.pixels.data());
  Stream held;
  size_t at = 0;
  ptrdiff_t used = 0;
  while (used >= 0 && !p.truncated) {
    if (at < stream.size()) {
      const size_t more = std::min(kBlock, stream.size() - at);
      held.insert(held.end(), stream.begin() + static_cast<ptrdiff_t>(at),
                  stream.begin() + static_cast<ptrdiff_t>(at + more));
      at += more;
    } else {
      held.insert(held.end(), {0xFF, 0xD9});
      p.truncated = true;
    }
    used = decoder.Decode(held.data(), held.size());
    if (used > 0) held.erase(held.begin(), held.begin() + used);
  }
  p.truncated = p.truncated || decoder.broken();
  ClearFourth(&p.pixels);
  return p;
}

Picture ByUs(JpegDecoder& decoder, const Stream& stream, const Header& header, const Rect& rect, int step, bool tail) {
  Picture p;
  decoder.Open(stream, header, rect, nullptr, true);
  const size_t kept = static_cast<size_t>(rect.width()) * 4, stride = decoder.row_bytes();
  std::vector<uint8_t> rows(stride * step);
  for (int y = rect.y0; y < rect.y1; y += step) {
    const int count = std::min(step, rect.y1 - y);
    decoder.Read(count, rows.data(), stride);
    for (int k = 0; k < count; ++k) {
      const uint8_t* from = rows.data() + k * stride + decoder.left_bytes();
      p.pixels.insert(p.pixels.end(), from, from + kept);
    }
  }
  if (tail) decoder.CheckTail();
  p.truncated = decoder.truncated();
  decoder.Close();
  ClearFourth(&p.pixels);
  return p;
}

std::vector<uint8_t> Part(const Picture& whole, const Header& header, const Rect& rect) {
  std::vector<uint8_t> part;
  for (int y = rect.y0; y < rect.y1; ++y) {
    const auto row = whole.pixels.begin() + (static_cast<ptrdiff_t>(y) * header.width + rect.x0) * 4;
    part.insert(part.end(), row, row + static_cast<ptrdiff_t>(rect.width()) * 4);
  }
  return part;
}

// A worker's verdict, and its pixels as they are.
Record Run(const Stream& stream, const Header& header, bool partial, std::vector<uint8_t>* pixels) {
  static Worker worker;
  Spec spec;
  spec.resize = Spec::Resize::kNone;
  spec.crop_height = header.height, spec.crop_width = header.width;
  spec.dtype = DType::kU8;
  spec.partial = partial;
  const Affine affine = ComputeAffine(spec);
  const ptrdiff_t plane = static_cast<ptrdiff_t>(header.pixels());
  pixels->assign(static_cast<size_t>(plane) * 3, 7);
  Record record;
  ImageTask task{
      spec, affine, {pixels->data(), DType::kU8, 3, header.height, header.width, plane, header.width, 1}, &record};
  worker.Run(Bytes(stream), &task);
  return record;
}

bool EndsInFrameHeader(const Stream& stream, size_t from) {
  for (size_t i = from; i + 1 < stream.size(); ++i) {
    if (stream[i] == 0xFF && marker::IsFrame(stream[i + 1])) return true;
  }
  return false;
}

void Compare(const Stream& stream, const std::string& name, Choices& choose) {
  static const std::unique_ptr<JpegDecoder> turbo = MakeTurboDecoder();
  Header header;
  try {
    header = ParseHeader(stream, Limits(), false);
  } catch (const Error&) {
    return;
  }
  ++cases;
  const Picture want = ByPillow(stream, header);
  const Rect all{0, 0, header.width, header.height};
  const Picture got = ByUs(*turbo, stream, header, all, choose.Between(1, 20), true);
  CHECK(got.pixels == want.pixels, name);
  // What a library before 3.0 does not refuse (TurboDecoder::CheckTail).
  const bool agreed = !EndsInFrameHeader(stream, header.scan_offset);
  CHECK(got.truncated == want.truncated || !agreed, name);

  Rect rect;
  rect.x0 = choose.Between(0, header.width - 1), rect.y0 = choose.Between(0, header.height - 1);
  rect.x1 = choose.Between(rect.x0 + 1, header.width), rect.y1 = choose.Between(rect.y0 + 1, header.height);
  const bool tail = choose.OneIn(2);
  const Picture part = ByUs(*turbo, stream, header, rect, choose.Between(1, 20), tail);
  CHECK(part.pixels == Part(want, header, rect), name + ", a rectangle");
  CHECK(tail ? part.truncated == got.truncated : !part.truncated || got.truncated, name + ", a rectangle");

  std::vector<uint8_t> strict_pixels, partial_pixels;
  const Record strict = Run(stream, header, false, &strict_pixels);
  const Record partial = Run(stream, header, true, &partial_pixels);
  CHECK(partial.ok, name + ": " + partial.reason);
  CHECK(partial.truncated != strict.ok, name + ": " + strict.reason);
  CHECK(!strict.ok || strict_pixels == partial_pixels, name);
  CHECK(!strict.truncated, name);
}

struct Encoding {
  int width, height, components;
  bool progressive, arithmetic;
};

// No object with a destructor is in here, which a longjmp would pass over. False if this library cannot.
bool Compress(const Encoding& e, const uint8_t* pixels, unsigned char** memory, unsigned long* size) {
  jpeg_compress_struct cinfo;
  Jumping error;
  cinfo.err = jpeg_std_error(&error.base);
  error.base.error_exit = Jump;
  jpeg_create_compress(&cinfo);
  if (setjmp(error.jump)) {
    jpeg_destroy_compress(&cinfo);
    return false;
  }
  jpeg_mem_dest(&cinfo, memory, size);
  cinfo.image_width = static_cast<JDIMENSION>(e.width), cinfo.image_height = static_cast<JDIMENSION>(e.height);
  cinfo.input_components = e.components;
  cinfo.in_color_space = e.components == 1 ? JCS_GRAYSCALE : e.components == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&cinfo);
  cinfo.arith_code = e.arithmetic;
  if (e.progressive) jpeg_simple_progression(&cinfo);
  jpeg_start_compress(&cinfo, TRUE);
  while (cinfo.next_scanline < cinfo.image_height) {
    JSAMPROW row = const_cast<uint8_t*>(pixels) + static_cast<size_t>(cinfo.next_scanline) * e.width * e.components;
    jpeg_write_scanlines(&cinfo, &row, 1);
  }
  jpeg_finish_compress(&cinfo);
  jpeg_destroy_compress(&cinfo);
  return true;
}

// By libjpeg-turbo: what the stream writer does not know.
Stream Encoded(const Encoding& e, Choices& choose) {
  std::vector<uint8_t> pixels(static_cast<size_t>(e.width) * e.height * e.components);
  for (uint8_t& v : pixels) v = static_cast<uint8_t>(choose.Below(256));
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  Stream stream;
  if (Compress(e, pixels.data(), &memory, &size)) stream.assign(memory, memory + size);
  std::free(memory);
  return stream;
}

void CutEverywhere(const Stream& stream, const std::string& name, Choices& choose) {
  for (size_t length = 0; length <= stream.size(); ++length) {
    // Of its own, so that a sanitizer sees a read past its end.
    const Stream part(stream.begin(), stream.begin() + static_cast<ptrdiff_t>(length));
    Compare(part, name + ", " + std::to_string(length) + " bytes", choose);
  }
}

void TestEncoded() {
  Choices choose(uint64_t{1});
  for (int components : {1, 3, 4}) {
    for (const bool progressive : {false, true}) {
      for (const bool arithmetic : {false, true}) {
        const Stream stream = Encoded({20, 19, components, progressive, arithmetic}, choose);
        const std::string name = std::to_string(components) + (progressive ? " progressive" : " sequential") +
                                 (arithmetic ? " arithmetic" : "");
        if (stream.empty()) std::printf("not encoded: %s\n", name.c_str());  // a library without arithmetic coding
        CutEverywhere(stream, name, choose);
      }
    }
  }
}

void TestDrawn(bool damaged) {
  const int count = 1200;
  for (int seed = 0; seed < count; ++seed) {
    Choices choose(static_cast<uint64_t>(2 * seed + damaged));
    const JpegSpec spec = DrawSpec(choose, 120);
    JpegStream stream = WriteJpeg(spec, choose);
    const std::string name = "seed " + std::to_string(seed) + ": " + Describe(spec);
    if (damaged) {
      const std::string done = Damage(&stream, choose);
      Compare(stream.bytes, name + done, choose);
      continue;
    }
    const size_t begin = stream.scans[0].begin;
    for (int k = 0; k < 4; ++k) {
      const size_t length = begin + choose.Below(static_cast<uint32_t>(stream.bytes.size() - begin + 1));
      Compare({stream.bytes.begin(), stream.bytes.begin() + static_cast<ptrdiff_t>(length)},
              name + ", " + std::to_string(length) + " bytes", choose);
    }
  }
}

}  // namespace
}  // namespace fastpre::test

int main() {
  fastpre::test::TestEncoded();
  fastpre::test::TestDrawn(false);
  fastpre::test::TestDrawn(true);
  return fastpre::test::Summary("truncated", fastpre::test::cases);
}
