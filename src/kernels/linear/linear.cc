#include "kernels/linear/linear.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/checked_math.h"
#include "kernels/linear/panel_product.h"
#include "kernels/linear/unit_ranges.h"

namespace millrace::kernels {
namespace {

// Columns of a unit of work of the soft cap.
constexpr int64_t kSoftcapColumns = 4096;

// 32 activations in each encoding of a matrix: three at most, of which only one can be f32.
constexpr int64_t kEncodedBytesPerBlock = 128 + 2 * sizeof(Int8SignsBlock);

// fn(begin, end) over runs of units, of at most max_run where several threads share them.
template <typename Fn>
void ForUnits(ThreadPool* pool, int64_t num_units, int64_t max_run, const Fn& fn) {
  const int threads = pool == nullptr ? 1 : pool->num_threads();
  if (threads == 1 || num_units == 1) return fn(0, num_units);
  UnitRanges ranges(num_units, threads, max_run);
  pool->RunOnReady([&](int thread) {
    int64_t begin, end;
    while (ranges.Take(thread, &begin, &end)) fn(begin, end);
  });
}

// Long runs where each takes its slabs of tokens in turn, whose activations should stay in L2; else so short that
// nobody waits for a thread that is disturbed.
int64_t MaxRun(int64_t num_tokens) {
  return num_tokens > kSlabTokens ? std::numeric_limits<int64_t>::max() : 8;
}

struct Product {
  const PackedMatrix* matrix = nullptr;
  const float* x = nullptr;
  int64_t x_stride = 0;
  const int32_t* x_rows = nullptr;  // row of x for each token, or null: 0, 1, ...
  bool x_encoded = false;           // if PlanRowsInPlaceOfFloats(matrix) says so
  int64_t num_tokens = 0;
  Norm pre_norm;
  EpilogueArgs epilogue;  // what is the same for every tile
  float* out = nullptr;
  int64_t out_stride = 0;
  const PackedMatrix* next = nullptr;  // outputs are its encoded activations, if PlanRowsInPlaceOfFloats(next) says so
};

// One product at work: activations encoded for each segment, and its share of the units of a region.
struct Job {
  Product product;
  EncodedRows encoded[kMaxEncodings];
  int num_encoded = 0;
  EncodedRows next_rows;  // data null: outputs are floats
  int64_t num_panels = 0;
  int64_t num_slabs = 1;
  int64_t first_unit = 0;

  const EncodedRows& For(const MatrixSegment& segment) const {
    int i = 0;
    while (!encoded[i].Serves(segment)) ++i;
    return encoded[i];
  }
};

// Finishes the outputs of one panel (of gate and up when gated) for a slab of tokens.
void RunPanel(const Job& job, const MatrixSegment& segment, const Slab& slab, int64_t panel) {
  alignas(64) float acc[kSlabTokens * kPanelRows];
  alignas(64) float acc_up[kSlabTokens * kPanelRows];
  const Product& product = job.product;
  const EncodedRows& rows = job.For(segment);
  const int64_t column = segment.first_row + panel * kPanelRows;

  EpilogueArgs epilogue = product.epilogue;
  epilogue.tokens = static_cast<int>(std::min(slab.end * rows.group, rows.num_tokens) - slab.first * rows.group);
  epilogue.count = static_cast<int>(std::min<int64_t>(kPanelRows, segment.rows - panel * kPanelRows));
  epilogue.acc = acc;
  epilogue.bias = product.matrix->bias.empty() ? nullptr : product.matrix->bias.data() + column;
  epilogue.out = product.out + slab.first * rows.group * product.out_stride + column;
  epilogue.out_stride = product.out_stride;
  if (product.matrix->gated) {
    const MatrixSegment& up = product.matrix->segments[1];
    MultiplyPanel(segment, rows, slab, panel, acc);
    MultiplyPanel(up, job.For(up), slab, panel, acc_up);
    epilogue.acc_up = acc_up;
    if (epilogue.bias != nullptr) epilogue.bias_up = epilogue.bias + segment.rows;
  } else {
    MultiplyPanel(segment, rows, slab, panel, acc);
  }
  const bool encode = job.next_rows.data != nullptr;
  if (encode) {
    epilogue.out = acc;
    epilogue.out_stride = kPanelRows;
  }
  product.matrix->isa->epilogue(epilogue);
  if (encode)
    EncodeBlocks(*product.matrix->isa, job.next_rows, slab.first * rows.group, epilogue.tokens, column / kBlockValues,
                 acc);
}

// Panels [first, end) of a segment by part `part` of num_parts of its tiles.
void RunPanels(const Job& job, const MatrixSegment& segment, int64_t first, int64_t end, int64_t part,
               int64_t num_parts) {
  const EncodedRows& rows = job.For(segment);
  const int64_t slab_tiles = kSlabTokens / rows.group;
  const int64_t end_tile = (part + 1) * rows.num_tiles / num_parts;
  for (Slab slab{part * rows.num_tiles / num_parts, 0}; slab.first < end_tile; slab.first = slab.end) {
    slab.end = std::min(slab.first + slab_tiles, end_tile);
    for (int64_t panel = first; panel < end; ++panel) RunPanel(job, segment, slab, panel);
  }
}

void Encode(OpContext* context, Job* job, const MatrixSegment& segment) {
  const Product& product = job->product;
  for (int i = 0; i < job->num_encoded; ++i) {
    if (job->encoded[i].Serves(segment)) return;
  }
  CHECK_LT(job->num_encoded, kMaxEncodings);
  EncodedRows& rows = job->encoded[job->num_encoded++];
  rows = PlanRows(segment, product.num_tokens, product.matrix->cols);
  rows.data = context->workspace->Take<std::byte>(rows.Bytes());
  EncodeRows(context,
             {product.matrix->isa, product.x, product.x_stride, product.x_rows, product.matrix->cols, product.pre_norm},
             rows);
}

// Encodes the activations of a product and says how many units it makes.
void Prepare(OpContext* context, const Product& product, int64_t num_products, int64_t first_unit, Job* job) {
  const PackedMatrix& matrix = *product.matrix;
  *job = Job();
  job->product = product;
  EncodedRows rows;
  if (product.x_encoded && PlanRowsInPlaceOfFloats(matrix, product.num_tokens, &rows)) {
    rows.data = reinterpret_cast<std::byte*>(const_cast<float*>(product.x));
    job->encoded[job->num_encoded++] = rows;
  }
  for (const MatrixSegment& segment : matrix.segments) Encode(context, job, segment);
  if (product.next != nullptr && PlanRowsInPlaceOfFloats(*product.next, product.num_tokens, &rows)) {
    job->next_rows = rows;
    job->next_rows.data = reinterpret_cast<std::byte*>(product.out);
    ClearBlocks(job->next_rows, product.next->cols / kBlockValues);
  }
  const size_t num_segments = matrix.gated ? 1 : matrix.segments.size();
  for (size_t s = 0; s < num_segments; ++s) job->num_panels += matrix.segments[s].num_panels;
  // Few panels on many threads: cut the tokens too.
  const int64_t threads = context->pool == nullptr ? 1 : context->pool->num_threads();
  const int64_t wanted = threads == 1 ? 1 : CeilDiv<int64_t>(8 * threads, job->num_panels * num_products);
  job->num_slabs = std::clamp<int64_t>(wanted, 1, job->encoded[0].num_tiles);
  job->first_unit = first_unit;
}

// Units [begin, end) of one job.
void RunUnits(const Job& job, int64_t begin, int64_t end) {
  const PackedMatrix& matrix = *job.product.matrix;
  while (begin < end) {
    const int64_t slab = begin / job.num_panels;
    int64_t panel = begin % job.num_panels;
    size_t s = 0;
    while (panel >= matrix.segments[s].num_panels) panel -= matrix.segments[s++].num_panels;
    const int64_t count = std::min(end - begin, matrix.segments[s].num_panels - panel);
    RunPanels(job, matrix.segments[s], panel, panel + count, slab, job.num_slabs);
    begin += count;
  }
}

void Multiply(OpContext* context, const Product& product) {
  Workspace::Scope scope(*context->workspace);
  Job job;
  Prepare(context, product, 1, 0, &job);
  ForUnits(context->pool, job.num_panels * job.num_slabs, MaxRun(product.num_tokens),
           [&](int64_t begin, int64_t end) { RunUnits(job, begin, end); });
}

// product_at(i) gives product i.
template <typename ProductAt>
void MultiplyGroup(OpContext* context, int num_products, const ProductAt& product_at) {
  Workspace::Scope scope(*context->workspace);
  Job* jobs = context->workspace->Take<Job>(num_products);
  int64_t num_units = 0, max_run = 1;
  for (int i = 0; i < num_products; ++i) {
    Prepare(context, product_at(i), num_products, num_units, &jobs[i]);
    num_units += jobs[i].num_panels * jobs[i].num_slabs;
    max_run = std::max(max_run, MaxRun(jobs[i].product.num_tokens));
  }
  if (num_units == 0) return;
  ForUnits(context->pool, num_units, max_run, [&](int64_t begin, int64_t end) {
    const Job* job = std::upper_bound(jobs, jobs + num_products, begin,
                                      [](int64_t unit, const Job& j) { return unit < j.first_unit; }) -
                     1;
    for (; begin < end; ++job) {
      const int64_t job_end = std::min(end, job->first_unit + job->num_panels * job->num_slabs);
      RunUnits(*job, begin - job->first_unit, job_end - job->first_unit);
      begin = job_end;
    }
  });
}

// out (=|+=) scale * post_norm(raw), raw [T, N] with rows raw_stride (a multiple of 32) apart, overwritten.
void FinishWithPostNorm(OpContext* context, const LinearArgs& args, float* raw, int64_t raw_stride) {
  const LinearIsa& isa = *args.matrix->isa;
  const auto finish = [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* row = raw + t * raw_stride;
      PrepareArgs norm;
      norm.x = row;
      norm.cols = args.matrix->rows;
      norm.norm = args.post_norm;
      norm.num_blocks = raw_stride / kBlockValues;
      norm.dst = reinterpret_cast<std::byte*>(row);
      norm.dst_stride = EncodedBlockBytes(ActivationType::kF32);
      norm.section_stride = kSectionBlocks * norm.dst_stride;
      isa.prepare(norm);
      EpilogueArgs epilogue;
      epilogue.tokens = 1;
      epilogue.scale = args.scale;
      epilogue.accumulate = args.accumulate;
      for (int64_t n = 0; n < args.matrix->rows; n += kPanelRows) {
        epilogue.count = static_cast<int>(std::min<int64_t>(kPanelRows, args.matrix->rows - n));
        epilogue.acc = row + n;
        epilogue.out = args.out + t * args.out_stride + n;
        isa.epilogue(epilogue);
      }
    }
  };
  if (context->pool == nullptr || args.num_tokens == 1) {
    finish(0, args.num_tokens);
  } else {
    context->pool->ParallelFor(args.num_tokens, 1, finish);
  }
}

// out = softcap * tanh(out / softcap), in place.
void ApplySoftcap(OpContext* context, const LinearArgs& args) {
  const int64_t cols = args.matrix->rows;
  ForUnits(context->pool, args.num_tokens * CeilDiv(cols, kSoftcapColumns), 1, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = unit / args.num_tokens * kSoftcapColumns;
      float* row = args.out + unit % args.num_tokens * args.out_stride;
      for (int64_t n = first; n < std::min(cols, first + kSoftcapColumns); ++n) {
        row[n] = args.softcap * std::tanh(row[n] / args.softcap);
      }
    }
  });
}

Product ProductOf(const LinearArgs& args) {
  CHECK(!args.matrix->gated, "a gated matrix belongs to mlp_up");
  Product product;
  product.matrix = args.matrix;
  product.x = args.x;
  product.x_stride = args.x_stride;
  product.num_tokens = args.num_tokens;
  product.pre_norm = args.pre_norm;
  product.epilogue.scale = args.scale;
  product.epilogue.accumulate = args.accumulate;
  product.x_encoded = args.x_from_mlp_up;
  product.out = args.out;
  product.out_stride = args.out_stride;
  return product;
}

Product ProductOf(const MlpUpArgs& args) {
  CHECK(args.gated == args.matrix->gated, "the matrix was packed for another kind of MLP");
  Product product;
  product.matrix = args.matrix;
  product.x = args.x;
  product.x_stride = args.x_stride;
  product.num_tokens = args.num_tokens;
  product.pre_norm = args.pre_norm;
  product.epilogue.activation = args.activation;
  product.epilogue.swiglu_limit = args.swiglu_limit;
  product.out = args.out;
  product.out_stride = args.out_stride;
  product.next = args.next;
  CHECK(args.next == nullptr || args.next->cols == args.out_stride, "the next matrix reads rows of another length");
  return product;
}

}  // namespace

int64_t LinearWorkspaceBytes(const WorkspaceQuery* query) {
  const int64_t k = std::max({query->max_k, query->max_n, query->max_intermediate});
  const int64_t tokens =
      RoundUp<int64_t>(std::max(query->max_tokens, query->max_rows), kMaxTileTokens) + kMaxTileTokens;
  const int64_t encoded = tokens * PaddedBlocks(k) * kEncodedBytesPerBlock;
  const int64_t raw = tokens * RoundUp<int64_t>(query->max_n, kPanelRows) * static_cast<int64_t>(sizeof(float));
  return encoded + raw + 4 * 64;
}

void LinearCpu(OpContext* context, const LinearArgs* args) {
  if (args->num_tokens == 0) return;
  Product product = ProductOf(*args);
  if (args->post_norm.kind == NormKind::kNone) {
    Multiply(context, product);
    if (args->softcap > 0.0f) ApplySoftcap(context, *args);
    return;
  }
  CHECK(args->softcap == 0.0f, "softcap and post_norm exclude each other");
  Workspace::Scope scope(*context->workspace);
  product.epilogue = EpilogueArgs();
  product.out_stride = RoundUp<int64_t>(args->matrix->rows, kPanelRows);
  product.out = context->workspace->Take<float>(args->num_tokens * product.out_stride);
  Multiply(context, product);
  FinishWithPostNorm(context, *args, product.out, product.out_stride);
}

void MlpUpCpu(OpContext* context, const MlpUpArgs* args) {
  if (args->num_tokens == 0) return;
  Multiply(context, ProductOf(*args));
}

int64_t LinearGroupWorkspaceBytes(int64_t num_rows, int64_t cols, int num_products) {
  // Each encoding is rounded up to 64 bytes. Equal tiles waste less than a row per tile.
  constexpr int64_t kBytesPerProduct = static_cast<int64_t>(sizeof(Job)) + kMaxEncodings * 64;
  const int64_t padded_rows = num_rows + std::min<int64_t>(num_rows, num_products * kMaxTileTokens);
  return padded_rows * PaddedBlocks(cols) * kEncodedBytesPerBlock + num_products * kBytesPerProduct + 64;
}

void LinearGroupCpu(OpContext* context, const LinearArgs* args, const int32_t* const* x_rows, int num_products) {
  MultiplyGroup(context, num_products, [&](int i) {
    CHECK(args[i].post_norm.kind == NormKind::kNone && args[i].softcap == 0.0f, "no post_norm or softcap in a group");
    Product product = ProductOf(args[i]);
    if (x_rows != nullptr) product.x_rows = x_rows[i];
    return product;
  });
}

void MlpUpGroupCpu(OpContext* context, const MlpUpArgs* args, const int32_t* const* x_rows, int num_products) {
  MultiplyGroup(context, num_products, [&](int i) {
    Product product = ProductOf(args[i]);
    if (x_rows != nullptr) product.x_rows = x_rows[i];
    return product;
  });
}

}  // namespace millrace::kernels
