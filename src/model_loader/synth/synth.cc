#include "model_loader/synth.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "base/half.h"
#include "base/thread_pool.h"
#include "model_loader/file_checkpoint.h"
#include "model_loader/gguf_writer.h"
#include "model_loader/synth/layout.h"
#include "model_loader/synth/random_blocks.h"
#include "model_loader/synth/shape.h"
#include "model_loader/synth/type_mix.h"
#include "model_loader/synth/vocabulary.h"

namespace millrace {
namespace {

constexpr int64_t kPieceValues = 1 << 19;  // values that a thread makes at a time; a multiple of every block

// A model's header and what goes into its tensors.
struct Plan {
  GgufWriter writer;
  std::vector<SynthTensor> tensors;
  std::vector<DType> types;
};

Result<Plan> MakePlan(std::string_view shape_name, std::string_view type_name) {
  ASSIGN_OR_RETURN(const SynthShape shape, FindSynthShape(shape_name));
  ASSIGN_OR_RETURN(const TypeMix mix, FindTypeMix(type_name));
  Plan plan;
  plan.tensors = SynthTensors(shape);
  SetSynthMetadata(shape, mix, plan.writer);
  SetSynthVocabulary(shape, plan.writer);
  for (const SynthTensor& tensor : plan.tensors) {
    plan.types.push_back(ChooseType(mix, shape, tensor.name, tensor.dims[0], tensor.dims.size() > 1));
    plan.writer.AddTensor(tensor.name, plan.types.back(), tensor.dims);
  }
  return plan;
}

int64_t Elements(const SynthTensor& tensor) {
  int64_t n = 1;
  for (const int64_t size : tensor.dims) n *= size;
  return n;
}

// Values [first, first + count) of a tensor.
struct Piece {
  size_t tensor;
  int64_t first, count;
};

std::vector<Piece> CutPieces(const Plan& plan) {
  std::vector<Piece> pieces;
  for (size_t t = 0; t < plan.tensors.size(); ++t) {
    const int64_t n = Elements(plan.tensors[t]);
    for (int64_t first = 0; first < n; first += kPieceValues)
      pieces.push_back({t, first, std::min(kPieceValues, n - first)});
  }
  return pieces;
}

Status WritePiece(const Plan& plan, const GgufWriter& writer, const Piece& piece, uint64_t seed) {
  const SynthTensor& tensor = plan.tensors[piece.tensor];
  const DType type = plan.types[piece.tensor];
  std::vector<std::byte> bytes(static_cast<size_t>(RowBytes(type, piece.count)));
  if (tensor.fill == SynthTensor::Fill::kRandom) {
    RandomBytes mixer(seed + 0x632BE59BD9B4E019ull * (piece.tensor + 1));
    RandomBytes random(mixer.Next() + static_cast<uint64_t>(piece.first));
    FillRandom(type, tensor.value, piece.count, random, bytes.data());
  } else {
    for (int64_t i = 0; i < piece.count; ++i) {
      const bool listed = tensor.fill == SynthTensor::Fill::kValues;
      const float value = listed ? tensor.values[static_cast<size_t>(piece.first + i)] : tensor.value;
      const uint16_t half = type == DType::kBF16 ? F32ToBf16(value) : F32ToF16(value);
      if (type == DType::kF32) {
        std::memcpy(bytes.data() + i * 4, &value, sizeof(value));
      } else {
        std::memcpy(bytes.data() + i * 2, &half, sizeof(half));
      }
    }
  }
  return writer.Write(piece.tensor, static_cast<uint64_t>(RowBytes(type, piece.first)), bytes);
}

Status FillTensors(const Plan& plan, const GgufWriter& writer, uint64_t seed) {
  const std::vector<Piece> pieces = CutPieces(plan);
  ThreadPool pool(NumUsableCores());
  std::mutex mutex;
  Status first_error;
  pool.ParallelFor(static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Status status = WritePiece(plan, writer, pieces[static_cast<size_t>(i)], seed);
      if (status.ok()) continue;
      const std::lock_guard<std::mutex> lock(mutex);
      if (first_error.ok()) first_error = status;
    }
  });
  return first_error;
}

// Closes a descriptor on scope exit.
struct FdCloser {
  int fd;
  ~FdCloser() { ::close(fd); }
};

}  // namespace

std::vector<std::string> SynthShapeNames() {
  std::vector<std::string> names;
  for (const SynthShape& shape : SynthShapes()) names.emplace_back(shape.name);
  return names;
}

std::vector<std::string> SynthTypeNames() {
  std::vector<std::string> names;
  for (const TypeMix& mix : TypeMixes()) names.emplace_back(mix.name);
  return names;
}

Status WriteSynthGguf(std::string_view shape, std::string_view type, const std::string& path, uint64_t seed) {
  ASSIGN_OR_RETURN(Plan plan, MakePlan(shape, type));
  return WriteGgufFile(path, plan.writer, [&](const GgufWriter& writer) { return FillTensors(plan, writer, seed); });
}

Result<std::unique_ptr<Checkpoint>> MakeSynthCheckpoint(std::string_view shape, std::string_view type, uint64_t seed) {
  ASSIGN_OR_RETURN(Plan plan, MakePlan(shape, type));
  const FdCloser fd{::memfd_create("millrace-synth", MFD_CLOEXEC)};
  if (fd.fd < 0) return ResourceExhausted("cannot create a file in memory: {}", std::strerror(errno));
  RETURN_IF_ERROR(plan.writer.Begin(fd.fd));
  RETURN_IF_ERROR(FillTensors(plan, plan.writer, seed));
  // The mapping keeps the pages alive after the descriptor is closed.
  return OpenGgufCheckpoint(fmt::format("/proc/self/fd/{}", fd.fd));
}

}  // namespace millrace
