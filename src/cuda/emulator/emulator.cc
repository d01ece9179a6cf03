#include "cuda/emulator/emulator.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "base/check.h"
#include "cuda/emulator/device_arena.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// Saves the callee-saved registers on the stack, its pointer in *save, and continues on the stack `load`.
extern "C" void millrace_switch_stack(void** save, void* load);
asm(R"(
.text
.globl millrace_switch_stack
.type millrace_switch_stack, @function
millrace_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size millrace_switch_stack, .-millrace_switch_stack
)");

namespace millrace::cuda::emulator {
namespace {

constexpr size_t kStackBytes = 256 << 10;
constexpr int kWarpLanes = 32;

enum class State { kReady, kAtCollective, kAtBarrier, kDone };

struct AsyncCopy {
  void* shared;
  const void* global;
  int bytes, valid_bytes;
};

struct Warp {
  void* operands[kWarpLanes] = {};
  const char* name = nullptr;
  int arrived = 0;
};

struct Fiber {
  ThreadIds ids;
  State state = State::kReady;
  const char* where = "";
  int index = 0;
  void* stack_pointer = nullptr;
  std::unique_ptr<std::byte[]> stack;
  std::vector<AsyncCopy> open_group;
  std::deque<std::vector<AsyncCopy>> groups;
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
#endif
};

struct Machine {
  uint64_t seed = 0;
  std::vector<std::unique_ptr<Fiber>> fibers;
  int num_threads = 0;
  int at_barrier = 0;
  std::vector<Warp> warps;
  std::vector<std::byte> shared;
  const std::function<void()>* body = nullptr;
  Fiber* current = nullptr;
  void* main_stack_pointer = nullptr;
  bool recording = false;
  std::vector<std::function<void()>> recorded;
#if defined(__SANITIZE_ADDRESS__)
  void* main_fake_stack = nullptr;
  const void* main_bottom = nullptr;
  size_t main_size = 0;
#endif
};

Machine& TheMachine() {
  thread_local Machine machine;
  return machine;
}

void SwitchToMain(Machine& m, bool done) {
  Fiber& fiber = *m.current;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(done ? nullptr : &fiber.fake_stack, m.main_bottom, m.main_size);
#else
  (void)done;
#endif
  millrace_switch_stack(&fiber.stack_pointer, m.main_stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fiber.fake_stack, &m.main_bottom, &m.main_size);
#endif
}

void SwitchToFiber(Machine& m, Fiber& fiber) {
  m.current = &fiber;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&m.main_fake_stack, fiber.stack.get(), kStackBytes);
#endif
  millrace_switch_stack(&m.main_stack_pointer, fiber.stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(m.main_fake_stack, nullptr, nullptr);
#endif
  m.current = nullptr;
}

[[noreturn]] void FiberMain() {
  Machine& m = TheMachine();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &m.main_bottom, &m.main_size);
#endif
  (*m.body)();
  m.current->state = State::kDone;
  SwitchToMain(m, true);
  CHECK(false, "a finished fiber ran");
}

void Prepare(Fiber& fiber) {
  if (fiber.stack == nullptr) fiber.stack = std::make_unique<std::byte[]>(kStackBytes);
#if defined(__SANITIZE_ADDRESS__)
  // The last fiber on this stack never returned from its outermost functions, whose frames are still poisoned.
  constexpr size_t kOutermostBytes = 4096;
  __asan_unpoison_memory_region(fiber.stack.get() + kStackBytes - kOutermostBytes, kOutermostBytes);
#endif
  // As millrace_switch_stack leaves it: six registers, then the return address, on a stack that is 16-byte aligned
  // before a call.
  auto top = reinterpret_cast<uintptr_t>(fiber.stack.get() + kStackBytes) & ~uintptr_t{15};
  auto* words = reinterpret_cast<void**>(top);
  words[-1] = nullptr;
  words[-2] = reinterpret_cast<void*>(&FiberMain);
  for (int i = 3; i <= 8; ++i) words[-i] = nullptr;
  fiber.stack_pointer = words - 8;
  fiber.state = State::kReady;
  fiber.open_group.clear();
  fiber.groups.clear();
}

std::vector<int> Order(int n, std::mt19937_64& rng, bool shuffle) {
  std::vector<int> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  if (shuffle) std::shuffle(order.begin(), order.end(), rng);
  return order;
}

[[noreturn]] void ReportDeadlock(const Machine& m) {
  std::string text;
  for (int i = 0; i < m.num_threads; ++i) {
    const Fiber& fiber = *m.fibers[static_cast<size_t>(i)];
    if (i < 64) text += fmt::format("\n  thread {}: {}", i, fiber.state == State::kDone ? "returned" : fiber.where);
  }
  const dim3 b = m.fibers[0]->ids.block;
  CHECK(false, "block ({}, {}, {}): some threads wait for others that will never come{}", b.x, b.y, b.z, text);
}

void RunBlock(Machine& m, std::mt19937_64& rng, const std::function<void()>& body) {
  std::fill(m.shared.begin(), m.shared.end(), std::byte{0xff});
  m.warps.assign(static_cast<size_t>((m.num_threads + kWarpLanes - 1) / kWarpLanes), Warp());
  m.at_barrier = 0;
  m.body = &body;
  for (int i = 0; i < m.num_threads; ++i) Prepare(*m.fibers[static_cast<size_t>(i)]);
  const int num_warps = static_cast<int>(m.warps.size());
  while (true) {
    bool ran = false, waiting = false;
    for (const int w : Order(num_warps, rng, m.seed != 0)) {
      for (const int lane : Order(kWarpLanes, rng, m.seed != 0)) {
        const int i = w * kWarpLanes + lane;
        if (i >= m.num_threads) continue;
        Fiber& fiber = *m.fibers[static_cast<size_t>(i)];
        if (fiber.state == State::kReady) {
          SwitchToFiber(m, fiber);
          ran = true;
        }
        waiting = waiting || fiber.state != State::kDone;
      }
    }
    if (!waiting) return;
    if (!ran) ReportDeadlock(m);
  }
}

}  // namespace

void RunGrid(dim3 grid, int threads, size_t shared_bytes, const std::function<void()>& body) {
  Machine& m = TheMachine();
  CHECK(m.current == nullptr && threads > 0 && threads <= 1024 && threads % kWarpLanes == 0, "{} threads", threads);
  CHECK(grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.y < 65536 && grid.z < 65536, "grid {} {} {}", grid.x, grid.y,
        grid.z);
  CHECK(shared_bytes <= (227 << 10), "{} bytes of shared memory; an H100 has 227 KiB", shared_bytes);
  m.num_threads = threads;
  m.shared = std::vector<std::byte>(shared_bytes);
  while (static_cast<int>(m.fibers.size()) < threads) m.fibers.push_back(std::make_unique<Fiber>());
  std::mt19937_64 rng(m.seed);
  for (const int b : Order(static_cast<int>(grid.x * grid.y * grid.z), rng, m.seed != 0)) {
    const unsigned u = static_cast<unsigned>(b);
    for (int i = 0; i < threads; ++i) {
      Fiber& fiber = *m.fibers[static_cast<size_t>(i)];
      fiber.index = i;
      fiber.ids = {{static_cast<unsigned>(i), 0, 0},
                   {u % grid.x, u / grid.x % grid.y, u / grid.x / grid.y},
                   {static_cast<unsigned>(threads), 1, 1},
                   grid};
    }
    RunBlock(m, rng, body);
  }
}

void Do(std::function<void()> work) {
  Machine& m = TheMachine();
  const auto with_access = [work = std::move(work)] {
    const DeviceAccess access;
    work();
  };
  if (m.recording) {
    m.recorded.push_back(with_access);
  } else {
    with_access();
  }
}

void BeginRecording() {
  Machine& m = TheMachine();
  CHECK(!m.recording, "a recording inside a recording");
  m.recording = true;
}

std::vector<std::function<void()>> EndRecording() {
  TheMachine().recording = false;
  return std::exchange(TheMachine().recorded, {});
}

ScopedSchedule::ScopedSchedule(uint64_t seed) : saved_(TheMachine().seed) {
  TheMachine().seed = seed;
}
ScopedSchedule::~ScopedSchedule() {
  TheMachine().seed = saved_;
}

const ThreadIds& Ids() {
  return TheMachine().current->ids;
}
std::byte* SharedMemory() {
  return TheMachine().shared.data();
}
int LaneIndex() {
  return TheMachine().current->index % kWarpLanes;
}

void SyncThreads(const char* where) {
  Machine& m = TheMachine();
  Fiber& self = *m.current;
  if (++m.at_barrier == m.num_threads) {
    m.at_barrier = 0;
    for (int i = 0; i < m.num_threads; ++i) {
      if (m.fibers[static_cast<size_t>(i)]->state == State::kAtBarrier)
        m.fibers[static_cast<size_t>(i)]->state = State::kReady;
    }
    return;
  }
  self.state = State::kAtBarrier;
  self.where = where;
  SwitchToMain(m, false);
}

void Collective(const char* name, void* operand, const std::function<void(void* const*)>& compute) {
  Machine& m = TheMachine();
  Fiber& self = *m.current;
  const int first = self.index / kWarpLanes * kWarpLanes;
  Warp& warp = m.warps[static_cast<size_t>(self.index / kWarpLanes)];
  CHECK(warp.arrived == 0 || std::strcmp(warp.name, name) == 0, "lanes of a warp are at {} and at {}", warp.name, name);
  warp.name = name;
  warp.operands[self.index - first] = operand;
  if (++warp.arrived == kWarpLanes) {
    compute(warp.operands);
    warp.arrived = 0;
    for (int i = first; i < first + kWarpLanes; ++i) {
      Fiber& fiber = *m.fibers[static_cast<size_t>(i)];
      if (fiber.state == State::kAtCollective) fiber.state = State::kReady;
    }
    return;
  }
  self.state = State::kAtCollective;
  self.where = name;
  SwitchToMain(m, false);
}

void CpAsync(void* shared, const void* global, int bytes, int valid_bytes) {
  TheMachine().current->open_group.push_back({shared, global, bytes, valid_bytes});
}

void CpAsyncCommit() {
  Fiber& fiber = *TheMachine().current;
  fiber.groups.push_back(std::move(fiber.open_group));
  fiber.open_group.clear();
}

void CpAsyncWait(int pending_groups) {
  Fiber& fiber = *TheMachine().current;
  while (static_cast<int>(fiber.groups.size()) > pending_groups) {
    for (const AsyncCopy& copy : fiber.groups.front()) {
      CHECK(reinterpret_cast<uintptr_t>(copy.shared) % 16 == 0 && reinterpret_cast<uintptr_t>(copy.global) % 16 == 0,
            "cp.async of 16 bytes between unaligned addresses");
      if (copy.valid_bytes > 0) std::memcpy(copy.shared, copy.global, static_cast<size_t>(copy.valid_bytes));
      std::memset(static_cast<std::byte*>(copy.shared) + copy.valid_bytes, 0,
                  static_cast<size_t>(copy.bytes - copy.valid_bytes));
    }
    fiber.groups.pop_front();
  }
}

}  // namespace millrace::cuda::emulator
