// Downloads over HTTP(S) with resumption and a progress bar, and the digests that prove them.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace millrace {

struct DownloadRequest {
  std::string url;
  std::string token;     // sent as a bearer token to `url`'s host only; "" for none
  std::string path;      // final file
  int64_t size = -1;     // expected; -1: unknown
  std::string sha256;    // expected, hexadecimal; "" for none
  std::string git_sha1;  // expected id as a git blob; "" for none
  bool show_progress = false;
};

// Body of a small answer (a listing). kNotFound for 404, kInvalidArgument for 401 and 403, kUnavailable for the rest.
Result<std::string> HttpGet(const std::string& url, const std::string& token, size_t max_bytes);

// Writes to PATH.incomplete, continues one that is there, checks size and digest, then renames. Retries five times,
// waiting longer each time. A wrong digest removes what was fetched: kDataLoss.
Status Download(const DownloadRequest& request);

}  // namespace millrace
