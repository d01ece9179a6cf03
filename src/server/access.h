// Who may call: API keys, browser origins, host names.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"
#include "server/http/exchange.h"

namespace millrace {

struct AccessOptions {
  std::vector<std::string> api_keys;      // none: everyone may call
  std::vector<std::string> cors_origins;  // "https://example.org": may call from a browser; none by default
  bool loopback = true;  // bound to loopback: only local host names are answered, against DNS rebinding
};

bool IsLoopbackHost(std::string_view host);  // an address to listen on

class Access {
 public:
  explicit Access(const AccessOptions& options);

  // The refusal of a request, or nothing. `open` paths need no key. Sets request.tenant to a name of the key.
  std::optional<ApiError> Check(HttpRequest& request, bool open) const;
  // The headers that let the request's origin read the reply; none for other origins.
  std::vector<std::pair<std::string, std::string>> CorsHeaders(const HttpRequest& request) const;

 private:
  using Digest = std::array<unsigned char, 32>;  // SHA-256: keys are compared in constant time, whatever their length

  bool IsAllowedOrigin(std::string_view origin) const;
  std::optional<size_t> FindKey(std::string_view key) const;

  const AccessOptions options_;
  std::vector<Digest> keys_;
};

}  // namespace millrace
