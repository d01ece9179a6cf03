#include "server/response_items.h"

namespace millrace {
namespace {

using Kind = OutputDelta::Kind;

Kind ItemKind(Kind kind) {
  return kind == Kind::kCallStart ? Kind::kCallArguments : kind;
}

}  // namespace

// Every event of an item names it; those of a part also name the part.
void ResponseItems::Emit(const char* type, Json more) {
  const size_t index = items_.size() - 1;
  Json event = {{"type", type}, {"output_index", index}};
  if (!more.contains("item")) event["item_id"] = items_[index]["id"];
  if (kind_ != Kind::kCallArguments && !more.contains("item")) event["content_index"] = 0;
  event.update(more);
  events_.push_back(std::move(event));
}

void ResponseItems::EmitPart(const char* type) {
  Emit(type, {{"part", items_.back()["content"][0]}});
}

void ResponseItems::Open(const OutputDelta& delta, const std::string& call_id) {
  open_ = true;
  kind_ = ItemKind(delta.kind);
  const std::string number = fmt::format("{}_{}", request_id_, items_.size());
  if (kind_ == Kind::kCallArguments) {
    items_.push_back({{"id", "fc_" + number},
                      {"type", "function_call"},
                      {"status", "in_progress"},
                      {"call_id", call_id},
                      {"name", delta.name},
                      {"arguments", ""}});
    return Emit("response.output_item.added", {{"item", items_.back()}});
  }
  Json part;
  if (kind_ == Kind::kReasoning) {
    items_.push_back({{"id", "rs_" + number},
                      {"type", "reasoning"},
                      {"status", "in_progress"},
                      {"summary", Json::array()},
                      {"content", Json::array()}});
    part = {{"type", "reasoning_text"}, {"text", ""}};
  } else {
    items_.push_back({{"id", "msg_" + number},
                      {"type", "message"},
                      {"status", "in_progress"},
                      {"role", "assistant"},
                      {"content", Json::array()}});
    part = {{"type", "output_text"}, {"text", ""}, {"annotations", Json::array()}, {"logprobs", Json::array()}};
  }
  Emit("response.output_item.added", {{"item", items_.back()}});
  items_.back()["content"].push_back(std::move(part));
  EmitPart("response.content_part.added");
}

Json& ResponseItems::Text() {
  return kind_ == Kind::kCallArguments ? items_.back()["arguments"] : items_.back()["content"][0]["text"];
}

void ResponseItems::Add(const OutputDelta& delta, const std::string& call_id, const Json& logprobs) {
  if (!open_ || delta.kind == Kind::kCallStart || delta.kind != kind_) {
    Close("completed");
    Open(delta, call_id);
  }
  if (delta.kind == Kind::kCallStart) return;
  Text().get_ref<std::string&>() += delta.text;
  switch (kind_) {
    case Kind::kReasoning:
      return Emit("response.reasoning_text.delta", {{"delta", delta.text}});
    case Kind::kContent: {
      Json& all = items_.back()["content"][0]["logprobs"];
      for (const Json& logprob : logprobs) all.push_back(logprob);
      return Emit("response.output_text.delta", {{"delta", delta.text}, {"logprobs", logprobs}});
    }
    default:
      return Emit("response.function_call_arguments.delta", {{"delta", delta.text}});
  }
}

void ResponseItems::Close(const char* status) {
  if (!open_) return;
  open_ = false;
  Json& item = items_.back();
  item["status"] = status;
  switch (kind_) {
    case Kind::kReasoning:
      Emit("response.reasoning_text.done", {{"text", Text()}});
      EmitPart("response.content_part.done");
      break;
    case Kind::kContent:
      Emit("response.output_text.done", {{"text", Text()}, {"logprobs", item["content"][0]["logprobs"]}});
      EmitPart("response.content_part.done");
      break;
    default:
      Emit("response.function_call_arguments.done", {{"name", item["name"]}, {"arguments", Text()}});
  }
  Emit("response.output_item.done", {{"item", item}});
}

void ResponseItems::Finish(const char* status) {
  Close(status);
}

}  // namespace millrace
