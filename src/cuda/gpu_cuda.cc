// gpu.h on a GPU. cudart is linked statically and looks for the driver when it is first called.
#include <cuda_runtime_api.h>

#include <cstdio>

#include "cuda/gpu.h"

namespace millrace::cuda::gpu {
namespace {

cudaStream_t ToStream(void* stream) {
  return static_cast<cudaStream_t>(stream);
}

void* Allocate(int64_t size_bytes) {
  void* memory = nullptr;
  if (cudaMalloc(&memory, static_cast<size_t>(size_bytes)) == cudaSuccess) return memory;
  cudaGetLastError();  // a refusal is the caller's to report, not a fault of the device
  return nullptr;
}
void Release(void* memory) {
  cudaFree(memory);
}
void* AllocatePinned(int64_t size_bytes) {
  void* memory = nullptr;
  if (cudaMallocHost(&memory, static_cast<size_t>(size_bytes)) == cudaSuccess) return memory;
  cudaGetLastError();
  return nullptr;
}
void ReleasePinned(void* memory) {
  cudaFreeHost(memory);
}
void* CreateStream() {
  cudaStream_t stream = nullptr;
  return cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess ? stream : nullptr;
}
void DestroyStream(void* stream) {
  cudaStreamDestroy(ToStream(stream));
}
void Copy(void* stream, void* to, const void* from, int64_t size_bytes) {
  cudaMemcpyAsync(to, from, static_cast<size_t>(size_bytes), cudaMemcpyDefault, ToStream(stream));
}
void Clear(void* stream, void* to, int64_t size_bytes) {
  cudaMemsetAsync(to, 0, static_cast<size_t>(size_bytes), ToStream(stream));
}
// Only what this thread gives the stream is recorded, and other threads may go on using the GPU.
bool BeginRecording(void* stream) {
  if (cudaStreamBeginCapture(ToStream(stream), cudaStreamCaptureModeThreadLocal) == cudaSuccess) return true;
  cudaGetLastError();
  return false;
}
void* EndRecording(void* stream) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  const bool captured = cudaStreamEndCapture(ToStream(stream), &graph) == cudaSuccess && graph != nullptr;
  if (captured && cudaGraphInstantiate(&executable, graph, 0) != cudaSuccess) executable = nullptr;
  if (graph != nullptr) cudaGraphDestroy(graph);
  cudaGetLastError();  // a refusal is answered by doing the work without a recording
  return executable;
}
void Replay(void* stream, void* recording) {
  cudaGraphLaunch(static_cast<cudaGraphExec_t>(recording), ToStream(stream));
}
void ReleaseRecording(void* recording) {
  cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(recording));
}
int64_t AvailableBytes() {
  size_t available = 0, total = 0;
  return cudaMemGetInfo(&available, &total) == cudaSuccess ? static_cast<int64_t>(available) : 0;
}

}  // namespace

void Upload(void* to, const void* from, int64_t size_bytes) {
  cudaMemcpy(to, from, static_cast<size_t>(size_bytes), cudaMemcpyHostToDevice);
}

bool Synchronize(void* stream, char* error, int error_bytes) {
  cudaError_t status = stream != nullptr ? cudaStreamSynchronize(ToStream(stream)) : cudaDeviceSynchronize();
  const cudaError_t earlier = cudaGetLastError();
  if (status == cudaSuccess) status = earlier;
  if (status == cudaSuccess) return true;
  std::snprintf(error, static_cast<size_t>(error_bytes), "the GPU reports %s: %s", cudaGetErrorName(status),
                cudaGetErrorString(status));
  return false;
}

const DeviceMemory* Memory() {
  static const DeviceMemory memory = {Allocate,       Release,      AllocatePinned, ReleasePinned,   CreateStream,
                                      DestroyStream,  Copy,         Clear,          Synchronize,     AvailableBytes,
                                      BeginRecording, EndRecording, Replay,         ReleaseRecording};
  return &memory;
}

}  // namespace millrace::cuda::gpu
