#include "progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace millrace {
namespace {

constexpr int kWidth = 30;
constexpr std::chrono::milliseconds kDelay{300}, kInterval{200};

}  // namespace

void ProgressBar::Show(double fraction, const std::string& note) {
  const auto now = std::chrono::steady_clock::now();
  if (now - start_ < kDelay || (shown_ && now - last_shown_ < kInterval) || isatty(STDERR_FILENO) == 0) return;
  last_shown_ = now;
  shown_ = true;
  const int filled = static_cast<int>(kWidth * std::clamp(fraction, 0.0, 1.0));
  std::fprintf(stderr, "\r\033[K%s [%s%s] %s", name_.c_str(), std::string(static_cast<size_t>(filled), '#').c_str(),
               std::string(static_cast<size_t>(kWidth - filled), '.').c_str(), note.c_str());
}

void ProgressBar::Clear() {
  if (shown_) std::fprintf(stderr, "\r\033[K");
  shown_ = false;
}

}  // namespace millrace
