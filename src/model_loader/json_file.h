// Small JSON files of a model folder (config.json and its siblings): bounded in size and depth before anything is
// built.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model_loader/field_reader.h"

namespace millrace {

inline constexpr size_t kMaxJsonFileBytes = 4 << 20;
inline constexpr int kMaxJsonDepth = 64;

// The object in `text`; `where` names it in errors.
Result<nlohmann::json> ParseJsonObject(std::string_view text, const std::string& where);
// The same from a file; kNotFound when there is none.
Result<nlohmann::json> ReadJsonObject(const std::string& path);

// Fields of a JSON object, which must outlive this.
class JsonFields final : public FieldSource {
 public:
  explicit JsonFields(const nlohmann::json& object) : object_(object) {}
  Field Get(std::string_view key) const override;

 private:
  const nlohmann::json& object_;
};

}  // namespace millrace
