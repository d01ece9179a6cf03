#include "kernels/plugin.h"

#include <dlfcn.h>

#include <filesystem>

namespace millrace::kernels {
namespace {

constexpr const char* kCudaPlugin = "libmillrace_cuda.so";

Result<OpenedDevice> OpenPlugin(const std::string& path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return Unavailable("unavailable: {}", ::dlerror());
  const auto open = reinterpret_cast<PluginOpen>(::dlsym(library, "millrace_plugin_open"));
  if (open == nullptr) return Unavailable("unavailable: {} has no millrace_plugin_open", path);
  const PluginRequest request;
  PluginAnswer answer;
  open(&request, &answer);
  if (answer.table == nullptr) return Unavailable("unavailable: {}", answer.reason);
  return OpenedDevice{answer.table, answer.description};
}

Result<OpenedDevice> OpenCuda() {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const std::filesystem::path& candidate : {folder / kCudaPlugin, folder / "../lib" / kCudaPlugin}) {
    if (std::filesystem::exists(candidate, error)) return OpenPlugin(candidate.string());
  }
  return Unavailable(
      "unavailable: {} is neither beside the program nor in ../lib; build it with -DMILLRACE_CUDA=ON, which needs nvcc",
      kCudaPlugin);
}

Result<OpenedDevice> OpenCpu(const std::string& why) {
  ASSIGN_OR_RETURN(const OpTable* table, CpuOpTable());
  return OpenedDevice{table, fmt::format("CPU, {} kernels{}", table->isa, why)};
}

}  // namespace

Result<OpenedDevice> OpenDevice(const std::string& name) {
  if (name == "cpu") return OpenCpu("");
  if (name != "cuda" && name != "auto") return InvalidArgument("--device is {}, expected cpu, cuda or auto", name);
  Result<OpenedDevice> cuda = OpenCuda();
  if (cuda.ok()) return cuda;
  if (name == "cuda") return cuda.status().WithPrefix("--device cuda");
  return OpenCpu(fmt::format("; GPU {}", cuda.status().message()));
}

}  // namespace millrace::kernels
