#include "server/response_store.h"

namespace millrace {
namespace {

std::string KeyOf(const std::string& tenant, const std::string& id) {
  return tenant + '\n' + id;
}

// A parsed tree takes several times the bytes of its text: nodes, keys, allocations.
constexpr size_t kTreeFactor = 4;

size_t BytesOf(const StoredResponse& response) {
  size_t bytes = 0;
  for (const Json* part : {&response.response, &response.input_items, &response.conversation})
    bytes += DumpJson(*part).size();
  return bytes * kTreeFactor;
}

}  // namespace

void ResponseStore::DropLocked(const std::string& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  bytes_ -= found->second.bytes;
  entries_.erase(found);
}

void ResponseStore::ForgetLocked(int64_t now_us, size_t room_bytes) {
  while (!ages_.empty()) {
    const Age& oldest = ages_.front();
    const auto found = entries_.find(oldest.key);
    const bool current = found != entries_.end() && found->second.number == oldest.number;
    const bool full =
        bytes_ + room_bytes > options_.max_bytes || (room_bytes > 0 && entries_.size() >= options_.max_responses);
    if (current && oldest.expires_us > now_us && !full) return;
    if (current) DropLocked(oldest.key);
    ages_.pop_front();
  }
}

void ResponseStore::Put(const std::string& tenant, const std::string& id, StoredResponse response, int64_t now_us) {
  const size_t bytes = BytesOf(response);
  if (bytes > options_.max_bytes) return;
  const std::string key = KeyOf(tenant, id);
  std::lock_guard lock(mutex_);
  DropLocked(key);
  ForgetLocked(now_us, bytes);
  entries_[key] = {std::make_shared<const StoredResponse>(std::move(response)), bytes, next_number_};
  ages_.push_back({now_us + options_.ttl_us, key, next_number_++});
  bytes_ += bytes;
}

std::shared_ptr<const StoredResponse> ResponseStore::Find(const std::string& tenant, const std::string& id,
                                                          int64_t now_us) {
  std::lock_guard lock(mutex_);
  ForgetLocked(now_us, 0);
  const auto found = entries_.find(KeyOf(tenant, id));
  return found == entries_.end() ? nullptr : found->second.response;
}

bool ResponseStore::Erase(const std::string& tenant, const std::string& id, int64_t now_us) {
  std::lock_guard lock(mutex_);
  ForgetLocked(now_us, 0);
  if (!entries_.contains(KeyOf(tenant, id))) return false;
  DropLocked(KeyOf(tenant, id));
  return true;
}

}  // namespace millrace
