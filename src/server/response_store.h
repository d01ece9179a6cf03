// ResponseStore: the responses that /v1/responses keeps, for GET and previous_response_id. Bounded in number, bytes and
// age.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "server/json.h"

namespace millrace {

struct StoredResponse {
  Json response;      // as the client got it
  Json input_items;   // of this response alone
  Json conversation;  // messages up to and with the answer, instructions aside, in OpenAI's chat form
};

struct ResponseStoreOptions {
  size_t max_bytes = size_t{64} << 20;
  size_t max_responses = 10'000;
  int64_t ttl_us = int64_t{3'600} * 1'000'000;
};

// Thread-safe. A tenant sees its own responses alone. The oldest are forgotten first.
class ResponseStore {
 public:
  explicit ResponseStore(const ResponseStoreOptions& options) : options_(options) {}

  // A response that is larger than all the room is not kept.
  void Put(const std::string& tenant, const std::string& id, StoredResponse response, int64_t now_us);
  // Null when there is none, or it has expired.
  std::shared_ptr<const StoredResponse> Find(const std::string& tenant, const std::string& id, int64_t now_us);
  bool Erase(const std::string& tenant, const std::string& id, int64_t now_us);

 private:
  struct Entry {
    std::shared_ptr<const StoredResponse> response;
    size_t bytes;
    uint64_t number;  // tells it from a later one of the same id
  };
  struct Age {
    int64_t expires_us;
    std::string key;
    uint64_t number;
  };
  void ForgetLocked(int64_t now_us, size_t room_bytes);
  void DropLocked(const std::string& key);

  const ResponseStoreOptions options_;
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;  // by tenant and id
  std::deque<Age> ages_;                            // oldest first; may name what was erased
  size_t bytes_ = 0;
  uint64_t next_number_ = 1;
};

}  // namespace millrace
