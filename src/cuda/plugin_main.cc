// The plugin's one symbol: checks that both sides agree, that there is a driver and a GPU that the kernels run on, and
// hands out the table.
#include <cuda_runtime_api.h>

#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "cuda/ops.h"
#include "kernels/plugin.h"

namespace millrace::cuda {
namespace {

constexpr int kMinMajor = 8;  // mma of bf16 and cp.async

// Cuts what does not fit.
template <size_t kSize>
void CopyText(const std::string& text, char (&to)[kSize]) {
  to[text.copy(to, kSize - 1)] = 0;
}

template <typename... Args>
void Refuse(kernels::PluginAnswer* answer, fmt::format_string<Args...> format, Args&&... args) {
  CopyText(fmt::format(format, std::forward<Args>(args)...), answer->reason);
}

bool SameInterface(const kernels::PluginRequest& request) {
  constexpr size_t kCount = sizeof(kernels::kPluginStructSizes) / sizeof(uint32_t);
  return request.abi == kernels::kPluginAbi && request.num_struct_sizes == kCount &&
         std::memcmp(request.struct_sizes, kernels::kPluginStructSizes, sizeof(kernels::kPluginStructSizes)) == 0;
}

bool Describe(int index, kernels::PluginAnswer* answer) {
  int count = 0, driver = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaDriverGetVersion(&driver);
  if (status != cudaSuccess && driver == 0) {
    Refuse(answer, "no NVIDIA driver (libcuda.so.1) on this machine");
    return false;
  }
  if (status != cudaSuccess) {
    Refuse(answer, "the NVIDIA driver says: {}", cudaGetErrorString(status));
    return false;
  }
  if (index < 0 || index >= count) {
    Refuse(answer, "GPU {} was asked for, this machine has {}", index, count);
    return false;
  }
  cudaDeviceProp properties;
  if (cudaGetDeviceProperties(&properties, index) != cudaSuccess || cudaSetDevice(index) != cudaSuccess) {
    Refuse(answer, "GPU {} can't be opened: {}", index, cudaGetErrorString(cudaGetLastError()));
    return false;
  }
  if (properties.major < kMinMajor) {
    Refuse(answer, "{} has compute capability {}.{}, the kernels need 8.0", std::string_view(properties.name),
           properties.major, properties.minor);
    return false;
  }
  CopyText(
      fmt::format("{}, compute capability {}.{}, {} multiprocessors, {:.1f} GiB, driver for CUDA {}.{}",
                  std::string_view(properties.name), properties.major, properties.minor, properties.multiProcessorCount,
                  static_cast<double>(properties.totalGlobalMem) / (1 << 30), driver / 1000, driver % 1000 / 10),
      answer->description);
  return true;
}

}  // namespace
}  // namespace millrace::cuda

extern "C" __attribute__((visibility("default"))) void millrace_plugin_open(
    const millrace::kernels::PluginRequest* request, millrace::kernels::PluginAnswer* answer) {
  using namespace millrace;  // NOLINT
  if (!cuda::SameInterface(*request)) {
    cuda::Refuse(
        answer,
        "the plugin was built from another version of millrace (interface {}, the program has {}); build both together",
        kernels::kPluginAbi, request->abi);
    return;
  }
  if (!cuda::Describe(request->device_index, answer)) return;
  answer->table = &cuda::CudaOpTable();
}
