#include "kernels/linear/packed_matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/checked_math.h"
#include "kernels/linear/linear.h"

namespace millrace::kernels {
namespace {

// Parts first_part .. end_part - 1, all of one type, and where their panels go.
struct SegmentPlan {
  MatrixSegment segment;
  std::byte* panels = nullptr;
  int first_part = 0;
  int end_part = 0;
};

template <typename... Args>
PackedMatrix* Refuse(ErrorText* error, fmt::format_string<Args...> format, Args&&... args) {
  if (error != nullptr) {
    const auto result = fmt::format_to_n(error->text, sizeof(error->text) - 1, format, std::forward<Args>(args)...);
    *result.out = '\0';
  }
  return nullptr;
}

// Packs one panel; `scratch` holds the rows of a gathered part.
void PackOnePanel(const SegmentPlan& plan, const WeightRows* parts, int64_t panel, std::vector<std::byte>& scratch) {
  const std::byte* rows[kPanelRows] = {};
  const int64_t row_bytes = RowBytes(plan.segment.format->dtype, parts[plan.first_part].cols);
  const int64_t begin = panel * kPanelRows;
  const int64_t end = std::min(begin + kPanelRows, plan.segment.rows);
  int64_t part_begin = 0;
  for (int p = plan.first_part; p < plan.end_part; ++p) {
    const WeightRows& part = parts[p];
    const int64_t from = std::max(begin, part_begin);
    const int64_t to = std::min(end, part_begin + part.rows);
    if (from < to) {
      const std::byte* source;
      if (part.data != nullptr) {
        source = part.data + (from - part_begin) * row_bytes;
      } else {
        scratch.resize(static_cast<size_t>(row_bytes * kPanelRows));
        std::byte* gathered = scratch.data() + (from - begin) * row_bytes;
        part.gather(part.context, from - part_begin, to - from, gathered);
        source = gathered;
      }
      for (int64_t row = from; row < to; ++row) rows[row - begin] = source + (row - from) * row_bytes;
    }
    part_begin += part.rows;
  }
  PackPanel(*plan.segment.format, rows, parts[plan.first_part].cols, plan.panels + panel * plan.segment.panel_stride);
}

// Empty when the parts are in order, else the sentence that refuses them.
std::string CheckParts(const WeightRows* parts, int num_parts, bool gated) {
  if (num_parts < 1) return "a matrix needs at least one part";
  for (int p = 0; p < num_parts; ++p) {
    const WeightRows& part = parts[p];
    if (FindPanelFormat(part.dtype) == nullptr)
      return fmt::format("{} is not a type of weights", DTypeName(part.dtype));
    if (part.rows < 1 || part.cols < 1) return fmt::format("a weight of shape [{}, {}] is empty", part.rows, part.cols);
    if (part.cols != parts[0].cols) return fmt::format("parts have {} and {} columns", parts[0].cols, part.cols);
    const int64_t block = GetDTypeInfo(part.dtype).block_elems;
    if (part.cols % block != 0) {
      return fmt::format("{} columns are not whole {} blocks of {}", part.cols, DTypeName(part.dtype), block);
    }
    if ((part.data == nullptr) == (part.gather == nullptr)) return "a weight needs either data or gather";
  }
  if (gated && (num_parts != 2 || parts[0].rows != parts[1].rows))
    return "gate and up must be two parts of equal shape";
  return {};
}

TileWidth LesserWidth(const TileWidth& a, const TileWidth& b) {
  if (a == b) return a;
  return {std::min(a.max_tokens, b.max_tokens)};
}

std::vector<SegmentPlan> PlanSegments(Isa isa, const WeightRows* parts, int num_parts, bool gated) {
  std::vector<SegmentPlan> plans;
  int64_t first_row = 0;
  for (int p = 0; p < num_parts; ++p) {
    if (gated || plans.empty() || plans.back().segment.format->dtype != parts[p].dtype) {
      SegmentPlan& plan = plans.emplace_back();
      plan.first_part = p;
      plan.segment.format = FindPanelFormat(parts[p].dtype);
      plan.segment.kernel = SelectTileKernel(isa, parts[p].dtype);
      plan.segment.width = plan.segment.kernel->width;
      plan.segment.first_row = first_row;
    }
    plans.back().end_part = p + 1;
    plans.back().segment.rows += parts[p].rows;
    first_row += parts[p].rows;
  }
  for (SegmentPlan& plan : plans) {
    const PanelFormat& format = *plan.segment.format;
    plan.segment.num_panels = CeilDiv<int64_t>(plan.segment.rows, kPanelRows);
    plan.segment.panel_bytes = NumChunks(format, parts[0].cols) * format.ChunkBytes();
  }
  if (gated) {
    const TileWidth least = LesserWidth(plans[0].segment.width, plans[1].segment.width);
    for (SegmentPlan& plan : plans) plan.segment.width = least;
  }
  return plans;
}

int CountEncodings(const std::vector<SegmentPlan>& plans) {
  int count = 0;
  for (size_t i = 0; i < plans.size(); ++i) {
    const auto same = [&](const SegmentPlan& other) {
      return other.segment.kernel->encoding == plans[i].segment.kernel->encoding &&
             other.segment.width == plans[i].segment.width;
    };
    if (std::none_of(plans.begin(), plans.begin() + static_cast<int64_t>(i), same)) ++count;
  }
  return count;
}

}  // namespace

PackedMatrix* PackMatrixCpu(Isa isa, OpContext* context, const WeightRows* parts, int num_parts, const float* bias,
                            bool gated, ErrorText* error) {
  if (const std::string problem = CheckParts(parts, num_parts, gated); !problem.empty())
    return Refuse(error, "{}", problem);
  std::vector<SegmentPlan> plans = PlanSegments(isa, parts, num_parts, gated);
  if (CountEncodings(plans) > kMaxEncodings)
    return Refuse(error, "a matrix can mix at most {} kinds of types", kMaxEncodings);

  int64_t total_bytes = 0;
  for (const SegmentPlan& plan : plans) total_bytes += plan.segment.num_panels * plan.segment.panel_bytes;
  HostArena* arena = context != nullptr ? context->weights : nullptr;
  Result<Buffer> buffer = arena != nullptr ? arena->Allocate(total_bytes) : Buffer::Allocate(total_bytes);
  if (!buffer.ok()) return Refuse(error, "{}", buffer.status().message());

  auto matrix = std::make_unique<PackedMatrix>();
  matrix->isa = &SelectLinearIsa(isa);
  matrix->cols = parts[0].cols;
  matrix->gated = gated;
  matrix->buffer = std::move(buffer).value();
  std::byte* next = matrix->buffer.data();
  const int64_t pair_stride = gated ? plans[0].segment.panel_bytes + plans[1].segment.panel_bytes : 0;
  for (SegmentPlan& plan : plans) {
    plan.panels = next;
    plan.segment.panels = next;
    plan.segment.panel_stride = gated ? pair_stride : plan.segment.panel_bytes;
    next += gated ? plan.segment.panel_bytes : plan.segment.num_panels * plan.segment.panel_bytes;
    matrix->segments.push_back(plan.segment);
    matrix->rows += plan.segment.rows;
  }
  if (bias != nullptr) matrix->bias.assign(bias, bias + matrix->rows);

  for (const SegmentPlan& plan : plans) {
    const auto pack = [&](int64_t begin, int64_t end) {
      std::vector<std::byte> scratch;
      for (int64_t panel = begin; panel < end; ++panel) PackOnePanel(plan, parts, panel, scratch);
    };
    if (context != nullptr && context->pool != nullptr) {
      context->pool->ParallelFor(plan.segment.num_panels, 4, pack);
    } else {
      pack(0, plan.segment.num_panels);
    }
  }
  return matrix.release();
}

void FreeMatrixCpu(PackedMatrix* matrix) {
  delete matrix;
}

int64_t PackedBytesCpu(const PackedMatrix* matrix) {
  return matrix->buffer.size();
}
int64_t PackedRows(const PackedMatrix* matrix) {
  return matrix->rows;
}
int64_t PackedCols(const PackedMatrix* matrix) {
  return matrix->cols;
}

}  // namespace millrace::kernels
