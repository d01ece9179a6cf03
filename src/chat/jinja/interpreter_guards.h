// The interpreter's scoped counters and cost constants, for its own files.
#pragma once

#include "chat/jinja/interpreter.h"

namespace millrace::jinja {

// The sizes of the containers' nodes and of their entries, roughly.
constexpr size_t kObjectBytes = 128;
constexpr size_t kItemBytes = 40;
constexpr size_t kEntryBytes = 96;

// One level of recursion while it lives.
class Interpreter::DepthGuard {
 public:
  explicit DepthGuard(Interpreter& interpreter) : interpreter_(interpreter) {
    if (++interpreter_.depth_ > interpreter_.limits_.max_depth) {
      interpreter_.FailWith(StatusCode::kOutOfRange,
                            fmt::format("recursion is deeper than max_depth = {}", interpreter_.limits_.max_depth));
    }
  }
  ~DepthGuard() { --interpreter_.depth_; }

 private:
  Interpreter& interpreter_;
};

// A new scope below `parent` while it lives.
class Interpreter::ScopeGuard {
 public:
  ScopeGuard(Interpreter& interpreter, Scope* parent) : interpreter_(interpreter), outer_(interpreter.scope_) {
    interpreter_.PushScope(parent);
  }
  ~ScopeGuard() { interpreter_.PopScope(outer_); }

 private:
  Interpreter& interpreter_;
  Scope* const outer_;
};

}  // namespace millrace::jinja
