// A one-line progress bar on standard error: silent when that is no terminal and for work that ends within the first
// 300 ms.
#pragma once

#include <chrono>
#include <string>

namespace millrace {

class ProgressBar {
 public:
  explicit ProgressBar(std::string name) : name_(std::move(name)), start_(std::chrono::steady_clock::now()) {}
  ~ProgressBar() { Clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // fraction in [0, 1], or below 0 when the end is not known; `note` follows the bar. Redraws five times a second at
  // most.
  void Show(double fraction, const std::string& note = "");
  // Wipes the line, so that what is printed next begins at its left edge.
  void Clear();

 private:
  const std::string name_;
  const std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_shown_;
  bool shown_ = false;
};

}  // namespace millrace
