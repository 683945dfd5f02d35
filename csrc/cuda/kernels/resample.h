// The fused kernel: planes to the caller's tensor, one tile of one image a block, one launch for a ragged batch.
//
//   planes --upsample, colour--> chunk of lines --first pass, 8 bit--> all lines of the tile
//     --second pass, 8 bit--> tile --normalize, convert--> tensor
//
// A line runs along the axis of the first pass: a row of the stored image where the horizontal pass comes first
// (mostly), else a column. Lines are staged a chunk at a time, so that a tile can walk through supports of any length.
#pragma once

#include "cuda/kernels/descriptor.h"
#include "cuda/kernels/load_pixels.h"
#include "cuda/kernels/store.h"
#include "cuda/kernels/thread_block.h"
#include "plan/filter.h"

namespace fastpre::cuda {

// What a pass sums: RGBX pixels, or the samples of one component.
struct PixelSum {
  using Element = uint32_t;
  uint32_t r = kTapRounding, g = kTapRounding, b = kTapRounding;
  FASTPRE_HD void Add(int32_t weight, uint32_t pixel) {
    const uint32_t w = static_cast<uint32_t>(weight);
    r += w * (pixel & 255);
    g += w * (pixel >> 8 & 255);
    b += w * (pixel >> 16);  // the fourth byte is zero
  }
  FASTPRE_HD uint32_t Total() const {
    return TapsToByte(r) | TapsToByte(g) << 8 | static_cast<uint32_t>(TapsToByte(b)) << 16;
  }
};
struct SampleSum {
  using Element = uint8_t;
  uint32_t sum = kTapRounding;
  FASTPRE_HD void Add(int32_t weight, uint8_t sample) { sum += static_cast<uint32_t>(weight) * sample; }
  FASTPRE_HD uint8_t Total() const { return TapsToByte(sum); }
};

// `line`: source index `origin`, the next one `stride` elements further.
template <class Sum>
FASTPRE_HD typename Sum::Element ApplyTaps(const DeviceTaps& taps, int position, const typename Sum::Element* line,
                                           int origin, int stride) {
  const Span span = taps.span[position];
  const int32_t* weight = taps.weight + position;
  Sum sum;
  for (int s = span.begin; s < span.end; ++s, weight += taps.count)
    sum.Add(ReadOnly(weight), line[(s - origin) * stride]);
  return sum.Total();
}

// One tile: positions from (x, y) on, in the stored frame.
struct Tile {
  int x, y, width, height;
  int tile_column, tile_row;
};

FASTPRE_HD inline int Smaller(int a, int b) { return a < b ? a : b; }

FASTPRE_HD inline Tile TileOf(const ResampleTask& task, uint32_t number) {
  const int across = 1 << task.tile_x_log2, down = 1 << task.tile_y_log2;
  const int tiles_x = (task.out.columns + across - 1) >> task.tile_x_log2;
  Tile t;
  t.tile_column = static_cast<int>(number) % tiles_x;
  t.tile_row = static_cast<int>(number) / tiles_x;
  t.x = t.tile_column << task.tile_x_log2;
  t.y = t.tile_row << task.tile_y_log2;
  t.width = Smaller(across, task.out.columns - t.x);
  t.height = Smaller(down, task.out.rows - t.y);
  return t;
}

// Pixels (columns [x0, x1), rows [y0, y1)) into the chunk; x0 is a multiple of 4. element(x, y) says where.
template <bool kVertical, class Element>
FASTPRE_HD void StagePixels(const ResampleTask& task, int thread, const Span& x, const Span& y,
                            const Element& element) {
  const int quads = (x.end - x.begin + 3) / 4, rows = y.end - y.begin;
  const auto stage = [&](int quad, int row) {
    uint32_t pixels[4];
    LoadQuad(task, x.begin + 4 * quad, y.begin + row, pixels);
    for (int k = 0; k < 4; ++k) *element(x.begin + 4 * quad + k, y.begin + row) = pixels[k];
  };
  if constexpr (kVertical) {  // a chunk is a few columns wide, so warps go down them
    ForEach(thread, rows, quads, [&](int row, int quad) { stage(quad, row); });
  } else {
    ForEach(thread, quads, rows, stage);
  }
}

template <bool kVertical, class Element>
FASTPRE_HD void StageSamples(const ResampleTask& task, int component, int thread, const Span& x, const Span& y,
                             const Element& element) {
  const DevicePlane& p = task.plane[component];
  const int columns = x.end - x.begin, rows = y.end - y.begin;
  const auto stage = [&](int column, int row) {
    *element(x.begin + column, y.begin + row) =
        static_cast<uint8_t>(SampleAt(p, RowOf(p, y.begin + row), x.begin + column));
  };
  if constexpr (kVertical) {
    ForEach(thread, rows, columns, [&](int row, int column) { stage(column, row); });
  } else {
    ForEach(thread, columns, rows, stage);
  }
}

// Both passes. put(x, y, element): a result, x and y counted from the tile's corner.
template <class Sum, bool kVertical, class Block, class Put>
FASTPRE_HD void ResamplePasses(const Block& block, const ResampleTask& task, const Tile& tile, int component,
                               uint8_t* shared, const Put& put) {
  using Element = typename Sum::Element;
  const DeviceAxis &columns = task.columns[component], &rows = task.rows[component];
  const Span x = columns.tile_span[tile.tile_column], y = rows.tile_span[tile.tile_row];
  constexpr bool vertical = kVertical;  // the first pass goes down the columns
  const DeviceTaps &first = vertical ? rows.taps : columns.taps, &second = vertical ? columns.taps : rows.taps;
  const int first_log2 = vertical ? task.tile_y_log2 : task.tile_x_log2;
  const int first_position = vertical ? tile.y : tile.x, first_count = vertical ? tile.height : tile.width;
  const int second_position = vertical ? tile.x : tile.y, second_count = vertical ? tile.width : tile.height;
  // Columns are staged four at a time.
  const int column0 = sizeof(Element) == 4 ? x.begin & ~3 : x.begin;
  const Span lines = vertical ? Span{column0, x.end} : y;
  const int along = vertical ? y.begin : column0;

  Element* const chunk = reinterpret_cast<Element*>(shared);
  Element* const narrow = chunk + task.chunk_lines * task.line_length;
  for (int from = lines.begin; from < lines.end; from += task.chunk_lines) {
    const int to = Smaller(from + task.chunk_lines, lines.end);
    const Span chunk_x = vertical ? Span{from, to} : Span{column0, x.end};
    const Span chunk_y = vertical ? y : Span{from, to};
    block.Phase([&](int thread) {
      const auto element = [&](int column, int row) {
        const int line = (vertical ? column : row) - from, at = vertical ? row : column;
        return chunk + line * task.line_length + (at - along);
      };
      if constexpr (sizeof(Element) == 4) {
        StagePixels<kVertical>(task, thread, chunk_x, chunk_y, element);
      } else {
        StageSamples<kVertical>(task, component, thread, chunk_x, chunk_y, element);
      }
    });
    block.Phase([&](int thread) {
      for (int i = thread; i < (to - from) << first_log2; i += kThreads) {
        const int line = i >> first_log2, position = i & ((1 << first_log2) - 1);
        if (position >= first_count) continue;
        narrow[((from - lines.begin + line) << first_log2) + position] =
            ApplyTaps<Sum>(first, first_position + position, chunk + line * task.line_length, along, 1);
      }
    });
  }
  block.Phase([&](int thread) {
    for (int i = thread; i < second_count << first_log2; i += kThreads) {
      const int other = i >> first_log2, position = i & ((1 << first_log2) - 1);
      if (position >= first_count) continue;
      const Element total =
          ApplyTaps<Sum>(second, second_position + other, narrow + position, lines.begin, 1 << first_log2);
      vertical ? put(other, position, total) : put(position, other, total);
    }
  });
}

template <class As>
FASTPRE_HD void StoreTile(const ResampleLaunch& launch, const ResampleTask& task, const Tile& tile, int thread,
                          const uint32_t* result) {
  const DeviceOutput& out = task.out;
  const int pitch = 1 << task.tile_x_log2;
  typename As::Type* const corner =
      static_cast<typename As::Type*>(out.data) + tile.x * out.column_step + tile.y * out.row_step;
  const int along = out.transposed ? tile.height : tile.width, across = out.transposed ? tile.width : tile.height;
  const int64_t step = out.transposed ? out.row_step : out.column_step;
  const int64_t other_step = out.transposed ? out.column_step : out.row_step;
  ForEach(thread, (along + 3) / 4, across, [&](int quad, int other) {
    uint32_t pixels[4];
    const int count = Smaller(4, along - 4 * quad);
    FASTPRE_UNROLL
    for (int k = 0; k < 4; ++k) {
      const int i = Smaller(4 * quad + k, along - 1);
      uint32_t pixel = out.transposed ? result[i * pitch + other] : result[other * pitch + i];
      if (task.planar) {
        const int components[4] = {ByteOf(pixel, 0), ByteOf(pixel, 1), ByteOf(pixel, 2), ByteOf(pixel, 3)};
        pixel = ToPixel(task.color, task.luma, components);
      }
      pixels[k] = pixel;
    }
    StoreQuad<As>(launch, pixels, count, corner + 4 * quad * step + other * other_step, step, out.channel_step);
  });
}

template <class T>
FASTPRE_HD void FillTile(const ResampleLaunch& launch, const ResampleTask& task, const Tile& tile, int thread) {
  const DeviceOutput& out = task.out;
  ForEach(thread, tile.width, tile.height, [&](int x, int y) {
    for (int c = 0; c < launch.channels; ++c) {
      T* const at = static_cast<T*>(out.data) + (tile.x + x) * out.column_step + (tile.y + y) * out.row_step +
                    c * out.channel_step;
      if constexpr (sizeof(T) == 4) {
        *reinterpret_cast<uint32_t*>(at) = task.fill[c];
      } else {
        *at = static_cast<T>(task.fill[c]);
      }
    }
  });
}

template <class Block>
FASTPRE_HD void ResampleTile(const Block& block, const ResampleLaunch& launch) {
  const int index = FindTask(launch.first_tile, launch.count, block.index());
  const ResampleTask& task = launch.tasks[index];
  const Tile tile = TileOf(task, block.index() - launch.first_tile[index]);
  if (task.kind == TaskKind::kFill) {
    block.Phase([&](int thread) {
      switch (launch.dtype) {
        case DType::kF32: FillTile<float>(launch, task, tile, thread); break;
        case DType::kU8: FillTile<uint8_t>(launch, task, tile, thread); break;
        default: FillTile<uint16_t>(launch, task, tile, thread); break;
      }
    });
    return;
  }
  uint32_t* const result = reinterpret_cast<uint32_t*>(block.shared());
  const int pitch = 1 << task.tile_x_log2;
  uint8_t* const scratch = block.shared() + sizeof(uint32_t) * (size_t{1} << (task.tile_x_log2 + task.tile_y_log2));
  if (task.planar) {
    for (int c = 0; c < task.components; ++c) {
      ResamplePasses<SampleSum, true>(block, task, tile, c, scratch, [&](int x, int y, uint8_t value) {
        reinterpret_cast<uint8_t*>(result + y * pitch + x)[c] = value;
      });
    }
  } else {
    const auto put = [&](int x, int y, uint32_t pixel) { result[y * pitch + x] = pixel; };
    if (task.vertical_first) {
      ResamplePasses<PixelSum, true>(block, task, tile, 0, scratch, put);
    } else {
      ResamplePasses<PixelSum, false>(block, task, tile, 0, scratch, put);
    }
  }
  block.Phase([&](int thread) {
    switch (launch.dtype) {
      case DType::kF32: StoreTile<AsF32>(launch, task, tile, thread, result); break;
      case DType::kU8: StoreTile<AsU8>(launch, task, tile, thread, result); break;
      default: StoreTile<AsU16>(launch, task, tile, thread, result); break;
    }
  });
}

}  // namespace fastpre::cuda
