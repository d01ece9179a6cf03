// MarkerMatcher: finds markers in text that comes byte by byte. Constant work per byte for a fixed set of markers.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

class MarkerMatcher {
 public:
  // Looks for these from now on; empty ones are left out. Nothing may be pending. The strings must outlive the
  // matcher's use.
  void Set(std::initializer_list<const std::string*> markers) {
    markers_.clear();
    for (const std::string* marker : markers) {
      if (marker != nullptr && !marker->empty()) markers_.push_back(marker);
    }
  }

  // Takes a byte. Returns the marker that it completes, or null. Bytes that turned out not to begin a marker are
  // appended to `passed`; bytes that may begin one stay pending.
  const std::string* Feed(char c, std::string& passed) {
    pending_ += c;
    while (!pending_.empty()) {
      bool prefix = false;
      for (const std::string* marker : markers_) {
        if (*marker == pending_) {
          pending_.clear();
          return marker;
        }
        prefix = prefix || marker->starts_with(pending_);
      }
      if (prefix) return nullptr;
      passed += pending_[0];
      pending_.erase(0, 1);
    }
    return nullptr;
  }

  const std::string& pending() const { return pending_; }
  // The pending bytes, which are no marker after all.
  std::string Take() { return std::exchange(pending_, std::string()); }

 private:
  std::vector<const std::string*> markers_;
  std::string pending_;
};

}  // namespace millrace
