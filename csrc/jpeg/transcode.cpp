#include "jpeg/transcode.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <string>

#include <jerror.h>

#include "core/error.h"
#include "jpeg/header.h"
#include "jpeg/markers.h"
#include "jpeg/turbo_library.h"

namespace fastpre {
namespace {

// Where the library writes to: a block that doubles. jpeg_mem_dest would lose its block where a write is cut short.
struct Destination {
  jpeg_destination_mgr base;  // first: the library gives callbacks its address
  uint8_t* data;
  size_t capacity, bound;

  size_t size() const { return capacity - base.free_in_buffer; }
};

constexpr size_t kFirstBlock = 65536;

boolean Grow(j_compress_ptr cinfo) {
  auto* const to = reinterpret_cast<Destination*>(cinfo->dest);
  auto* const callbacks = reinterpret_cast<TurboCallbacks*>(cinfo->err);
  if (to->capacity >= to->bound) {
    std::snprintf(callbacks->message, sizeof callbacks->message, "the result is over max_bytes=%zu", to->bound);
    callbacks->FailOverLimit();
  }
  const size_t used = to->capacity;  // the library calls when its block is full, whatever free_in_buffer says
  const size_t wanted = std::min(to->bound, std::max(kFirstBlock, 2 * used));
  void* const grown = std::realloc(to->data, wanted);
  if (!grown) ERREXIT1(cinfo, JERR_OUT_OF_MEMORY, 0);
  to->data = static_cast<uint8_t*>(grown);
  to->capacity = wanted;
  to->base.next_output_byte = to->data + used;
  to->base.free_in_buffer = wanted - used;
  return TRUE;
}

void BeginOutput(j_compress_ptr cinfo) { Grow(cinfo); }
void EndOutput(j_compress_ptr) {}

bool StartsWith(const jpeg_marker_struct& marker, const char* text, size_t length) {
  return marker.data_length >= length && std::memcmp(marker.data, text, length) == 0;
}

// Markers that the writer makes itself, and an index whose pictures are not copied, stay behind.
bool IsCopied(const jpeg_marker_struct& marker, bool all) {
  const bool icc = marker.marker == marker::kAPP2 && StartsWith(marker, "ICC_PROFILE", 12);
  if (!all || icc) return icc;
  return !(marker.marker == marker::kAPP0 && StartsWith(marker, "JFIF", 5)) &&
         !(marker.marker == marker::kAPP14 && StartsWith(marker, "Adobe", 5)) &&
         !(marker.marker == marker::kAPP2 && StartsWith(marker, "MPF", 4));
}

// A block whose values the sequential Huffman syntax has codes for: 10 bits, and 11 of a DC difference (T.81 F.1.2).
bool FitsSequential(const JCOEF* block) {
  int largest = 0, smallest = 0;
  for (int k = 1; k < DCTSIZE2; ++k) {
    largest = std::max<int>(largest, block[k]);
    smallest = std::min<int>(smallest, block[k]);
  }
  return largest <= 1023 && smallest >= -1023 && block[0] <= 1023 && block[0] >= -1024;
}

class Transcoder {
 public:
  Transcoder(const Header& header, const TranscodeOptions& options) : header_(header), options_(options) {}
  ~Transcoder() {
    jpeg_destroy_compress(&to_);  // zeroed structures are fine
    jpeg_destroy_decompress(&from_);
    std::free(destination_.data);
  }
  Transcoder(const Transcoder&) = delete;
  Transcoder& operator=(const Transcoder&) = delete;

  WrittenStream Run(Bytes bytes) {
    Read(bytes);
    Configure();
    const bool cut = Cut();
    library_.Guard([&] { jpeg_write_coefficients(&to_, cut ? written_.data() : read_); });
    CopyBlocks(cut);
    CopyMetadata();
    library_.Guard([&] { jpeg_finish_compress(&to_); });
    WrittenStream result{decltype(WrittenStream::data)(destination_.data), destination_.size()};
    destination_.data = nullptr;
    return result;
  }

 private:
  void Read(Bytes bytes) {
    // Damage is only a warning where a decoder can go on; what it then makes up is nothing to be copied.
    from_.err = to_.err = library_.Begin(header_.most_scans, TurboCallbacks::Warnings::kFail);
    const bool all = options_.metadata == TranscodeOptions::Metadata::kAll;
    library_.Guard([&] {
      jpeg_create_decompress(&from_);
      jpeg_create_compress(&to_);
      from_.progress = to_.progress = &library_.progress;
      jpeg_mem_src(&from_, bytes.data(), static_cast<unsigned long>(bytes.size()));
      constexpr unsigned kWhole = 0xFFFF;
      if (options_.metadata != TranscodeOptions::Metadata::kNone) jpeg_save_markers(&from_, marker::kAPP2, kWhole);
      for (int code = marker::kAPP0; all && code <= marker::kAPP15; ++code) jpeg_save_markers(&from_, code, kWhole);
      if (all) jpeg_save_markers(&from_, marker::kCOM, kWhole);
      jpeg_read_header(&from_, TRUE);
    });
    // Two parsers read one header, and limits were held against ours.
    if (static_cast<int>(from_.image_width) != header_.width ||
        static_cast<int>(from_.image_height) != header_.height || from_.num_components != header_.components) {
      ThrowCorrupt("contradictory frame headers");
    }
    library_.Guard([&] { read_ = jpeg_read_coefficients(&from_); });
    if (SmoothsBlocks(from_)) ThrowUnsupported("the progressive stream lacks scans, and decoders smooth its pixels");
  }

  // All that `to_` has to know before it begins.
  void Configure() {
    int blocks = 0;
    for (int c = 0; c < from_.num_components; ++c) {
      blocks += from_.comp_info[c].h_samp_factor * from_.comp_info[c].v_samp_factor;
    }
    if (from_.num_components > 1 && blocks > C_MAX_BLOCKS_IN_MCU) {
      ThrowUnsupported("sampling factors that one scan cannot have");
    }
    RefuseChangedTables();
    library_.Guard([&] { jpeg_copy_critical_parameters(&from_, &to_); });
    to_.arith_code = FALSE;
    to_.optimize_coding = options_.optimize;
    to_.restart_in_rows = options_.restart_rows;
    destination_.base = {nullptr, 0, BeginOutput, Grow, EndOutput};
    destination_.bound = static_cast<size_t>(options_.limits.max_bytes);
    to_.dest = &destination_.base;
  }

  // A slot's table may change between scans; in one scan each slot has one.
  void RefuseChangedTables() const {
    for (int c = 0; c < from_.num_components; ++c) {
      const jpeg_component_info& component = from_.comp_info[c];
      const int slot = component.quant_tbl_no;
      const JQUANT_TBL* const now = slot >= 0 && slot < NUM_QUANT_TBLS ? from_.quant_tbl_ptrs[slot] : nullptr;
      if (!now || !component.quant_table) ThrowCorrupt("a component without its quantization table");
      if (std::memcmp(now->quantval, component.quant_table->quantval, sizeof now->quantval) != 0) {
        ThrowUnsupported("quantization tables that change between scans");
      }
    }
  }

  // Sets the size of a crop and asks for arrays of it; false if the image stays whole.
  bool Cut() {
    const bool single = from_.num_components == 1;  // a lone component's MCU is one block (T.81 A.2.2)
    const int unit_x = single ? DCTSIZE : from_.max_h_samp_factor * DCTSIZE;
    const int unit_y = single ? DCTSIZE : from_.max_v_samp_factor * DCTSIZE;
    const auto side = [](int crop, int whole) { return crop > 0 ? std::min(crop, whole) : whole; };
    const auto begin = [](int whole, int kept, int unit) { return (whole - kept + unit) / (2 * unit) * unit; };
    crop_.x0 = begin(header_.width, side(options_.crop_width, header_.width), unit_x);
    crop_.y0 = begin(header_.height, side(options_.crop_height, header_.height), unit_y);
    crop_.x1 = crop_.x0 + side(options_.crop_width, header_.width);
    crop_.y1 = crop_.y0 + side(options_.crop_height, header_.height);
    if (crop_.width() == header_.width && crop_.height() == header_.height) return false;
    to_.image_width = static_cast<JDIMENSION>(crop_.width());
    to_.image_height = static_cast<JDIMENSION>(crop_.height());
#if JPEG_LIB_VERSION >= 70
    to_.jpeg_width = to_.image_width;
    to_.jpeg_height = to_.image_height;
#endif
    library_.Guard([&] {
      for (int c = 0; c < from_.num_components; ++c) {
        const jpeg_component_info& component = from_.comp_info[c];
        const auto h = static_cast<JDIMENSION>(component.h_samp_factor);
        const auto v = static_cast<JDIMENSION>(component.v_samp_factor);
        const JDIMENSION across = BlocksOf(crop_.width(), component.h_samp_factor, from_.max_h_samp_factor);
        const JDIMENSION down = BlocksOf(crop_.height(), component.v_samp_factor, from_.max_v_samp_factor);
        written_[c] = to_.mem->request_virt_barray(reinterpret_cast<j_common_ptr>(&to_), JPOOL_IMAGE, TRUE,
                                                   (across + h - 1) / h * h, (down + v - 1) / v * v, v);
      }
    });
    return true;
  }

  // Blocks that hold `pixels` of a component that has `factor` of `most` samples.
  static JDIMENSION BlocksOf(int pixels, int factor, int most) {
    const int64_t unit = int64_t{DCTSIZE} * most;
    return static_cast<JDIMENSION>((int64_t{pixels} * factor + unit - 1) / unit);
  }

  // Looks at every block that is written, and copies it if there is a crop.
  void CopyBlocks(bool cut) {
    bool fits = true;
    for (int c = 0; c < from_.num_components; ++c) {
      const int h = from_.comp_info[c].h_samp_factor, v = from_.comp_info[c].v_samp_factor;
      const JDIMENSION x0 = BlocksOf(crop_.x0, h, from_.max_h_samp_factor);
      const JDIMENSION y0 = BlocksOf(crop_.y0, v, from_.max_v_samp_factor);
      const JDIMENSION across = BlocksOf(crop_.width(), h, from_.max_h_samp_factor);
      const JDIMENSION down = BlocksOf(crop_.height(), v, from_.max_v_samp_factor);
      for (JDIMENSION y = 0; y < down; ++y) {
        JBLOCKARRAY source = nullptr, target = nullptr;
        library_.Guard([&] {
          library_.progress.progress_monitor(reinterpret_cast<j_common_ptr>(&to_));
          source = from_.mem->access_virt_barray(reinterpret_cast<j_common_ptr>(&from_), read_[c], y0 + y, 1, FALSE);
          if (cut) {
            target = to_.mem->access_virt_barray(reinterpret_cast<j_common_ptr>(&to_), written_[c], y, 1, TRUE);
          }
        });
        for (JDIMENSION x = 0; x < across; ++x) fits &= FitsSequential(source[0][x0 + x]);
        if (cut) std::memcpy(target[0], source[0] + x0, across * sizeof(JBLOCK));
      }
    }
    if (!fits) ThrowUnsupported("coefficients beyond what the sequential Huffman syntax can hold");
  }

  void CopyMetadata() {
    const bool all = options_.metadata == TranscodeOptions::Metadata::kAll;
    library_.Guard([&] {
      if (!all && header_.orientation != 1) WriteOrientation();
      for (const jpeg_marker_struct* m = from_.marker_list; m; m = m->next) {
        if (IsCopied(*m, all)) jpeg_write_marker(&to_, m->marker, m->data, m->data_length);
      }
    });
  }

  // The shortest EXIF block with an orientation: a big-endian TIFF of one field, SHORT 0x0112 (TIFF 6.0, section 2).
  void WriteOrientation() {
    const uint8_t exif[] = {
        'E', 'x', 'i', 'f', 0,    0, 'M', 'M', 0, 42, 0, 0, 0,
        8,   0,   1,   1,   0x12, 0, 3,   0,   0, 0,  1, 0, static_cast<uint8_t>(header_.orientation),
        0,   0,   0,   0,   0,    0};
    jpeg_write_marker(&to_, marker::kAPP1, exif, sizeof exif);
  }

  const Header& header_;
  const TranscodeOptions& options_;
  TurboCallbacks library_{};
  jpeg_decompress_struct from_{};
  jpeg_compress_struct to_{};
  Destination destination_{};
  jvirt_barray_ptr* read_ = nullptr;           // one array of blocks a component
  std::array<jvirt_barray_ptr, 4> written_{};  // of a crop
  Rect crop_;
};

}  // namespace

WrittenStream Transcode(Bytes bytes, const TranscodeOptions& options) {
  const Header header = ParseHeader(bytes, options.limits, true);
  if (header.lossless()) ThrowUnsupported("a lossless stream has no coefficients");
  return Transcoder(header, options).Run(bytes);
}

}  // namespace fastpre
