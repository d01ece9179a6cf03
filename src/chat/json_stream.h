// Byte-driven readers of JSON that is still being generated. Constant work and memory per byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace {

// What a reader makes of one byte.
enum class JsonStep : uint8_t {
  kMore,    // taken, the value goes on
  kLast,    // taken, the value is complete
  kBefore,  // not taken: the value was complete before this byte
  kBad,     // not taken: no value can have this byte here
};

// Finds the end of one JSON value. Checks bytes, not grammar: what it accepts is a superset of JSON with the same end.
class JsonValueScanner {
 public:
  JsonStep Feed(char c);
  bool started() const { return started_; }
  // Inside a string no marker can end the value.
  bool in_string() const { return in_string_; }

 private:
  bool started_ = false;
  bool in_string_ = false;
  bool escaped_ = false;
  int depth_ = 0;
};

// Decodes the inside of a JSON string; bytes come out as soon as they are certain.
class JsonStringDecoder {
 public:
  // Takes one byte after the opening quote; kLast on the closing one.
  JsonStep Feed(char c, std::string& out);

 private:
  void FlushSurrogate(std::string& out);
  bool escaped_ = false;
  int hex_left_ = 0;
  uint32_t code_ = 0;
  uint32_t high_surrogate_ = 0;
};

// What a call reader reports.
class CallSink {
 public:
  virtual void OnCall(std::string_view id, std::string_view name) = 0;
  virtual void OnArguments(std::string_view json) = 0;  // a fragment; fragments of a call concatenate to its arguments

 protected:
  ~CallSink() = default;
};

// Reads {"name": ..., "arguments": {...}, "id": ...}, in any order of keys, "parameters" for "arguments" and
// "tool_name" for "name", arguments as an object or as a string that holds one, and {"function": {...}} around them.
// Reports the call when its name is known and its arguments begin.
class JsonCallReader {
 public:
  // With `needs_arguments`, an object that has a name but no arguments is not a call: {"name": "Bob"}.
  JsonCallReader(CallSink& sink, bool needs_arguments) : sink_(sink), needs_arguments_(needs_arguments) {}

  // One byte of the object, from its '{'. kBad before the call was reported means that this is no call.
  JsonStep Feed(char c);
  bool reported() const { return reported_; }

  static constexpr size_t kMaxNameBytes = 1024;
  static constexpr size_t kMaxHeldBytes = size_t{1} << 20;  // arguments that come before the name

 private:
  enum class State : uint8_t { kObject, kKeyOrEnd, kKey, kColon, kValue, kText, kDecode, kRaw, kNext };

  JsonStep BeginValue(char c);
  JsonStep FeedText(char c);
  JsonStep FeedRaw(char c);
  JsonStep EndObject();
  void Report();
  void Arguments(std::string_view bytes);

  CallSink& sink_;
  const bool needs_arguments_;
  State state_ = State::kObject;
  int depth_ = 0;
  bool reported_ = false;
  bool has_arguments_ = false;
  std::string key_;
  std::string name_;
  std::string id_;
  std::string held_;
  JsonValueScanner scanner_;
  JsonStringDecoder decoder_;
};

}  // namespace millrace
