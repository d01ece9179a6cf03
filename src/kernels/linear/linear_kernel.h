// The pieces that an ISA provides to matrix products: prepare (norm + quantise a row of activations), tiles (one per
// weight type) and the epilogue. linear.cc strings them together. Plain types only: ISA files may emit no function that
// another file could emit too.
//
// Arithmetic that every tile keeps, so that a row's bits never depend on the batch: an output element has one f32
// accumulator; for quantised weights the integer products of a block (or half block) are summed exactly, scaled, and
// added in ascending k, where activations share a scale over 256 values first to a sum of these; for plain weights
// products are added in ascending k. The number of tokens in a tile changes nothing for any of them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/linear/panel_format.h"
#include "kernels/op_table.h"

namespace millrace::kernels {

enum class ActivationType : int { kInt8, kInt8Signs, kBf16, kF32 };

// What the sums of an Int8Block hold: -offset * sum of the values (whole block, or per half), that sum as f32, or as
// 16-bit numbers that of both halves or (blocks of even number) of the block and the one after it.
enum class BlockSum : int { kNone, kOffset, kOffsetHalves, kFloat, kHalfPair, kBlockPair };

// 32 activations x[i] ~ scale * q[i], |q| <= 127, scale = max |x| / 127 over the Encoding's scale_blocks (NaN when any
// x there is not finite; then q is 0).
struct alignas(16) Int8Block {
  int8_t q[32];
  float scale;
  union {
    int32_t offset[2];  // kOffset: [0] only
    float value;
    int16_t pair[2];
  } sum;
};
static_assert(sizeof(Int8Block) == 48);

// The same values q for 8-bit codes c = value + 128 on AVX2, whose vpmaddubsw takes one signed factor alone: c ^ flip
// is the value where q >= 0 and -value - 1 where q < 0, hence sum of q * value = sum of |q| * (c ^ flip) + negatives.
struct alignas(16) Int8SignsBlock {
  uint8_t magnitude[32];
  uint8_t flip[32];   // 0x80 where q >= 0, else 0x7f
  float scale;        // as in Int8Block
  int32_t negatives;  // sum of |q| where q < 0
};
static_assert(sizeof(Int8SignsBlock) == 80);

// Blocks of a group of 256 values.
inline constexpr int kSuperBlocks = 8;

// How a tile wants its activations.
struct Encoding {
  ActivationType type = ActivationType::kF32;
  BlockSum sum = BlockSum::kNone;
  int offset = 0;
  int scale_blocks = 1;  // int8: blocks that share a scale, 1 or kSuperBlocks

  bool IsInt8() const { return type == ActivationType::kInt8 || type == ActivationType::kInt8Signs; }

  friend bool operator==(const Encoding&, const Encoding&) = default;
};

// Bytes of 32 encoded activations: Int8Block, Int8SignsBlock, bf16[32] or f32[32].
constexpr int64_t EncodedBlockBytes(ActivationType type) {
  constexpr int64_t kBytes[] = {sizeof(Int8Block), sizeof(Int8SignsBlock), 64, 128};
  return kBytes[static_cast<int>(type)];
}

// Activations are encoded, and panels multiplied, in sections of this many blocks along K: while the tiles of many
// tokens take turns on a section of a panel, it stays in L1.
inline constexpr int kSectionBlocks = 16;

// Block b of section s at dst + s * section_stride + b * dst_stride is the encoding of norm(x)[32 (kSectionBlocks s +
// b) ..]; values past cols are 0.
struct PrepareArgs {
  const float* x = nullptr;  // [cols]
  int64_t cols = 0;
  Norm norm;
  Encoding encoding;
  int64_t num_blocks = 0;  // >= cols / 32
  std::byte* dst = nullptr;
  int64_t dst_stride = 0;
  int64_t section_stride = 0;

  std::byte* Block(int64_t block) const {
    return dst + block / kSectionBlocks * section_stride + block % kSectionBlocks * dst_stride;
  }
};
using PrepareFn = void (*)(const PrepareArgs& args);
// Encodes x [num_blocks][32] as int8, with a scale each, into blocks one after the other at dst.
using EncodeFn = void (*)(const float* x, int num_blocks, const Encoding& encoding, std::byte* dst);

// acc[t][row] (=|+=) sum over k of weight[row][k] * x[t][k] for the 32 rows of a panel and the tokens of a tile. A
// panel may be cut into several calls along K: f32 sums go through memory unchanged, so the bits are those of one call.
struct TileArgs {
  const PanelFormat* format = nullptr;
  const std::byte* panel = nullptr;  // its first chunk, or as expand left them; 64-byte aligned
  int64_t num_chunks = 0;
  bool resume = false;           // acc holds the sums of the chunks before
  const std::byte* x = nullptr;  // token t of block b at x + b * x_stride + t * EncodedBlockBytes
  int64_t x_stride = 0;
  float* acc = nullptr;  // [tokens][32], 64-byte aligned
  // Weights to bring into L2 meanwhile, or null, and how many lines of 64 bytes with each block; a hint.
  const std::byte* next = nullptr;
  int next_lines = 0;
};
using TileFn = void (*)(const TileArgs& args);

// Chunks of a panel with codes as bytes and scales as f32, so that many tiles share the work of unpacking them.
using ExpandFn = void (*)(const std::byte* chunks, int64_t num_chunks, std::byte* out);
inline constexpr int kMaxExpandedChunkBytes = 12 << 10;

inline constexpr int kMaxTileTokens = 16;

// Tokens of a tile: up to max_tokens, or up to `wide` for products of no more than wide_until tokens.
struct TileWidth {
  int max_tokens = 0;
  int wide = 0;
  int64_t wide_until = 0;

  constexpr int For(int64_t num_tokens) const { return num_tokens <= wide_until ? wide : max_tokens; }
  friend bool operator==(const TileWidth&, const TileWidth&) = default;
};

// How a section of a panel is multiplied that many tiles share: expanded once.
struct Expansion {
  ExpandFn expand = nullptr;         // null: where it does not pay
  int64_t min_tiles = 0;             // that share it
  TileFn tile[kMaxTileTokens] = {};  // [tokens - 1]
};

struct TileKernel {
  Encoding encoding;
  TileWidth width;
  TileFn tile[kMaxTileTokens] = {};  // [tokens - 1]
  // From this many tokens on a tile is bound by arithmetic when weights come from memory, and fetches them ahead.
  int fetch_tokens = kMaxTileTokens + 1;
  Expansion expansion;
};

// out[t][i] (=|+=) scale * act(acc + bias), act over the pair (gate, up) when acc_up is set.
struct EpilogueArgs {
  int tokens = 0;
  int count = 0;                   // columns, <= 32
  const float* acc = nullptr;      // [tokens][32]
  const float* acc_up = nullptr;   // [tokens][32] or null
  const float* bias = nullptr;     // [count] or null
  const float* bias_up = nullptr;  // [count] or null
  ActivationKind activation = ActivationKind::kNone;
  float swiglu_limit = 0.0f;
  float scale = 1.0f;
  bool accumulate = false;
  float* out = nullptr;
  int64_t out_stride = 0;
};
using EpilogueFn = void (*)(const EpilogueArgs& args);

struct LinearIsa {
  Isa isa = Isa::kGeneric;
  PrepareFn prepare = nullptr;
  EncodeFn encode = nullptr;
  EpilogueFn epilogue = nullptr;
};

#define MILLRACE_LINEAR_ISA(isa, symbol) extern const LinearIsa symbol;
#define MILLRACE_LINEAR_KERNEL(isa, dtype, symbol) extern const TileKernel symbol;
#include "kernels/linear/linear_kernels.inc"
#undef MILLRACE_LINEAR_ISA
#undef MILLRACE_LINEAR_KERNEL

struct ListedKernel {
  Isa isa;
  DType dtype;
  const char* name;
  const TileKernel* kernel;
};

// The list, best first.
const ListedKernel* LinearKernels(int* count);

// The first listed kernel for the type that `isa` can run, and the ISA's functions. Null when the type is not a weight
// type.
const TileKernel* SelectTileKernel(Isa isa, DType dtype);
const LinearIsa& SelectLinearIsa(Isa isa);

}  // namespace millrace::kernels
