// Readers of tool calls, one per ToolFormat::Kind: byte-driven machines that turn the text after a trigger into calls.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "chat/json_stream.h"
#include "chat/output_format.h"

namespace millrace {

constexpr size_t kMaxCallNameBytes = 1024;
// Of one argument's value that is held back until its type is known.
constexpr size_t kMaxValueBytes = size_t{1} << 20;

class CallReader {
 public:
  virtual ~CallReader() = default;
  // Takes one byte after the trigger (section_begin, else call_begin, else the first byte of the call itself). kLast
  // and kBefore end the calls; kBad says that this is not a call, or no longer one.
  virtual JsonStep Feed(char c) = 0;
  // The generation ended inside: gives out what was held.
  virtual void Finish() {}
};

// The name of a function as it may stand in a call: no blanks, brackets or quotes, not empty, not too long.
bool IsCallName(std::string_view name);

// Reports to `sink`. `tools` (an array or null) types the values of kXml and must outlive the reader, as must the
// format. `bare` says that no marker led here, so that what is no complete call must be given back; `in_call`, that
// call_begin led here though the format has a section_begin, so that the reader ends after this call.
std::unique_ptr<CallReader> MakeJsonReader(const ToolFormat& format, CallSink& sink, bool bare);
std::unique_ptr<CallReader> MakeNamedReader(const ToolFormat& format, CallSink& sink, bool in_call);
std::unique_ptr<CallReader> MakeXmlReader(const ToolFormat& format, const nlohmann::ordered_json& tools, CallSink& sink,
                                          bool in_call);
std::unique_ptr<CallReader> MakePythonicReader(const ToolFormat& format, CallSink& sink);

}  // namespace millrace
