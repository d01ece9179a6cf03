// Devices by name, and the C interface of the plugins that bring them.
#pragma once

#include <string>

#include "kernels/op_table.h"

namespace millrace::kernels {

// What the two sides of a plugin must agree on, besides kPluginAbi: sizes of the structs that cross.
inline constexpr uint32_t kPluginAbi = 1;
inline constexpr uint32_t kPluginStructSizes[] = {
    sizeof(OpTable),         sizeof(OpContext), sizeof(DeviceMemory), sizeof(WeightRows),     sizeof(EmbedArgs),
    sizeof(LinearArgs),      sizeof(MlpUpArgs), sizeof(KvCacheView),  sizeof(AttentionBatch), sizeof(AttentionArgs),
    sizeof(RopeKvWriteArgs), sizeof(MoeArgs),   sizeof(SampleArgs),   sizeof(WorkspaceQuery)};

struct PluginRequest {
  uint32_t abi = kPluginAbi;
  uint32_t num_struct_sizes = sizeof(kPluginStructSizes) / sizeof(uint32_t);
  const uint32_t* struct_sizes = kPluginStructSizes;
  int32_t device_index = 0;
};

// Filled by the plugin. table is null when the device can't be used, with one sentence in `reason`.
struct PluginAnswer {
  const OpTable* table = nullptr;  // lives as long as the plugin, which is never unloaded
  char reason[256] = {0};
  char description[256] = {0};  // "NVIDIA H200, 132 multiprocessors, 139.8 GiB, driver 13.0; cuBLASLt unavailable: ..."
};

// The one symbol of a plugin: void millrace_plugin_open(const PluginRequest*, PluginAnswer*).
using PluginOpen = void (*)(const PluginRequest* request, PluginAnswer* answer);

struct OpenedDevice {
  const OpTable* table = nullptr;
  std::string description;  // what was chosen and, for "auto", why there is no GPU
};

// "cpu", "cuda", or "auto": a GPU when there is one that works. The plugin is libmillrace_cuda.so beside the program or
// in ../lib. kUnavailable with the reason when "cuda" can't be had.
Result<OpenedDevice> OpenDevice(const std::string& name);

}  // namespace millrace::kernels
