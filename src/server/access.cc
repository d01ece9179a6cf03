#include "server/access.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "server/api_error.h"

namespace millrace {
namespace {

std::array<unsigned char, 32> Sha256(std::string_view text) {
  std::array<unsigned char, 32> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

// "example.org:8000" and "[::1]:8000" without the port.
std::string_view WithoutPort(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.rfind(':'));
}

bool IsLocalName(std::string_view host) {
  return host == "localhost" || host == "127.0.0.1" || host == "[::1]" || host.ends_with(".localhost") ||
         host.starts_with("127.");
}

std::string_view BearerToken(const HttpRequest& request) {
  const std::string_view authorization = request.Header("authorization");
  constexpr std::string_view kPrefix = "bearer ";  // the scheme has no case (RFC 9110, 11.1)
  const auto is_same = [](char wanted, char c) { return wanted == (c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); };
  if (authorization.size() >= kPrefix.size() &&
      std::equal(kPrefix.begin(), kPrefix.end(), authorization.begin(), is_same))
    return authorization.substr(kPrefix.size());
  return request.Header("x-api-key");
}

}  // namespace

bool IsLoopbackHost(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

Access::Access(const AccessOptions& options) : options_(options) {
  for (const std::string& key : options_.api_keys) keys_.push_back(Sha256(key));
}

std::optional<size_t> Access::FindKey(std::string_view key) const {
  const Digest digest = Sha256(key);
  std::optional<size_t> found;
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (CRYPTO_memcmp(digest.data(), keys_[i].data(), digest.size()) == 0) found = i;
  }
  return found;
}

bool Access::IsAllowedOrigin(std::string_view origin) const {
  return std::find(options_.cors_origins.begin(), options_.cors_origins.end(), origin) != options_.cors_origins.end();
}

std::optional<ApiError> Access::Check(HttpRequest& request, bool open) const {
  const std::string_view host = request.Header("host");
  if (options_.loopback && !host.empty() && !IsLocalName(WithoutPort(host))) {
    return ApiError{
        .status = 403,
        .message = "the Host header names another machine, and this server listens on loopback alone (--host)",
        .type = "permission_error"};
  }
  const std::string_view origin = request.Header("origin");
  const bool same_origin = origin.substr(std::min(origin.find("://"), origin.size() - 3) + 3) == host;
  if (!origin.empty() && !same_origin && !IsAllowedOrigin(origin)) {
    return ApiError{.status = 403,
                    .message = "this origin may not call the server from a browser (--cors-origin)",
                    .type = "permission_error"};
  }
  if (open || keys_.empty() || request.method == "OPTIONS") return std::nullopt;
  const std::optional<size_t> key = FindKey(BearerToken(request));
  if (!key) {
    return ApiError{.status = 401,
                    .message = "the request has no valid API key: send Authorization: Bearer KEY",
                    .type = "authentication_error",
                    .code = "invalid_api_key"};
  }
  if (keys_.size() > 1) request.tenant = "key" + std::to_string(*key);
  return std::nullopt;
}

std::vector<std::pair<std::string, std::string>> Access::CorsHeaders(const HttpRequest& request) const {
  const std::string origin(request.Header("origin"));
  if (origin.empty() || !IsAllowedOrigin(origin)) return {};
  // The official clients send headers of their own, and none has a meaning that a page may not use.
  const std::string_view asked = request.Header("access-control-request-headers");
  return {{"Access-Control-Allow-Origin", origin},
          {"Vary", "Origin"},
          {"Access-Control-Allow-Headers",
           asked.empty() ? "Authorization, Content-Type, X-Request-Id, X-Api-Key" : std::string(asked)},
          {"Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS"},
          {"Access-Control-Expose-Headers",
           "X-Request-Id, Request-Id, X-Millrace-Warnings, Retry-After, Endpoint-Load-Metrics"}};
}

}  // namespace millrace
