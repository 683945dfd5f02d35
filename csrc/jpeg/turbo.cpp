// libjpeg-turbo behind JpegDecoder: its scanline interface, driven as Pillow drives it, so that what
// it accepts, what it refuses and every pixel are Pillow's.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "core/buffer.h"
#include "core/call_context.h"
#include "core/error.h"
#include "jpeg/color.h"
#include "jpeg/decoder.h"
#include "jpeg/markers.h"
#include "jpeg/turbo_library.h"

#include <jerror.h>

namespace fastpre {

namespace {

// A stream in memory, handed over as Pillow does: in blocks of 64 KB (ImageFile.MAXBLOCK), at whose ends the library
// suspends and repeats its last MCU. Where blocks end decides which of its two Huffman decoders an MCU gets, which
// differ on damaged data, and how much of what follows the last row is ever seen. A suspension with no block left is
// what Pillow calls truncation. Under LOAD_TRUNCATED_IMAGES it hands over one block more, which is an EOI marker
// (JpegImageFile.load_read, since Pillow 9.0), and nothing after it.
struct SourceManager {
  static constexpr size_t kBlock = 65536;

  jpeg_source_mgr base;
  const uint8_t* block_end;
  const uint8_t* end;
  size_t block;
  size_t skip;                // bytes to pass over that are in blocks to come
  const uint8_t* stopped_at;  // at the last suspension
  int idle;                   // suspensions at that place, one after the other

  // False if there is no more. libjpeg starts over at each suspension, which makes a long run of fill bytes quadratic:
  // past a megabyte of them blocks grow.
  bool NextBlock() {
    if (block_end == end) return false;
    constexpr int kPatience = 16;
    idle = base.next_input_byte == stopped_at ? idle + 1 : 0;
    stopped_at = base.next_input_byte;
    if (idle > kPatience && block < (size_t{1} << 28)) block *= 2;
    const size_t more = std::min<size_t>(block, end - block_end);
    block_end += more;
    base.bytes_in_buffer += more;
    const size_t skipped = std::min(skip, base.bytes_in_buffer);
    base.next_input_byte += skipped;
    base.bytes_in_buffer -= skipped;
    skip -= skipped;
    return true;
  }

  // The block that is an EOI. It has to follow what was not consumed, so both are put into `memory`.
  void AppendEoi(Buffer* memory) {
    constexpr uint8_t kEoi[] = {0xFF, marker::kEOI};
    const size_t left = base.bytes_in_buffer;
    uint8_t* const copy = memory->Reserve(left + sizeof(kEoi));
    std::memcpy(copy, base.next_input_byte, left);
    std::memcpy(copy + left, kEoi, sizeof(kEoi));
    base.next_input_byte = copy;
    block_end = copy + left;
    end = block_end + sizeof(kEoi);
    NextBlock();
  }
};

boolean Suspend(j_decompress_ptr) { return FALSE; }

void Skip(j_decompress_ptr cinfo, long count) {
  auto* source = reinterpret_cast<SourceManager*>(cinfo->src);
  const size_t wanted = count > 0 ? static_cast<size_t>(count) : 0;
  const size_t here = std::min(wanted, source->base.bytes_in_buffer);
  source->base.next_input_byte += here;
  source->base.bytes_in_buffer -= here;
  source->skip += wanted - here;
}

void NoOp(j_decompress_ptr) {}

class TurboDecoder final : public JpegDecoder {
 public:
  TurboDecoder() = default;
  ~TurboDecoder() override { jpeg_destroy_decompress(&cinfo_); }  // a zeroed structure is fine
  TurboDecoder(const TurboDecoder&) = delete;
  TurboDecoder& operator=(const TurboDecoder&) = delete;

  size_t left_bytes() const override { return left_bytes_; }
  size_t row_bytes() const override { return row_bytes_; }
  bool truncated() const override { return truncated_; }

  void Open(Bytes bytes, const Header& header, const Rect& source, HelperThreads*, bool partial) override {
    // A new decompressor for each image (about 1 us): jpeg_abort_decompress would keep the last
    // image's Huffman and quantization tables, and a stream without its own would decode with them.
    Close();
    cinfo_.err = library_.Begin(header.most_scans, TurboCallbacks::Warnings::kPass);
    Guard([&] {
      jpeg_create_decompress(&cinfo_);
      cinfo_.src = &source_.base;
      cinfo_.progress = &library_.progress;
    });
    // The arithmetic decoder cannot suspend, which is why Pillow refuses its streams past 64 KB; here they are one
    // block.
    source_ = {{bytes.data(), 0, NoOp, Suspend, Skip, jpeg_resync_to_restart, NoOp},
               bytes.data(),
               bytes.data() + bytes.size(),
               header.arithmetic() ? bytes.size() : SourceManager::kBlock,
               0,
               nullptr,
               0};
    source_.NextBlock();
    sof_ = header.sof;
    lossless_ = header.lossless();
    inks_ = header.components == 4;
    partial_ = partial;
    truncated_ = over_ = false;
    width_ = source.width();
    left_bytes_ = 0;
    row_bytes_ = static_cast<size_t>(width_) * 4;
    if (!Attempt([&] { ReadHeader(); })) return;
    SetOutput(header);
    Attempt([&] {
      Start();
      Crop(source);
      SkipTo(source.y0);
    });
  }

  void Read(int count, uint8_t* rows, size_t stride_bytes) override {
    int decoded = 0;
    while (decoded < count) {
      // The library hands out as many rows a call as its upsampler makes at once, 1, 2 or 4.
      JSAMPROW pointers[8];
      const int batch = count - decoded < 8 ? count - decoded : 8;
      for (int i = 0; i < batch; ++i) pointers[i] = rows + (decoded + i) * stride_bytes;
      if (!Attempt([&] { decoded += ReadSome(pointers, batch); })) break;
    }
    for (int k = 0; k < decoded; ++k) {
      if (cinfo_.out_color_space == JCS_GRAYSCALE) GrayToRgbx(rows + k * stride_bytes, width_);
      if (cinfo_.out_color_space == JCS_CMYK) InvertedCmykToRgbx(rows + k * stride_bytes, width_);
    }
    for (int k = decoded; k < count; ++k) Blank(rows + k * stride_bytes);
  }

  // A multi-scan stream's coefficients are up to 8 bytes a pixel: not to be kept by an idle thread.
  void Close() override {
    jpeg_destroy_decompress(&cinfo_);
    cinfo_ = {};
    scratch_.ShrinkAbove(size_t{1} << 20);
    tail_.ShrinkAbove(size_t{1} << 20);
  }

  void CheckTail() override {
    if (truncated_ || TailIsPlain()) return;
    Attempt([&] {
      ReadAndDiscard(static_cast<int>(cinfo_.output_height));
      Guard([&] { (void)jpeg_finish_decompress(&cinfo_); });  // suspension here: Pillow has its rows
      // A second frame header is an error in the library, but before 3.0 only once all of it is there.
      if (marker::IsFrame(cinfo_.unread_marker)) ThrowCorrupt("a second frame header after the scan");
    });
  }

 private:
  template <class Call>
  void Guard(Call call) {
    library_.Guard(call);
  }

  // After a suspension.
  void GoOn() {
    CheckCancelled();
    if (source_.NextBlock()) return;
    if (!partial_ || truncated_) ThrowCorrupt("truncated: the stream ends before the image does");
    truncated_ = true;
    source_.AppendEoi(&tail_);
  }

  // Takes a step, which may throw. With `partial`, false for a step that the stream is too short or too broken for:
  // Pillow then leaves the rows as they are that it has not got.
  template <class Step>
  bool Attempt(Step step) {
    if (over_) return false;
    try {
      step();
    } catch (const Error& e) {
      // Pillow's libjpeg-turbo decodes lossless streams, even if this one is older and does not.
      const bool lacking = sof_ == marker::kSOF3 && library_.base.msg_code == JERR_SOF_UNSUPPORTED;
      const bool broken = e.kind() == ErrorKind::kCorrupt || e.kind() == ErrorKind::kUnsupported;
      if (!partial_ || !broken || lacking) throw;
      truncated_ = over_ = true;
    }
    return !over_;
  }

  // A row that Pillow has not got: its new images are zeros, which as CMYK is no ink.
  void Blank(uint8_t* row) const {
    const uint8_t value = inks_ ? 255 : 0;
    for (int x = 0; x < width_; ++x, row += 4) {
      row[0] = row[1] = row[2] = value;
      row[3] = 255;
    }
  }

  void ReadHeader() {
    int status = JPEG_HEADER_TABLES_ONLY;
    while (status != JPEG_HEADER_OK) {
      Guard([&] { status = jpeg_read_header(&cinfo_, FALSE); });
      if (status == JPEG_SUSPENDED) GoOn();
    }
  }

  void SetOutput(const Header& header) {
    // Two parsers read one header. Buffers were sized by ours, so they have to agree.
    if (static_cast<int>(cinfo_.image_width) != header.width ||
        static_cast<int>(cinfo_.image_height) != header.height || cinfo_.num_components != header.components) {
      ThrowCorrupt("contradictory frame headers");
    }
    cinfo_.out_color_space = header.components == 1 ? JCS_GRAYSCALE : header.components == 3 ? JCS_EXT_RGBX : JCS_CMYK;
    cinfo_.dct_method = JDCT_ISLOW;
    cinfo_.do_fancy_upsampling = TRUE;
  }

  void Start() {
    boolean ready = FALSE;
    while (true) {
      Guard([&] { ready = jpeg_start_decompress(&cinfo_); });
      if (ready) break;
      GoOn();
    }
    multiple_scans_ = jpeg_has_multiple_scans(&cinfo_);
    width_ = static_cast<int>(cinfo_.output_width);
    left_bytes_ = 0;
    row_bytes_ = static_cast<size_t>(width_) * 4;
  }

  // Only the block columns that the plan needs go through the IDCT, upsampling and colour. At a cut
  // the triangle filter sees an edge instead of a neighbour, so the cut is made a margin further
  // out (one pixel would do; the library then rounds the left side down to a whole MCU).
  void Crop(const Rect& source) {
    constexpr int kMargin = 16;
    const int x0 = source.x0 > kMargin ? source.x0 - kMargin : 0;
    const int x1 = source.x1 + kMargin < width_ ? source.x1 + kMargin : width_;
    const int mcu = cinfo_.max_h_samp_factor * DCTSIZE;
    JDIMENSION offset = 0;
    if (x1 - x0 + 2 * mcu < width_ && CutsAreExact()) {
      offset = static_cast<JDIMENSION>(x0);
      JDIMENSION width = static_cast<JDIMENSION>(x1 - x0);
      Guard([&] { jpeg_crop_scanline(&cinfo_, &offset, &width); });
      width_ = static_cast<int>(cinfo_.output_width);
      row_bytes_ = static_cast<size_t>(width_) * 4;
    }
    left_bytes_ = (source.x0 - static_cast<size_t>(offset)) * 4;
  }

  // Lossless streams predict from pixel to pixel, so the library cannot cut them. A cut would change what blocks are
  // smoothed by.
  bool CutsAreExact() const { return !lossless_ && !SmoothsBlocks(cinfo_); }

  int ReadSome(JSAMPARRAY rows, int count) {
    JDIMENSION got = 0;
    while (true) {
      Guard([&] { got = jpeg_read_scanlines(&cinfo_, rows, static_cast<JDIMENSION>(count)); });
      if (got > 0) return static_cast<int>(got);
      GoOn();
    }
  }

  // Of a stream of several scans, whose coefficients are all there, whole MCU rows above the rectangle are not
  // transformed; the last one is transformed and thrown away, because upsampling at its lower edge needs it. In a
  // single scan skipping saves no entropy decoding, and would not suspend where Pillow does.
  void SkipTo(int y0) {
    const int mcu = cinfo_.max_v_samp_factor * DCTSIZE;
    const int whole = y0 / mcu - 1;
    if (whole > 0 && multiple_scans_ && CutsAreExact()) {
      Guard([&] { (void)jpeg_skip_scanlines(&cinfo_, static_cast<JDIMENSION>(whole * mcu)); });
    }
    ReadAndDiscard(y0);
  }

  void ReadAndDiscard(int until) {
    while (static_cast<int>(cinfo_.output_scanline) < until) {
      JSAMPROW row = scratch_.Reserve(row_bytes_);
      ReadSome(&row, 1);
    }
  }

  // True if Pillow cannot fail in what is left, so that it need not be decoded. A multi-scan stream
  // was read to its EOI before the first row came out. In a sequential Huffman stream bad codes are
  // only warnings; decoding fails by running out of bytes before a marker, or on the marker that
  // follows the scan. If that marker is EOI, neither can happen.
  bool TailIsPlain() const {
    if (multiple_scans_) return true;
    if (cinfo_.arith_code || lossless_) return false;
    if (cinfo_.unread_marker != 0) return cinfo_.unread_marker == marker::kEOI;
    const uint8_t* p = source_.base.next_input_byte;
    const uint8_t* const end = source_.end;
    while (p + 1 < end && (p = static_cast<const uint8_t*>(std::memchr(p, 0xFF, end - p - 1)))) {
      const uint8_t next = p[1];
      if (next == marker::kEOI) return true;
      const bool restart = marker::IsRestart(next) && cinfo_.restart_interval > 0;
      if (next != 0 && next != 0xFF && !restart) return false;
      ++p;
    }
    return false;
  }

  jpeg_decompress_struct cinfo_{};
  TurboCallbacks library_{};
  SourceManager source_{};
  int sof_ = 0;
  bool lossless_ = false, inks_ = false, multiple_scans_ = false;
  bool partial_ = false, truncated_ = false;
  bool over_ = false;  // with partial_: there are no more rows
  Buffer scratch_, tail_;
  int width_ = 0;
  size_t left_bytes_ = 0, row_bytes_ = 0;
};

}  // namespace

std::unique_ptr<JpegDecoder> MakeTurboDecoder() { return std::make_unique<TurboDecoder>(); }

}  // namespace fastpre
