#include "model_loader/fused_weights.h"

#include <cstring>
#include <utility>

namespace millrace {
namespace {

Status BadRows(const WeightTensor& tensor, int64_t expected) {
  return DataLoss("{} is {} x {}, expected {} rows", tensor.name, tensor.rows, tensor.cols, expected);
}

// "a.old.b" -> "a.new.b"; the old part is there.
std::string Replace(std::string name, std::string_view from, std::string_view to) {
  return name.replace(name.find(from), from.size(), to);
}

// A bias is one row of all values; a view of it is a range of values. Only plain types have such views.
Status AddValues(const WeightTensor& base, int64_t first, int64_t count, std::string name, WeightTable& table,
                 bool listed = false) {
  if (IsQuantised(base.dtype))
    return Unsupported("{} is a vector of type {}, expected a plain type", base.name, DTypeName(base.dtype));
  const int64_t element = RowBytes(base.dtype, 1);
  WeightTensor view{std::move(name), base.dtype, 1, count, nullptr, nullptr};
  if (base.data != nullptr) {
    view.data = base.data + first * element;
    return table.Add(std::move(view), listed);
  }
  view.gather = [gather = base.gather, first, count, element, bytes = base.bytes()](int64_t, int64_t rows,
                                                                                    std::byte* dst) {
    if (rows == 0) return;
    std::vector<std::byte> whole(static_cast<size_t>(bytes));
    gather(0, 1, whole.data());
    std::memcpy(dst, whole.data() + first * element, static_cast<size_t>(count * element));
  };
  return table.AddGathered(std::move(view), table.Sources(base), listed);
}

// One part of a fused tensor: rows of a matrix, values of a bias.
Status AddPart(const WeightTensor& base, int64_t first, int64_t count, std::string name, WeightTable& table) {
  if (base.rows == 1) return AddValues(base, first, count, std::move(name), table);
  return table.AddRows(base, first, count, std::move(name));
}

int64_t FusedRows(const WeightTensor& tensor) {
  return tensor.rows == 1 ? tensor.cols : tensor.rows;
}

Status SplitQkv(const WeightTensor& fused, const ModelConfig& config, WeightTable& table) {
  const int64_t q = static_cast<int64_t>(config.num_attention_heads) * config.head_dim;
  const int64_t kv = static_cast<int64_t>(config.num_key_value_heads) * config.head_dim;
  if (FusedRows(fused) != q + 2 * kv) return BadRows(fused, q + 2 * kv);
  RETURN_IF_ERROR(AddPart(fused, 0, q, Replace(fused.name, "qkv_proj", "q_proj"), table));
  RETURN_IF_ERROR(AddPart(fused, q, kv, Replace(fused.name, "qkv_proj", "k_proj"), table));
  return AddPart(fused, q + kv, kv, Replace(fused.name, "qkv_proj", "v_proj"), table);
}

Status SplitGateUp(const WeightTensor& fused, WeightTable& table) {
  const int64_t rows = FusedRows(fused);
  if (rows % 2 != 0) return DataLoss("{} has {} rows, expected an even number", fused.name, rows);
  RETURN_IF_ERROR(AddPart(fused, 0, rows / 2, Replace(fused.name, "gate_up_proj", "gate_proj"), table));
  return AddPart(fused, rows / 2, rows / 2, Replace(fused.name, "gate_up_proj", "up_proj"), table);
}

// Sizes of the projections of a gated delta net. Hugging Face groups rows by key head: [q, k, v.., z..] per head in
// in_proj_qkvz, [b.., a..] per head in in_proj_ba.
struct DeltaNetRows {
  explicit DeltaNetRows(const ModelConfig& config)
      : heads(config.linear_num_key_heads),
        values_per_head(config.linear_num_value_heads / config.linear_num_key_heads),
        key(config.linear_key_head_dim),
        value(values_per_head * config.linear_value_head_dim) {}
  int64_t heads, values_per_head;
  int64_t key;    // rows of q (and of k) for one key head
  int64_t value;  // rows of v (and of z) for one key head
  int64_t qkv() const { return heads * (2 * key + value); }
  int64_t z() const { return heads * value; }
  int64_t group() const { return 2 * key + 2 * value; }

  // The row of in_proj_qkvz that is row r of [q of all heads, k of all heads, v of all heads, z of all heads].
  int64_t Grouped(int64_t r) const {
    const int64_t sizes[] = {key, key, value, value};
    int64_t inside = 0;
    for (const int64_t size : sizes) {
      if (r < heads * size) return r / size * group() + inside + r % size;
      r -= heads * size;
      inside += size;
    }
    return r;
  }
  // The inverse.
  int64_t Sequential(int64_t g) const {
    const int64_t head = g / group();
    int64_t inside = g % group(), before = 0;
    for (const int64_t size : {key, key, value, value}) {
      if (inside < size) return before + head * size + inside;
      inside -= size;
      before += heads * size;
    }
    return g;
  }
};

// Copies one row of a weight.
void CopyRow(const WeightTensor& source, int64_t row, std::byte* dst) {
  if (source.data != nullptr) {
    std::memcpy(dst, source.data + row * source.row_bytes(), static_cast<size_t>(source.row_bytes()));
  } else {
    source.gather(row, 1, dst);
  }
}

// A matrix whose row r is row map(r) of `source`.
template <typename Map>
Status AddPermuted(const WeightTensor& source, int64_t rows, std::string name, const Map& map, WeightTable& table) {
  WeightTensor tensor{std::move(name), source.dtype, rows, source.cols, nullptr, nullptr};
  tensor.gather = [source, map](int64_t first, int64_t count, std::byte* dst) {
    for (int64_t r = first; r < first + count; ++r, dst += source.row_bytes()) CopyRow(source, map(r), dst);
  };
  return table.AddGathered(std::move(tensor), table.Sources(source), false);
}

Status SplitQkvz(const WeightTensor& fused, const DeltaNetRows& rows, const std::string& prefix, WeightTable& table) {
  if (fused.rows != rows.qkv() + rows.z()) return BadRows(fused, rows.qkv() + rows.z());
  RETURN_IF_ERROR(AddPermuted(
      fused, rows.qkv(), prefix + "in_proj_qkv.weight", [rows](int64_t r) { return rows.Grouped(r); }, table));
  return AddPermuted(
      fused, rows.z(), prefix + "in_proj_z.weight", [rows](int64_t r) { return rows.Grouped(rows.qkv() + r); }, table);
}

Status JoinQkvz(const WeightTensor& qkv, const WeightTensor& z, const DeltaNetRows& rows, const std::string& prefix,
                WeightTable& table) {
  if (qkv.rows != rows.qkv()) return BadRows(qkv, rows.qkv());
  if (z.rows != rows.z()) return BadRows(z, rows.z());
  // The parts may be stored in different types; then only they are offered.
  if (qkv.dtype != z.dtype || qkv.cols != z.cols) return OkStatus();
  WeightTensor tensor{prefix + "in_proj_qkvz.weight", qkv.dtype, rows.qkv() + rows.z(), qkv.cols, nullptr, nullptr};
  tensor.gather = [qkv, z, rows](int64_t first, int64_t count, std::byte* dst) {
    for (int64_t g = first; g < first + count; ++g, dst += qkv.row_bytes()) {
      const int64_t r = rows.Sequential(g);
      if (r < rows.qkv()) {
        CopyRow(qkv, r, dst);
      } else {
        CopyRow(z, r - rows.qkv(), dst);
      }
    }
  };
  ByteRanges sources = table.Sources(qkv);
  const ByteRanges more = table.Sources(z);
  sources.insert(sources.end(), more.begin(), more.end());
  return table.AddGathered(std::move(tensor), std::move(sources), false);
}

Status SplitBa(const WeightTensor& fused, const DeltaNetRows& rows, const std::string& prefix, WeightTable& table) {
  const int64_t n = rows.values_per_head, all = rows.heads * n;
  if (fused.rows != 2 * all) return BadRows(fused, 2 * all);
  const auto b = [n](int64_t r) { return r / n * 2 * n + r % n; };
  RETURN_IF_ERROR(AddPermuted(fused, all, prefix + "in_proj_b.weight", b, table));
  return AddPermuted(
      fused, all, prefix + "in_proj_a.weight", [n, b](int64_t r) { return b(r) + n; }, table);
}

Status AddDeltaNetViews(int layer, const ModelConfig& config, WeightTable& table) {
  const DeltaNetRows rows(config);
  const std::string prefix = fmt::format("model.layers.{}.linear_attn.", layer);
  const WeightTensor* qkvz = table.Find(prefix + "in_proj_qkvz.weight");
  const WeightTensor* qkv = table.Find(prefix + "in_proj_qkv.weight");
  const WeightTensor* z = table.Find(prefix + "in_proj_z.weight");
  if (qkvz != nullptr && qkv == nullptr && z == nullptr) RETURN_IF_ERROR(SplitQkvz(*qkvz, rows, prefix, table));
  if (qkvz == nullptr && qkv != nullptr && z != nullptr) RETURN_IF_ERROR(JoinQkvz(*qkv, *z, rows, prefix, table));
  const WeightTensor* ba = table.Find(prefix + "in_proj_ba.weight");
  return ba == nullptr ? OkStatus() : SplitBa(*ba, rows, prefix, table);
}

}  // namespace

Status AddExpertStack(WeightTensor stack, const ModelConfig& config, WeightTable& table) {
  if (config.num_experts < 1) return DataLoss("{} stacks experts, but the model has none", stack.name);
  const bool bias = stack.name.ends_with(".bias");
  if (stack.rows % config.num_experts != 0) {
    return DataLoss("{} has {} rows, expected a multiple of {} experts", stack.name, stack.rows, config.num_experts);
  }
  const int64_t rows = stack.rows / config.num_experts;
  if (bias && rows != 1) return BadRows(stack, config.num_experts);
  const size_t star = stack.name.find('*');
  const bool gate_up = stack.name.find("gate_up_proj") != std::string::npos;
  if (gate_up && !bias && rows % 2 != 0)
    return DataLoss("{} has {} rows for an expert, expected an even number", stack.name, rows);
  for (int e = 0; e < config.num_experts; ++e) {
    std::string name = stack.name;
    name.replace(star, 1, std::to_string(e));
    const std::string gate = gate_up ? Replace(name, "gate_up_proj", "gate_proj") : name;
    const std::string up = gate_up ? Replace(name, "gate_up_proj", "up_proj") : name;
    if (!gate_up) {
      RETURN_IF_ERROR(table.AddRows(stack, e * rows, rows, name, true));
    } else if (!bias) {
      RETURN_IF_ERROR(table.AddRows(stack, e * rows, rows / 2, gate, true));
      RETURN_IF_ERROR(table.AddRows(stack, e * rows + rows / 2, rows / 2, up, true));
    } else {
      return Unsupported("{} is a bias of fused experts, which no supported architecture has", stack.name);
    }
  }
  return OkStatus();
}

Status AddFusedViews(const ModelConfig& config, WeightTable& table) {
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const char* suffix : {"weight", "bias"}) {
      const WeightTensor* qkv = table.Find(fmt::format("model.layers.{}.self_attn.qkv_proj.{}", layer, suffix));
      if (qkv != nullptr) RETURN_IF_ERROR(SplitQkv(*qkv, config, table));
      const WeightTensor* gate_up = table.Find(fmt::format("model.layers.{}.mlp.gate_up_proj.{}", layer, suffix));
      if (gate_up != nullptr) RETURN_IF_ERROR(SplitGateUp(*gate_up, table));
    }
    if (config.layer_types[static_cast<size_t>(layer)] == LayerType::kLinearAttention)
      RETURN_IF_ERROR(AddDeltaNetViews(layer, config, table));
  }
  return OkStatus();
}

}  // namespace millrace
