#include "kernels/linear/panel_product.h"

#include <algorithm>

#include "base/checked_math.h"

namespace millrace::kernels {
namespace {

// Weights that meet all tiles of a slab in turn: about L1. Expanded ones come in shorter sections, 8 blocks being 8-12
// KiB.
constexpr int64_t kPanelSectionBytes = 34 << 10;
constexpr int64_t kExpandedBlocks = kSuperBlocks;
// How far ahead a tile that is bound by arithmetic fetches its weights: 12 and 24 KiB did equally well, 2 and 6 KiB
// worse (Zen 4).
constexpr int64_t kFetchAheadBytes = 12 << 10;

// Chunks of a panel that take turns with the tiles: a power of two of blocks, at most a section of the activations.
int64_t SectionChunks(const PanelFormat& format, bool expand) {
  int64_t blocks = expand ? kExpandedBlocks : kSectionBlocks;
  while (blocks > format.chunk_blocks && blocks * format.ChunkBytes() / format.chunk_blocks > kPanelSectionBytes)
    blocks /= 2;
  return blocks / format.chunk_blocks;
}

// What the tiles of a section fetch into L2 while they work: `lines` lines of 64 bytes in all, spread over them.
struct Fetch {
  const std::byte* from = nullptr;
  int64_t lines = 0;
  int64_t lines_per_tile = 0;
  int lines_per_block = 0;
};

// `source` is the section; panels follow each other in memory. Several tiles leave the memory idle and fetch the next
// section. A single one runs ahead in its own panel, and only when arithmetic binds it: the processor's own prefetch
// reaches the full bandwidth (28 GB/s on one Zen 4 core), this one 22.
Fetch PlanFetch(const MatrixSegment& segment, const EncodedRows& rows, const std::byte* source, int64_t num_chunks,
                int64_t tiles) {
  Fetch fetch;
  const int64_t bytes = num_chunks * segment.format->ChunkBytes();
  if (tiles > 1) {
    fetch.from = source + bytes;
  } else if (rows.group >= segment.kernel->fetch_tokens) {
    fetch.from = source + kFetchAheadBytes;
  } else {
    return fetch;
  }
  const int64_t blocks = num_chunks * segment.format->chunk_blocks;
  fetch.lines = bytes / 64;
  fetch.lines_per_block = static_cast<int>(CeilDiv(fetch.lines, tiles * blocks));
  fetch.lines_per_tile = blocks * fetch.lines_per_block;
  return fetch;
}

}  // namespace

void MultiplyPanel(const MatrixSegment& segment, const EncodedRows& rows, const Slab& slab, int64_t panel, float* acc) {
  alignas(64) std::byte expanded[kMaxExpandedChunkBytes];
  const PanelFormat& format = *segment.format;
  const int64_t tiles = slab.end - slab.first;
  const int64_t num_chunks = segment.panel_bytes / format.ChunkBytes();
  const TileKernel& kernel = *segment.kernel;
  const bool expand = kernel.expansion.expand != nullptr && tiles >= kernel.expansion.min_tiles;
  // A single tile reads the panel in one run.
  const int64_t section_chunks = rows.num_tiles == 1 ? num_chunks : SectionChunks(format, expand);

  TileArgs args;
  args.format = &format;
  args.x_stride = rows.group * rows.BlockBytes();
  for (int64_t chunk = 0; chunk < num_chunks; chunk += section_chunks) {
    const std::byte* source = segment.Panel(panel) + chunk * format.ChunkBytes();
    const int64_t block = chunk * format.chunk_blocks;
    const std::byte* x =
        rows.data + block / kSectionBlocks * rows.SectionBytes() + block % kSectionBlocks * args.x_stride;
    args.num_chunks = std::min(section_chunks, num_chunks - chunk);
    args.resume = chunk > 0;
    const Fetch fetch = PlanFetch(segment, rows, source, args.num_chunks, tiles);
    args.next_lines = fetch.lines_per_block;
    args.panel = source;
    if (expand) {
      kernel.expansion.expand(source, args.num_chunks, expanded);
      args.panel = expanded;
    }
    for (int64_t tile = slab.first; tile < slab.end; ++tile) {
      const int64_t fetched = (tile - slab.first) * fetch.lines_per_tile;
      args.next = fetched < fetch.lines ? fetch.from + fetched * 64 : nullptr;
      args.x = x + tile * rows.TileBytes();
      args.acc = acc + (tile - slab.first) * rows.group * kPanelRows;
      const int64_t tokens = rows.TileTokens(tile);
      (expand ? kernel.expansion.tile : kernel.tile)[tokens - 1](args);
    }
  }
}

}  // namespace millrace::kernels
