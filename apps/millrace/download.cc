#include "download.h"

#include <curl/curl.h>
#include <openssl/evp.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>

#include "base/file.h"
#include "engine/memory_plan.h"
#include "progress_bar.h"

namespace millrace {
namespace {

constexpr int kMaxAttempts = 5;
constexpr long kConnectTimeoutS = 20;
constexpr long kStallTimeoutS = 30;  // below 1 byte/s for this long is a failure

struct CurlDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
using CurlPtr = std::unique_ptr<CURL, CurlDeleter>;

struct Headers {
  curl_slist* list = nullptr;
  ~Headers() { curl_slist_free_all(list); }
};

CurlPtr MakeCurl(const std::string& url, const std::string& token, Headers* headers) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  CHECK(initialised == CURLE_OK);
  CurlPtr curl(curl_easy_init());
  CHECK(curl != nullptr);
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, kConnectTimeoutS);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, kStallTimeoutS);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "millrace");
  if (!token.empty()) {
    headers->list = curl_slist_append(nullptr, ("Authorization: Bearer " + token).c_str());
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers->list);  // curl drops it when a redirect leaves the host
  }
  return curl;
}

Status StatusOfHttp(long code, const std::string& url) {
  if (code >= 200 && code < 300) return OkStatus();
  if (code == 404) return NotFound("{} is not there (404)", url);
  if (code == 401 || code == 403) return InvalidArgument("{} needs permission ({}); set HF_TOKEN", url, code);
  return Unavailable("{} answered {}", url, code);
}

struct Body {
  std::string text;
  size_t limit;
};

size_t KeepBody(char* data, size_t, size_t count, void* context) {
  auto* body = static_cast<Body*>(context);
  if (body->text.size() + count > body->limit) return 0;
  body->text.append(data, count);
  return count;
}

struct FileSink {
  std::FILE* file;
  CURL* curl;
  int64_t offset;         // bytes of an earlier attempt
  int64_t total;          // expected, or -1
  ProgressBar* progress;  // null: silent
};

size_t WriteFile(char* data, size_t, size_t count, void* context) {
  auto* sink = static_cast<FileSink*>(context);
  long code = 0;
  curl_easy_getinfo(sink->curl, CURLINFO_RESPONSE_CODE, &code);
  if (code == 200 && sink->offset > 0) {  // the server ignored the range: begin again
    if (std::freopen(nullptr, "wb", sink->file) == nullptr) return 0;
    sink->offset = 0;
  }
  return code < 300 ? std::fwrite(data, 1, count, sink->file) : count;
}

int ShowProgress(void* context, curl_off_t, curl_off_t now, curl_off_t, curl_off_t) {
  const auto* sink = static_cast<FileSink*>(context);
  if (sink->progress == nullptr) return 0;
  const int64_t done = sink->offset + now;
  sink->progress->Show(sink->total > 0 ? static_cast<double>(done) / static_cast<double>(sink->total) : -1.0,
                       FormatBytes(done));
  return 0;
}

Status FetchOnce(const DownloadRequest& request, const std::string& partial) {
  std::error_code ignored;
  const int64_t offset =
      std::filesystem::exists(partial) ? static_cast<int64_t>(std::filesystem::file_size(partial, ignored)) : 0;
  if (request.size >= 0 && offset == request.size) return OkStatus();
  std::FILE* file = std::fopen(partial.c_str(), "ab");
  if (file == nullptr) return Unavailable("cannot write {}", partial);
  Headers headers;
  const CurlPtr curl = MakeCurl(request.url, request.token, &headers);
  ProgressBar bar(std::filesystem::path(request.path).filename().string());
  FileSink sink{file, curl.get(), offset, request.size, request.show_progress ? &bar : nullptr};
  curl_easy_setopt(curl.get(), CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(offset));
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, WriteFile);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &sink);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, ShowProgress);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &sink);
  const CURLcode code = curl_easy_perform(curl.get());
  const bool closed = std::fclose(sink.file) == 0;
  if (code != CURLE_OK) return Unavailable("{}: {}", request.url, curl_easy_strerror(code));
  if (!closed) return Unavailable("cannot write {}", partial);
  long http = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &http);
  return StatusOfHttp(http, request.url);
}

// Hexadecimal digest of prefix + the file.
Result<std::string> Digest(const std::string& path, const EVP_MD* algorithm, const std::string& prefix) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestInit_ex(context.get(), algorithm, nullptr);
  EVP_DigestUpdate(context.get(), prefix.data(), prefix.size());
  EVP_DigestUpdate(context.get(), file.bytes().data(), file.bytes().size());
  EVP_DigestFinal_ex(context.get(), digest, &size);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

Status Verify(const DownloadRequest& request, const std::string& partial) {
  const int64_t size = static_cast<int64_t>(std::filesystem::file_size(partial));
  if (request.size >= 0 && size != request.size) {
    return DataLoss("{} has {} bytes, {} were expected", request.url, size, request.size);
  }
  if (!request.sha256.empty()) {
    ASSIGN_OR_RETURN(const std::string digest, Digest(partial, EVP_sha256(), ""));
    if (digest != request.sha256)
      return DataLoss("{} has sha256 {}, {} was expected", request.url, digest, request.sha256);
  } else if (!request.git_sha1.empty()) {
    const std::string header = fmt::format("blob {}", size);
    ASSIGN_OR_RETURN(const std::string digest, Digest(partial, EVP_sha1(), header + '\0'));
    if (digest != request.git_sha1)
      return DataLoss("{} has git id {}, {} was expected", request.url, digest, request.git_sha1);
  }
  return OkStatus();
}

}  // namespace

Result<std::string> HttpGet(const std::string& url, const std::string& token, size_t max_bytes) {
  Headers headers;
  const CurlPtr curl = MakeCurl(url, token, &headers);
  Body body{"", max_bytes};
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, KeepBody);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) return Unavailable("{}: {}", url, curl_easy_strerror(code));
  long http = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &http);
  RETURN_IF_ERROR(StatusOfHttp(http, url));
  return std::move(body.text);
}

Status Download(const DownloadRequest& request) {
  const std::string partial = request.path + ".incomplete";
  Status status;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds(200 << attempt));
    status = FetchOnce(request, partial);
    if (status.ok() || status.code() == StatusCode::kNotFound || status.code() == StatusCode::kInvalidArgument) break;
  }
  RETURN_IF_ERROR(status);
  status = Verify(request, partial);
  std::error_code error;
  if (!status.ok()) {
    std::filesystem::remove(partial, error);
    return status;
  }
  std::filesystem::rename(partial, request.path, error);
  return error ? Unavailable("cannot rename {}: {}", partial, error.message()) : OkStatus();
}

}  // namespace millrace
