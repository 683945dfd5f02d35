// libjpeg-turbo's planes before upsampling, padded to whole MCUs, in one piece of memory.
#pragma once

#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
// jpeglib.h needs size_t and FILE first.
#include <jpeglib.h>

namespace fastpre::test {

inline int CeilDiv(int a, int b) { return (a + b - 1) / b; }

struct RawPlane {
  int h = 1, v = 1, width = 0, height = 0;  // samples of the image
  int pitch = 0, rows = 0;                  // with padding to whole MCUs
  size_t offset = 0;
};

struct PlanesLayout {
  int width = 0, height = 0, components = 0, max_h = 1, max_v = 1;
  bool plain = false;  // 8-bit baseline in one scan: gray, 4:4:4, 4:2:2, 4:2:0 or 4:4:0
  std::array<RawPlane, 4> planes;
  size_t bytes = 0;
};

namespace raw {

// Nothing between setjmp and longjmp has a destructor: Run's steps are plain functions on plain data.
struct Reader {
  jpeg_decompress_struct cinfo;
  jpeg_error_mgr errors;
  std::jmp_buf jump;
  const uint8_t* data;
  size_t length;
  const PlanesLayout* layout;
  uint8_t* memory;
};

inline void OnError(j_common_ptr cinfo) { std::longjmp(static_cast<Reader*>(cinfo->client_data)->jump, 1); }
inline void OnMessage(j_common_ptr cinfo, int level) {
  if (level < 0) OnError(cinfo);
}

inline bool Run(Reader* reader, void (*step)(Reader*)) {
  if (setjmp(reader->jump)) return false;
  step(reader);
  return true;
}

inline void ReadHeader(Reader* r) {
  jpeg_create_decompress(&r->cinfo);
  jpeg_mem_src(&r->cinfo, r->data, r->length);
  jpeg_read_header(&r->cinfo, TRUE);
}

inline void ReadPlanes(Reader* r) {
  jpeg_decompress_struct& cinfo = r->cinfo;
  cinfo.raw_data_out = TRUE;
  cinfo.dct_method = JDCT_ISLOW;
  cinfo.out_color_space = cinfo.jpeg_color_space;
  jpeg_start_decompress(&cinfo);
  JSAMPROW rows[4][4 * DCTSIZE];
  JSAMPARRAY planes[4] = {rows[0], rows[1], rows[2], rows[3]};
  const int lines = r->layout->max_v * DCTSIZE;
  for (int group = 0; cinfo.output_scanline < cinfo.output_height; ++group) {
    for (int c = 0; c < r->layout->components; ++c) {
      const RawPlane& plane = r->layout->planes[c];
      for (int y = 0; y < plane.v * DCTSIZE; ++y) {
        rows[c][y] = r->memory + plane.offset + static_cast<size_t>(group * plane.v * DCTSIZE + y) * plane.pitch;
      }
    }
    jpeg_read_raw_data(&cinfo, planes, static_cast<JDIMENSION>(lines));
  }
  jpeg_finish_decompress(&cinfo);
}

inline bool IsSof0(const uint8_t* data, size_t length) {
  for (size_t i = 2; i + 4 <= length && data[i] == 0xFF;) {
    const int marker = data[i + 1];
    if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) return marker == 0xC0;
    if (marker == 0xFF) {
      ++i;
    } else {
      i += 2 + static_cast<size_t>(data[i + 2] << 8 | data[i + 3]);
    }
  }
  return false;
}

inline bool IsPlain(const Reader& r) {
  const jpeg_decompress_struct& cinfo = r.cinfo;
  if (!IsSof0(r.data, r.length) || cinfo.comps_in_scan != cinfo.num_components) return false;
  if (cinfo.num_components == 1) return true;
  const jpeg_component_info* const c = cinfo.comp_info;
  return cinfo.num_components == 3 && c[0].h_samp_factor <= 2 && c[0].v_samp_factor <= 2 && c[1].h_samp_factor == 1 &&
         c[1].v_samp_factor == 1 && c[2].h_samp_factor == 1 && c[2].v_samp_factor == 1;
}

}  // namespace raw

// Fills `layout`, and decodes to `memory` if it is not null. False: not a JPEG, or libjpeg warns of something.
inline bool ReadRawPlanes(const uint8_t* data, size_t length, PlanesLayout* layout, uint8_t* memory) {
  if (!data || length < 4) return false;
  const auto reader = std::make_unique<raw::Reader>();
  std::memset(static_cast<void*>(reader.get()), 0, sizeof(raw::Reader));
  raw::Reader& r = *reader;
  r.cinfo.err = jpeg_std_error(&r.errors);
  r.errors.error_exit = &raw::OnError;
  r.errors.emit_message = &raw::OnMessage;
  r.cinfo.client_data = &r;
  r.data = data, r.length = length, r.layout = layout, r.memory = memory;
  bool good = raw::Run(&r, &raw::ReadHeader);
  if (good) {
    PlanesLayout& l = *layout;
    l = {};
    l.width = static_cast<int>(r.cinfo.image_width), l.height = static_cast<int>(r.cinfo.image_height);
    l.components = r.cinfo.num_components;
    l.max_h = r.cinfo.max_h_samp_factor, l.max_v = r.cinfo.max_v_samp_factor;
    l.plain = raw::IsPlain(r);
    good = l.components <= 4;
    for (int c = 0; good && c < l.components; ++c) {
      RawPlane& p = l.planes[c];
      p.h = r.cinfo.comp_info[c].h_samp_factor, p.v = r.cinfo.comp_info[c].v_samp_factor;
      p.width = CeilDiv(l.width * p.h, l.max_h), p.height = CeilDiv(l.height * p.v, l.max_v);
      p.pitch = CeilDiv(l.width, 8 * l.max_h) * 8 * p.h, p.rows = CeilDiv(l.height, 8 * l.max_v) * 8 * p.v;
      p.offset = l.bytes;
      l.bytes += static_cast<size_t>(p.pitch) * p.rows;
    }
    if (good && memory) good = raw::Run(&r, &raw::ReadPlanes);
  }
  jpeg_destroy_decompress(&r.cinfo);
  return good;
}

}  // namespace fastpre::test
