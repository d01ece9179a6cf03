#include "kernels/attention/attention.h"
#include "kernels/attention/kv_layout.h"
#include "kernels/embed/embed.h"
#include "kernels/gather/gather.h"
#include "kernels/isa.h"
#include "kernels/op_table.h"
#include "kernels/rope_kv_write/rope_kv_write.h"

namespace millrace::kernels {
namespace {

OpTable MakeTable(Isa isa) {
  OpTable table;
  table.device = "cpu";
  table.isa = IsaName(isa);
  table.embed = EmbedCpu;
  table.rope_kv_write = RopeKvWriteCpu;
  table.attention = AttentionCpu;
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
