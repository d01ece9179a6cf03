#include <algorithm>

#include "kernels/attention/attention.h"
#include "kernels/attention/kv_layout.h"
#include "kernels/embed/embed.h"
#include "kernels/gated_delta/gated_delta.h"
#include "kernels/gather/gather.h"
#include "kernels/isa.h"
#include "kernels/linear/linear.h"
#include "kernels/moe/moe.h"
#include "kernels/op_table.h"
#include "kernels/rope_kv_write/rope_kv_write.h"

namespace millrace::kernels {
namespace {

template <Isa isa>
PackedMatrix* PackMatrixFor(OpContext* context, const WeightRows* parts, int num_parts, const float* bias, bool gated,
                            ErrorText* error) {
  return PackMatrixCpu(isa, context, parts, num_parts, bias, gated, error);
}

// Ops run one after the other and give back what they take.
int64_t WorkspaceBytesCpu(const WorkspaceQuery* query) {
  return std::max({LinearWorkspaceBytes(query), AttentionWorkspaceBytes(*query), MoeWorkspaceBytes(*query)});
}

OpTable MakeTable(Isa isa) {
  OpTable table;
  table.device = "cpu";
  table.isa = IsaName(isa);
  switch (isa) {
    case Isa::kGeneric:
      table.pack_matrix = PackMatrixFor<Isa::kGeneric>;
      break;
    case Isa::kAvx2:
      table.pack_matrix = PackMatrixFor<Isa::kAvx2>;
      break;
    case Isa::kAvx512:
      table.pack_matrix = PackMatrixFor<Isa::kAvx512>;
      break;
  }
  table.free_matrix = FreeMatrixCpu;
  table.packed_bytes = PackedBytesCpu;
  table.workspace_bytes = WorkspaceBytesCpu;
  table.linear = LinearCpu;
  table.mlp_up = MlpUpCpu;
  table.embed = EmbedCpu;
  table.rope_kv_write = RopeKvWriteCpu;
  table.attention = AttentionCpu;
  table.moe = MoeCpu;
  table.gated_delta = GatedDeltaCpu;
  table.gather_rows = GatherRowsCpu;
  table.kv_layer_bytes = KvLayerBytesCpu;
  table.copy_blocks = CopyBlocksCpu;
  return table;
}

}  // namespace

Result<const OpTable*> CpuOpTable() {
  static const Result<Isa> isa = SelectIsa();
  if (!isa.ok()) return isa.status();
  static const OpTable table = MakeTable(*isa);
  return &table;
}

}  // namespace millrace::kernels
